// SPDX-License-Identifier: Apache-2.0
// A live process as /proc shows it. Nothing here stops a thread or changes the process.
//
// Processes and threads come and go while we read: what has gone is an absent value, not an error.
#pragma once

#include "base/file.h"
#include "base/result.h"
#include "process/memory.h"

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace gordian::process {

// What one thread does, from its `syscall` and `status` files. Two equal readings mean that the
// thread did not run in between. A brief one is of `syscall` alone, at half the price: it tells who
// sleeps where, but not who ran meanwhile; its state is S for all that sleep, and it has no name.
struct ThreadReading {
  int tid = 0;
  int inner_tid = 0;  // as its own pid namespace names it
  char state = '?';   // R, S, D, T, t, Z, X as in proc(5)
  std::string comm = {};
  bool on_cpu = false;  // "running": the kernel shows neither system call nor registers
  bool is_brief = false;
  bool readable = true;  // false: no right to read the system call, or the thread is going
  int64_t syscall = -1;  // -1: blocked outside a system call, or none known
  std::array<uint64_t, 6> args{};
  uint64_t sp = 0;
  uint64_t pc = 0;
  uint64_t voluntary_switches = 0;
  uint64_t involuntary_switches = 0;

  [[nodiscard]] uint64_t switches() const { return voluntary_switches + involuntary_switches; }
  [[nodiscard]] bool in_syscall() const { return !on_cpu && syscall >= 0; }
  [[nodiscard]] bool same_call(const ThreadReading& other) const;
  [[nodiscard]] bool same_moment(const ThreadReading& other) const;
};

// futex, futex_waitv and friends: the only calls a glibc lock blocks in.
bool is_futex_call(const ThreadReading& reading);
// The word such a call sleeps on (the first one of futex_waitv is not decoded: nullopt).
std::optional<uint64_t> futex_address(const ThreadReading& reading);

// What a thread had of processors, up to the last time that it was given or lost one, or the
// kernel's last tick.
struct ScheduleReading {
  std::chrono::nanoseconds ran{0};
  std::chrono::nanoseconds waited{0};  // ready to run, for a processor
};

// The threads of one process. Keeps /proc/PID/task open: a reading costs two short reads.
class TaskDirectory {
 public:
  static Result<TaskDirectory> open(int pid);
  [[nodiscard]] int pid() const { return pid_; }
  [[nodiscard]] std::vector<int> list() const;                     // tids, ascending; empty: gone
  [[nodiscard]] std::optional<ThreadReading> read(int tid) const;  // all fields
  // nullopt: gone, or a kernel that does not count it.
  [[nodiscard]] std::optional<ScheduleReading> read_schedule(int tid) const;
  [[nodiscard]] char read_state(int tid) const;  // as ThreadReading::state; '?': gone
  // Brief, unless it sleeps outside system calls: then it may have ended.
  [[nodiscard]] std::optional<ThreadReading> read_brief(int tid) const;

 private:
  TaskDirectory(int pid, FileDescriptor fd) : pid_(pid), fd_(std::move(fd)) {}
  bool read_syscall_line(int tid, ThreadReading& reading) const;
  bool read_status(int tid, ThreadReading& reading) const;

  int pid_;
  FileDescriptor fd_;
};

std::vector<int> list_threads(int pid);
std::optional<ThreadReading> read_thread(int pid, int tid);
std::string read_comm(int tid);  // its name; empty: it has gone
// Processor time of all threads a process has or had, to the nanosecond, without a look at each.
// Two equal readings: none of them ran in between. nullopt: the process has gone.
std::optional<std::chrono::nanoseconds> read_processor_time(int pid);
// The thread through which the kernel shows the process's memory when `pid` itself does not: the
// first one may have ended (pthread_exit in main) while others run. 0: none.
int find_memory_thread(int pid);

// One line of /proc/PID/maps.
struct Mapping {
  uint64_t start = 0;
  uint64_t end = 0;
  uint64_t offset = 0;
  uint64_t device = 0;  // major << 32 | minor
  uint64_t inode = 0;
  bool readable = false, writable = false, executable = false, shared = false;
  bool deleted = false;  // the file at this path is not the mapped one any more
  std::string path;      // "[stack]", "/usr/lib/...", empty
};
// Named memory, and what lies directly behind it (the zero-filled end of a file's data). The rest
// is left out: of a process with a thousand threads that is a thousand stacks. At most `max`.
inline constexpr size_t kMostMappings = 1 << 20;
Result<std::vector<Mapping>> read_maps(int pid, size_t max = kMostMappings);
std::vector<Mapping> parse_maps(std::string_view text);

struct ProcessStatus {
  int parent = 0;
  char state = '?';
  int inner_pid = 0;
  bool namespaced = false;      // its own pid namespace gives it another number
  uint64_t caught_signals = 0;  // SigCgt: bit N-1 is signal N
};
std::optional<ProcessStatus> read_status(int pid);

// Caught signals whose handler could do something for the program, such as post a semaphore:
// without the fault signals, which only its own errors raise, and without 32 and 33, which glibc
// uses.
uint64_t helpful_signals(uint64_t caught_signals);

std::vector<int> list_processes();            // all that /proc shows
std::string read_exe(int pid);                // without " (deleted)"; empty: unknown
std::vector<std::string> read_argv(int pid);  // at most 1 MiB
std::vector<int> list_children(int pid);      // direct ones
std::vector<int> list_descendants(int pid);   // all, without `pid` itself

// Tids as the process itself sees them (on its card, in its locks) -> tids as we see them. Empty if
// they are the same.
std::unordered_map<int, int> map_inner_tids(int pid);

}  // namespace gordian::process
