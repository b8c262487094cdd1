// SPDX-License-Identifier: Apache-2.0
#include "process/live.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <string_view>
#include <sys/syscall.h>
#include <unistd.h>
#include <unordered_set>

namespace gordian::process {
namespace {

constexpr size_t kMaxThreads = 1 << 20;
constexpr size_t kMaxArguments = 1 << 20;

#ifndef SYS_futex_waitv
constexpr int64_t kFutexWaitv = 449;
#else
constexpr int64_t kFutexWaitv = SYS_futex_waitv;
#endif

// A short file of /proc in one read: the kernel makes it whole, or not at all.
std::optional<std::string_view> read_short(int dir, const char* name, std::span<char> buffer) {
  const FileDescriptor fd(openat(dir, name, O_RDONLY | O_CLOEXEC));
  if (!fd) return std::nullopt;
  const ssize_t got = ::read(fd.get(), buffer.data(), buffer.size());
  if (got < 0) return std::nullopt;
  return std::string_view(buffer.data(), static_cast<size_t>(got));
}

std::optional<std::string> read_whole(const std::string& path, size_t max) {
  Result<std::string> text = read_file(path, max);
  if (!text) return std::nullopt;
  return *std::move(text);
}

template <typename T>
bool take_number(std::string_view& text, T& value, int base) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc()) return false;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return true;
}

bool take(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

bool take_hex(std::string_view& text, uint64_t& value) {
  while (take(text, " ")) {
  }
  take(text, "0x");
  return take_number(text, value, 16);
}

// The value of "Key:\tvalue" in a status file. Thread names are escaped by the kernel, so no name
// can pretend to be another line.
std::string_view status_value(std::string_view text, std::string_view key) {
  for (size_t at = 0; at < text.size();) {
    std::string_view line = text.substr(at, text.find('\n', at) - at);
    at += line.size() + 1;
    if (!take(line, key) || !take(line, ":")) continue;
    while (take(line, "\t") || take(line, " ")) {
    }
    return line;
  }
  return {};
}

template <typename T = int>
T status_number(std::string_view text, std::string_view key, int base = 10) {
  T value{};
  std::string_view rest = status_value(text, key);
  take_number(rest, value, base);
  return value;
}

// The innermost of "4711\t12\t1".
int innermost(std::string_view ids, bool* several = nullptr) {
  const size_t tab = ids.rfind('\t');
  if (several) *several = tab != std::string_view::npos;
  if (tab != std::string_view::npos) ids.remove_prefix(tab + 1);
  int id = 0;
  take_number(ids, id, 10);
  return id;
}

// The kernel writes \n and \\ in names as escapes.
std::string unescape(std::string_view text) {
  std::string plain;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size()) {
      ++i;
      plain += text[i] == 'n' ? '\n' : text[i];
    } else {
      plain += text[i];
    }
  }
  return plain;
}

std::vector<int> list_numbers(DIR* dir) {
  std::vector<int> numbers;
  while (const dirent* entry = readdir(dir)) {
    std::string_view name = entry->d_name;
    int number = 0;
    if (take_number(name, number, 10) && name.empty() && number > 0) numbers.push_back(number);
    if (numbers.size() >= kMaxThreads) break;
  }
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

std::string proc_path(int pid, const char* file) {
  return "/proc/" + std::to_string(pid) + "/" + file;
}

std::optional<Mapping> parse_mapping(std::string_view line) {
  Mapping mapping;
  uint64_t major = 0;
  uint64_t minor = 0;
  if (!take_number(line, mapping.start, 16) || !take(line, "-") ||
      !take_number(line, mapping.end, 16) || !take(line, " ") || line.size() < 5 ||
      mapping.end <= mapping.start)
    return std::nullopt;
  mapping.readable = line[0] == 'r';
  mapping.writable = line[1] == 'w';
  mapping.executable = line[2] == 'x';
  mapping.shared = line[3] == 's';
  line.remove_prefix(5);
  if (!take_number(line, mapping.offset, 16) || !take(line, " ") || !take_number(line, major, 16) ||
      !take(line, ":") || !take_number(line, minor, 16) || !take(line, " ") ||
      !take_number(line, mapping.inode, 10))
    return std::nullopt;
  mapping.device = major << 32 | minor;
  while (take(line, " ")) {
  }
  constexpr std::string_view kDeleted = " (deleted)";
  if (line.ends_with(kDeleted)) {
    line.remove_suffix(kDeleted.size());
    mapping.deleted = true;
  }
  mapping.path = line;
  return mapping;
}

// The lines of a maps file, as they come.
class MappingList {
 public:
  explicit MappingList(size_t max) : max_(max) {}

  // Whole lines; the last one may lack its end.
  void add(std::string_view text) {
    while (!text.empty() && !is_full()) {
      const std::string_view line = text.substr(0, text.find('\n'));
      text.remove_prefix(std::min(line.size() + 1, text.size()));
      std::optional<Mapping> mapping = parse_mapping(line);
      if (mapping && is_wanted(*mapping)) mappings_.push_back(*std::move(mapping));
    }
  }
  [[nodiscard]] bool is_full() const { return mappings_.size() >= max_; }
  std::vector<Mapping> take() { return std::move(mappings_); }

 private:
  [[nodiscard]] bool is_wanted(const Mapping& mapping) const {
    return !mapping.path.empty() || (!mappings_.empty() && mappings_.back().end == mapping.start);
  }

  size_t max_;
  std::vector<Mapping> mappings_;
};

// Piece by piece: of a process with many threads the whole text is long.
Result<std::vector<Mapping>> read_maps_of(int pid, size_t max) {
  const std::string path = proc_path(pid, "maps");
  const FileDescriptor fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return Error::from_errno(path);
  MappingList list(max);
  std::array<char, 32768> buffer;  // longer than any line
  size_t kept = 0;
  while (!list.is_full() && kept < buffer.size()) {
    const ssize_t got = ::read(fd.get(), buffer.data() + kept, buffer.size() - kept);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Error::from_errno("cannot read").in(path);
    const std::string_view text(buffer.data(), kept + static_cast<size_t>(got));
    const size_t whole = got == 0 ? text.size() : text.rfind('\n') + 1;  // 0: none
    list.add(text.substr(0, whole));
    if (got == 0) break;
    kept = text.size() - whole;
    std::memmove(buffer.data(), buffer.data() + whole, kept);
  }
  return list.take();
}

}  // namespace

bool ThreadReading::same_call(const ThreadReading& other) const {
  return tid == other.tid && on_cpu == other.on_cpu && readable && other.readable &&
         syscall == other.syscall && args == other.args && sp == other.sp && pc == other.pc;
}

bool ThreadReading::same_moment(const ThreadReading& other) const {
  // Whoever runs all the time between two readings shows the same counts in both.
  if (on_cpu || state == 'R') return false;
  return same_call(other) && state == other.state && !is_brief && !other.is_brief &&
         switches() == other.switches();
}

bool is_futex_call(const ThreadReading& reading) {
  return reading.in_syscall() && (reading.syscall == SYS_futex || reading.syscall == kFutexWaitv);
}

std::optional<uint64_t> futex_address(const ThreadReading& reading) {
  if (!reading.in_syscall() || reading.syscall != SYS_futex) return std::nullopt;
  return reading.args[0];
}

Result<TaskDirectory> TaskDirectory::open(int pid) {
  const std::string path = proc_path(pid, "task");
  FileDescriptor fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return Error::from_errno(path);
  return TaskDirectory(pid, std::move(fd));
}

std::vector<int> TaskDirectory::list() const {
  // A descriptor of its own: readdir moves the position, and the directory is shared by callers.
  FileDescriptor fd(openat(fd_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return {};
  DIR* dir = fdopendir(fd.get());
  if (!dir) return {};
  fd.release();
  std::vector<int> tids = list_numbers(dir);
  closedir(dir);
  return tids;
}

bool TaskDirectory::read_syscall_line(int tid, ThreadReading& reading) const {
  char name[32];
  char buffer[256];
  std::snprintf(name, sizeof name, "%d/syscall", tid);
  const std::optional<std::string_view> text = read_short(fd_.get(), name, buffer);
  reading.readable = text && !text->empty();
  if (!reading.readable) return false;
  std::string_view line = *text;
  if (line.starts_with("running")) {
    reading.on_cpu = true;
    return true;
  }
  bool ok = take_number(line, reading.syscall, 10);
  if (reading.syscall >= 0)
    for (uint64_t& arg : reading.args) ok = ok && take_hex(line, arg);
  ok = ok && take_hex(line, reading.sp) && take_hex(line, reading.pc);
  reading.readable = ok;
  return ok;
}

bool TaskDirectory::read_status(int tid, ThreadReading& reading) const {
  char name[32];
  char buffer[4096];
  std::snprintf(name, sizeof name, "%d/status", tid);
  const std::optional<std::string_view> text = read_short(fd_.get(), name, buffer);
  if (!text || text->empty()) return false;
  const std::string_view state = status_value(*text, "State");
  if (!state.empty()) reading.state = state[0];
  reading.comm = unescape(status_value(*text, "Name"));
  reading.inner_tid = innermost(status_value(*text, "NSpid"));
  if (reading.inner_tid == 0) reading.inner_tid = tid;
  reading.voluntary_switches = status_number<uint64_t>(*text, "voluntary_ctxt_switches");
  reading.involuntary_switches = status_number<uint64_t>(*text, "nonvoluntary_ctxt_switches");
  return true;
}

std::optional<ThreadReading> TaskDirectory::read(int tid) const {
  ThreadReading reading{.tid = tid, .inner_tid = tid};
  read_syscall_line(tid, reading);
  if (!read_status(tid, reading)) return std::nullopt;
  return reading;
}

std::optional<ThreadReading> TaskDirectory::read_brief(int tid) const {
  ThreadReading reading{.tid = tid, .inner_tid = tid};
  if (!read_syscall_line(tid, reading) || !reading.in_syscall()) return read(tid);
  reading.is_brief = true;
  reading.state = 'S';
  return reading;
}

std::optional<ScheduleReading> TaskDirectory::read_schedule(int tid) const {
  char name[32];
  char buffer[128];
  std::snprintf(name, sizeof name, "%d/schedstat", tid);
  std::optional<std::string_view> text = read_short(fd_.get(), name, buffer);
  uint64_t ran = 0;
  uint64_t waited = 0;
  if (!text || !take_number(*text, ran, 10) || !take(*text, " ") || !take_number(*text, waited, 10))
    return std::nullopt;
  return ScheduleReading{.ran = std::chrono::nanoseconds(ran),
                         .waited = std::chrono::nanoseconds(waited)};
}

char TaskDirectory::read_state(int tid) const {
  char name[32];
  char buffer[1024];
  std::snprintf(name, sizeof name, "%d/stat", tid);
  const std::optional<std::string_view> text = read_short(fd_.get(), name, buffer);
  // "tid (name) state ...": the name may contain anything.
  const size_t end = text ? text->rfind(')') : std::string_view::npos;
  return end == std::string_view::npos || end + 2 >= text->size() ? '?' : (*text)[end + 2];
}

std::vector<int> list_threads(int pid) {
  const Result<TaskDirectory> tasks = TaskDirectory::open(pid);
  return tasks ? tasks->list() : std::vector<int>();
}

std::optional<ThreadReading> read_thread(int pid, int tid) {
  const Result<TaskDirectory> tasks = TaskDirectory::open(pid);
  return tasks ? tasks->read(tid) : std::nullopt;
}

std::string read_comm(int tid) {
  std::string name = read_whole(proc_path(tid, "comm"), 64).value_or("");
  if (name.ends_with('\n')) name.pop_back();
  return name;
}

std::optional<std::chrono::nanoseconds> read_processor_time(int pid) {
  clockid_t clock{};
  timespec time{};
  if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &time) != 0)
    return std::nullopt;
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

int find_memory_thread(int pid) {
  const Result<TaskDirectory> tasks = TaskDirectory::open(pid);
  if (!tasks) return 0;
  for (const int tid : tasks->list()) {
    if (tid == pid) continue;
    const std::optional<ThreadReading> reading = tasks->read(tid);
    if (reading && reading->state != 'Z' && reading->state != 'X') return tid;
  }
  return 0;
}

std::vector<Mapping> parse_maps(std::string_view text) {
  MappingList list(kMostMappings);
  list.add(text);
  return list.take();
}

Result<std::vector<Mapping>> read_maps(int pid, size_t max) {
  GORDIAN_TRY(std::vector<Mapping> mappings, read_maps_of(pid, max));
  if (mappings.empty()) {
    if (const int tid = find_memory_thread(pid); tid != 0) {
      GORDIAN_TRY(mappings =, read_maps_of(tid, max));
    }
  }
  return mappings;
}

std::optional<ProcessStatus> read_status(int pid) {
  const std::optional<std::string> text = read_whole(proc_path(pid, "status"), 1 << 16);
  if (!text || text->empty()) return std::nullopt;
  ProcessStatus status;
  const std::string_view state = status_value(*text, "State");
  if (!state.empty()) status.state = state[0];
  status.parent = status_number(*text, "PPid");
  status.inner_pid = innermost(status_value(*text, "NSpid"), &status.namespaced);
  if (status.inner_pid == 0) status.inner_pid = pid;
  status.caught_signals = status_number<uint64_t>(*text, "SigCgt", 16);
  return status;
}

uint64_t helpful_signals(uint64_t caught_signals) {
  for (const int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS, 32, 33})
    caught_signals &= ~(uint64_t{1} << (signal - 1));
  return caught_signals;
}

std::string read_exe(int pid) {
  char buffer[4096];
  const ssize_t size = readlink(proc_path(pid, "exe").c_str(), buffer, sizeof buffer);
  if (size <= 0) return {};
  std::string path(buffer, static_cast<size_t>(size));
  constexpr std::string_view kDeleted = " (deleted)";
  if (path.ends_with(kDeleted)) path.resize(path.size() - kDeleted.size());
  return path;
}

std::vector<std::string> read_argv(int pid) {
  std::vector<std::string> argv;
  const std::optional<std::string> text = read_whole(proc_path(pid, "cmdline"), kMaxArguments);
  if (!text) return argv;
  for (size_t at = 0; at < text->size();) {
    const size_t end = std::min(text->find('\0', at), text->size());
    argv.emplace_back(*text, at, end - at);
    at = end + 1;
  }
  return argv;
}

std::vector<int> list_processes() {
  DIR* dir = opendir("/proc");
  if (!dir) return {};
  std::vector<int> processes = list_numbers(dir);
  closedir(dir);
  return processes;
}

std::vector<int> list_children(int pid) {
  const std::vector<int> threads = list_threads(pid);
  const auto of_parent = [pid](const std::vector<int>& processes) {
    std::vector<int> children;
    for (const int other : processes) {
      const std::optional<ProcessStatus> status = read_status(other);
      if (status && status->parent == pid) children.push_back(other);
    }
    return children;
  };
  // Each thread has the children it forked: a process may have more threads than there are
  // processes.
  constexpr size_t kFewThreads = 32;
  if (threads.size() > kFewThreads) {
    const std::vector<int> processes = list_processes();
    if (processes.size() < threads.size()) return of_parent(processes);
  }
  std::vector<int> children;
  bool known = false;
  for (const int tid : threads) {
    const std::string file = "task/" + std::to_string(tid) + "/children";
    const std::optional<std::string> text = read_whole(proc_path(pid, file.c_str()), 1 << 20);
    if (!text) continue;
    known = true;
    std::string_view rest = *text;
    int child = 0;
    while (take_number(rest, child, 10)) {
      children.push_back(child);
      take(rest, " ");
    }
  }
  // The file needs CONFIG_PROC_CHILDREN, which every distribution's kernel has.
  return known ? children : of_parent(list_processes());
}

std::vector<int> list_descendants(int pid) {
  std::vector<int> found;
  std::unordered_set<int> seen{pid};
  std::vector<int> open{pid};
  while (!open.empty() && seen.size() < kMaxThreads) {
    const int parent = open.back();
    open.pop_back();
    for (const int child : list_children(parent)) {
      if (!seen.insert(child).second) continue;
      found.push_back(child);
      open.push_back(child);
    }
  }
  return found;
}

std::unordered_map<int, int> map_inner_tids(int pid) {
  std::unordered_map<int, int> outer;
  const std::optional<ProcessStatus> status = read_status(pid);
  if (!status || !status->namespaced) return outer;
  const Result<TaskDirectory> tasks = TaskDirectory::open(pid);
  if (!tasks) return outer;
  for (const int tid : tasks->list())
    if (const std::optional<ThreadReading> reading = tasks->read(tid))
      outer[reading->inner_tid] = tid;
  return outer;
}

}  // namespace gordian::process
