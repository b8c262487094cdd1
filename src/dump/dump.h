// SPDX-License-Identifier: Apache-2.0
// A pasted backtrace as it stands in the text: threads, frames, arguments, printed owners. Nothing
// is concluded yet; every view points into Dump::text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace gordian::dump {

enum class Dialect : uint8_t { Native, Go, Java, Python };

struct Frame {
  std::string_view function;  // without arguments; may span lines in a wrapped paste
  std::string_view args;      // between the brackets
  std::string_view file;
  std::string_view module;
  std::string_view locals;  // `bt full`
  uint64_t pc = 0;
  int line = 0;
};

// Java's "- locked <0x...>" and relatives, at the frame they stand under.
struct MonitorLine {
  enum class What : uint8_t {
    Locked,
    WaitingToLock,
    WaitingOn,
    Parking,
    OwnsSynchronizer,
    ClassInit,  // for another thread to initialise the class `type`; no address
  };
  What what = What::Locked;
  uint64_t address = 0;
  std::string_view type;
  size_t frame = 0;
};

struct Thread {
  int64_t tid = 0;       // LWP, native id or goroutine number; 0: not shown
  uint64_t pthread = 0;  // pthread_t, when shown
  std::string name;
  std::string_view state;  // Go: "sync.Mutex.Lock"; Java: "BLOCKED (on object monitor)"
  int64_t minutes = 0;     // Go: how long it has been in that state
  Dialect dialect = Dialect::Native;
  bool only_top = false;  // from `info threads` alone
  bool has_gap = false;   // frames in the middle are missing
  std::vector<Frame> frames;
  std::vector<MonitorLine> monitors;
};

// `p *mutex` with its __owner, Java's "which is held by": the text itself says who holds a lock.
struct OwnerFact {
  uint64_t address = 0;   // 0: then `name`
  std::string_view name;  // of the variable printed
  int64_t owner_tid = 0;  // 0: then `owner_name`; or nobody, if that is empty too
  std::string_view owner_name;
  bool recursive = false;
  bool is_writer = false;  // of a read-write lock
};

struct Dump {
  Dialect dialect = Dialect::Native;
  int64_t pid = 0;
  std::vector<Thread> threads;
  std::vector<OwnerFact> owners;
  bool all_asleep = false;  // Go's "all goroutines are asleep - deadlock!"
  bool cut = false;         // more threads or frames than are kept
  bool has_hole = false;    // there are threads that the text does not show
  std::shared_ptr<const std::string> text;
};

// More than any real process has; what is beyond is dropped, and `cut` is set.
inline constexpr size_t kMaxThreads = 200'000;
inline constexpr size_t kMaxFrames = 2'000'000;

// What was pasted: one dump, or several taken one after the other. Empty if there is no stack in
// the text. Time and memory are linear in its length.
std::vector<Dump> read_dumps(std::string_view pasted);

}  // namespace gordian::dump
