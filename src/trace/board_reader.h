// SPDX-License-Identifier: Apache-2.0
// Reads a board: bytes that a live, maybe hostile, process is writing at this moment.
//
// Every number taken from the board is copied first and checked then, and no number decides where
// we read before it was checked against the geometry found at open(), which never changes. Damage
// is data ("2 records lost"), a board that is none is an error, and neither is ever a crash.
#pragma once

#include "base/result.h"
#include "format/board.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace gordian::trace {

// Where a board's bytes are: a mapped memfd, another process's memory, a test's vector.
class BoardBytes {
 public:
  virtual ~BoardBytes() = default;
  [[nodiscard]] virtual uint64_t size() const = 0;
  // Copies [offset, offset + to.size()); false when any of it cannot be read.
  [[nodiscard]] virtual bool read(uint64_t offset, std::span<std::byte> to) const = 0;
};

// Bytes in memory of our own; they must outlive the object.
std::unique_ptr<BoardBytes> bytes_in_memory(std::span<const std::byte> bytes);

struct CardCopy {
  uint32_t index = 0;
  format::CardState state = format::CardState::Free;
  uint32_t tid = 0;
  uint32_t uid = 0;
  uint32_t flags = 0;
  uint64_t pthread = 0;
  uint64_t tid_word = 0;
  uint32_t parent_uid = 0;
  uint64_t start_routine = 0;
  uint64_t create_site = 0;
  uint64_t stack_low = 0;
  uint64_t stack_high = 0;
  format::Registers registers{};
  uint32_t holds_dropped = 0;
  uint64_t acquisitions = 0;
  uint64_t nested = 0;
  uint64_t longest_wait_ns = 0;
  uint64_t waits = 0;
  std::vector<format::OuterWait> outer;  // outermost first
  std::vector<format::Hold> holds;       // outermost first
};

struct ModuleEntry {
  uint64_t start = 0, end = 0, bias = 0;
  std::vector<std::byte> build_id;
  std::string path;  // empty: the program itself
};

struct ThreadEntry {
  format::ThreadRecord record{};
  uint64_t order = 0;
};

struct ThreadEndEntry {
  uint32_t uid = 0;
  uint32_t tid = 0;
  uint32_t segment = 0;
  std::string name;
  std::vector<format::Hold> holds;
};

struct ChainEntry {
  uint64_t order = 0;  // offset in the log / 64
  format::ChainRecord record{};
  std::vector<format::ChainHold> holds;
  std::vector<std::byte> slice;
};

struct NameEntry {
  uint32_t lock = 0;
  uint64_t order = 0;
  std::string text;
};

struct MarkEntry {
  uint64_t order = 0;
  format::MarkRecord record{};
};

// The log as far as it was complete.
struct BoardLog {
  std::vector<ModuleEntry> modules;
  std::vector<ThreadEntry> threads;
  std::vector<ThreadEndEntry> thread_ends;
  std::vector<format::LockRecord> locks;
  std::vector<ChainEntry> chains;
  std::vector<format::SyncRecord> syncs;
  std::vector<NameEntry> names;
  std::vector<format::DescriptionRecord> descriptions;
  std::vector<MarkEntry> marks;
  std::vector<format::WakerRecord> wakers;
  uint64_t unfinished = 0;  // begun, never committed (so far): at most one per thread that died
  uint64_t damaged = 0;     // sizes or counts that cannot be
};

class BoardReader {
 public:
  // Errors: not a board, another version (both named), not ready yet, regions that do not fit.
  static Result<BoardReader> open(std::unique_ptr<BoardBytes> bytes);

  // The header as of the last refresh(): geometry from open(), counters checked against it.
  [[nodiscard]] const format::BoardHeader& header() const { return header_; }
  bool refresh();

  [[nodiscard]] uint32_t cards_used() const { return header_.cards_used; }

  // All wait words in use. A word caught in the middle of a change comes with an even number: no
  // wait. Cost: 64 bytes a card; the only thing a judge reads from an idle process.
  void read_waits(std::vector<format::WaitWord>& to) const;
  [[nodiscard]] std::optional<format::WaitWord> read_wait(uint32_t card) const;

  // How many locks the card's thread holds, without reading them; nullopt: no live thread on it.
  struct CardBrief {
    uint32_t tid = 0, uid = 0, flags = 0, hold_count = 0;
    bool suspended_first = false;  // the only hold is one given up inside a condition wait
  };
  [[nodiscard]] std::optional<CardBrief> read_brief(uint32_t card) const;
  [[nodiscard]] std::optional<CardCopy> read_card(uint32_t card) const;

  // The entries of these addresses that are alive. Walks the used part of the lock table once.
  [[nodiscard]] std::vector<format::LockEntry> find_locks(
      std::span<const uint64_t> addresses) const;
  [[nodiscard]] std::vector<format::LockEntry> read_locks() const;

  // Takes in what has been logged since the last call.
  const BoardLog& read_log();

 private:
  explicit BoardReader(std::unique_ptr<BoardBytes> bytes) : bytes_(std::move(bytes)) {}

  bool read_raw(uint64_t offset, void* to, size_t size) const;
  void walk_locks(const std::function<void(const format::LockEntry&)>& visit) const;
  void walk_log(uint64_t begin, uint64_t end);
  uint64_t take_record(uint64_t offset, uint64_t end);
  void parse_record(uint64_t offset, std::span<const std::byte> bytes);

  struct Range {
    uint64_t begin, end;
  };

  std::unique_ptr<BoardBytes> bytes_;
  format::BoardHeader header_{};
  BoardLog log_;
  uint64_t log_read_ = 0;     // walked up to here ...
  std::vector<Range> holes_;  // ... except for these, not committed when we came by
};

}  // namespace gordian::trace
