// SPDX-License-Identifier: Apache-2.0
#include "process/live_facts.h"

#include "process/debug_info.h"
#include "process/stopped_thread.h"
#include "process/wait_function.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <sched.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <thread>
#include <unistd.h>
#include <unordered_set>

namespace gordian::process {
namespace {

using std::chrono::nanoseconds;

constexpr int kMaxTurns = 64;  // of listing the threads, while there are new ones

bool path_exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

// Milliseconds with a fraction, as /proc/PID/sched prints them.
std::optional<nanoseconds> last_run(const std::string& task) {
  const Result<std::string> text = read_file(task + "/sched", 1 << 14);
  if (!text) return std::nullopt;
  constexpr std::string_view kKey = "se.exec_start";
  const size_t at = text->find(kKey);
  const size_t colon = at == std::string::npos ? at : text->find(':', at);
  if (colon == std::string::npos) return std::nullopt;
  double milliseconds = 0;
  if (std::sscanf(text->c_str() + colon + 1, "%lf", &milliseconds) != 1 || milliseconds <= 0)
    return std::nullopt;
  return nanoseconds(static_cast<int64_t>(milliseconds * 1e6));
}

// The 39th field of `stat`; the name in the second may hold blanks and brackets.
std::optional<int> last_processor(const std::string& task) {
  const Result<std::string> text = read_file(task + "/stat", 1 << 12);
  if (!text) return std::nullopt;
  size_t at = text->rfind(')');
  for (int field = 2; at != std::string::npos && field < 39; ++field) at = text->find(' ', at + 1);
  int processor = 0;
  if (at == std::string::npos || std::sscanf(text->c_str() + at, "%d", &processor) != 1)
    return std::nullopt;
  return processor;
}

// What the clock of that processor says, by running there for a moment.
std::optional<nanoseconds> scheduler_clock(int processor) {
  cpu_set_t before;
  if (processor < 0 || processor >= CPU_SETSIZE ||
      sched_getaffinity(0, sizeof before, &before) != 0)
    return std::nullopt;
  cpu_set_t there;
  CPU_ZERO(&there);
  CPU_SET(static_cast<size_t>(processor), &there);
  if (sched_setaffinity(0, sizeof there, &there) != 0) return std::nullopt;
  sched_yield();
  const std::optional<nanoseconds> now = last_run("/proc/thread-self");
  sched_setaffinity(0, sizeof before, &before);
  return now;
}

ThreadFacts to_facts(const ThreadReading& reading) {
  ThreadFacts facts;
  facts.tid = reading.tid;
  facts.own_tid = static_cast<uint32_t>(reading.inner_tid);
  facts.name = reading.comm;
  facts.gone = reading.state == 'Z' || reading.state == 'X';
  facts.blocked = !reading.on_cpu && (reading.state == 'S' || reading.state == 'D');
  if (!facts.blocked || !reading.readable) return facts;
  facts.syscall = reading.syscall;
  facts.args = reading.args;
  facts.registers.set(kRegisterPc, reading.pc);
  facts.registers.set(kRegisterRsp, reading.sp);
  return facts;
}

// The first thing that stands in the way of looking into the process, with the way out.
std::string find_obstacle(const ThreadReading& reading) {
  const int pid = reading.tid;
  const int error = [&] {
    std::array<char, 1> byte{};
    const Result<std::vector<Mapping>> maps = read_maps(pid, 1);
    if (!maps || maps->empty()) return EACCES;
    iovec local{byte.data(), byte.size()};
    iovec remote{reinterpret_cast<void*>(maps->front().start), byte.size()};
    return process_vm_readv(pid, &local, 1, &remote, 1, 0) < 0 ? errno : 0;
  }();
  if (error != EPERM && error != EACCES && reading.readable) return {};
  const Result<std::string> words = read_file("/proc/" + std::to_string(pid) + "/status", 1 << 14);
  if (words && words->find("\nVmSize:") == std::string::npos)
    return "it is a thread of the kernel and has no program";
  const Result<std::string> scope = read_file("/proc/sys/kernel/yama/ptrace_scope", 16);
  struct stat status {};
  const std::string folder = "/proc/" + std::to_string(pid);
  const bool foreign = stat(folder.c_str(), &status) == 0 && status.st_uid != geteuid();
  if (geteuid() == 0)
    return "even root needs CAP_SYS_PTRACE to read its memory: start the container with "
           "--cap-add=SYS_PTRACE";
  if (foreign)
    return "it belongs to another user, or its program is set-user-id: run as root (sudo), or give "
           "gordian CAP_SYS_PTRACE";
  if (scope && !scope->empty() && (*scope)[0] >= '1') {
    return "kernel.yama.ptrace_scope is " + scope->substr(0, 1) +
           ": run as root (sudo), give gordian CAP_SYS_PTRACE, or until the next boot: sysctl "
           "kernel.yama.ptrace_scope=0";
  }
  return "its program may not be looked into (not dumpable): run as root (sudo), or give gordian "
         "CAP_SYS_PTRACE";
}

// A thread by which the process is looked into.
struct Face {
  int tid = 0;
  std::string obstacle;
};

// The main thread, if it has not ended. Others may end while they are asked: what then cannot be
// read is no lack of permission, so the next one is asked.
std::optional<Face> find_face(const TaskDirectory& tasks) {
  const auto lives = [&](int tid) {
    const std::optional<ThreadReading> reading = tasks.read(tid);
    return reading && reading->state != 'Z' && reading->state != 'X' ? reading : std::nullopt;
  };
  const auto look = [&](int tid) -> std::optional<Face> {
    const std::optional<ThreadReading> reading = lives(tid);
    if (!reading) return std::nullopt;
    Face face{tid, find_obstacle(*reading)};
    if (face.obstacle.empty() || lives(tid)) return face;
    return std::nullopt;
  };
  std::optional<Face> face = look(tasks.pid());
  if (face) return face;
  for (const int tid : tasks.list())
    if (tid != tasks.pid() && (face = look(tid))) return face;
  return std::nullopt;
}

}  // namespace

Result<std::unique_ptr<LiveProcess>> LiveProcess::open(int pid) {
  if (!path_exists("/proc/" + std::to_string(pid)))
    return Error("no such process", "in a container a process has another number inside");
  GORDIAN_TRY(TaskDirectory tasks, TaskDirectory::open(pid));
  const std::optional<Face> face = find_face(tasks);
  if (!face) return Error("it has ended", "its parent has not yet asked for its exit status");
  const int tid = face->tid;
  std::unique_ptr<LiveProcess> process(new LiveProcess(std::move(tasks), tid));
  const std::optional<ProcessStatus> status = read_status(pid);
  process->namespaced_ = status && status->namespaced;
  process->facts_.process.pid = pid;
  process->facts_.process.exe = read_exe(tid);
  process->facts_.process.argv = read_argv(tid);
  // Unknown is taken for yes: it only turns a `deadlock` into a `stall`.
  process->facts_.process.handles_signals = !status || helpful_signals(status->caught_signals) != 0;
  process->obstacle_ = face->obstacle;
  process->view_ =
      std::make_unique<ProcessView>(tid, read_modules(tid).value_or(std::vector<Module>{}));
  process->facts_.memory = &process->cache_;
  process->facts_.symbols = &process->view_->symbols();
  LiveProcess* const self = process.get();
  process->facts_.shared_place = [self](uint64_t address) { return self->shared_place(address); };
  process->facts_.has_thread = [self](uint32_t own_tid) { return self->has_thread(own_tid); };
  process->facts_.is_alive_elsewhere = [self](uint32_t own_tid) {
    return self->is_alive_elsewhere(own_tid);
  };
  return process;
}

const ProcessFacts& LiveProcess::take_down(bool in_brief) {
  cache_.forget();
  maps_read_ = false;
  clocks_.clear();
  first_.clear();
  facts_.threads.clear();
  processor_time_ = read_processor_time(pid());
  const std::optional<ThreadReading> face = tasks_.read(face_);
  const bool is_stopped = face && (face->state == 'T' || face->state == 't');
  in_brief = in_brief && processor_time_ && !namespaced_ && !is_stopped;
  // Who was read as waiting may have started another thread just before: without that one, which
  // goes on and may wake the others, all would seem to be stuck.
  std::unordered_set<int> read;
  for (int turn = 0; turn < kMaxTurns; ++turn) {
    const size_t before = read.size();
    const std::vector<int> tids = tasks_.list();
    facts_.threads.reserve(tids.size());
    first_.reserve(tids.size());
    for (const int tid : tids)
      if (read.insert(tid).second) take_down(tid, in_brief);
    if (read.size() == before || (in_brief && has_not_run())) break;
    // There is no end to it: then the youngest is not done either.
    if (turn == kMaxTurns - 1 && !facts_.threads.empty()) facts_.threads.back().blocked = false;
  }
  second_.assign(first_.size(), std::nullopt);
  read_stacks_ahead();
  return facts_;
}

// Where their system calls were made shows what most wait for.
void LiveProcess::read_stacks_ahead() {
  constexpr size_t kFrames = 256;  // those of libc's waiting functions
  std::vector<uint64_t> tips;
  for (const ThreadReading& reading : first_)
    if (is_futex_call(reading)) tips.push_back(reading.sp);
  cache_.read_ahead(tips, kFrames);
}

void LiveProcess::take_down(int tid, bool in_brief) {
  std::optional<ThreadReading> reading = in_brief ? tasks_.read_brief(tid) : tasks_.read(tid);
  if (!reading) return;
  ThreadFacts facts = to_facts(*reading);
  const auto known = registers_.find(tid);
  if (known != registers_.end() && facts.blocked && known->second.rsp == reading->sp &&
      known->second.rip == reading->pc)
    facts.registers = RegisterSet(known->second);
  facts_.threads.push_back(std::move(facts));
  first_.push_back(std::move(*reading));
}

bool LiveProcess::learn_registers(size_t thread) {
  const ThreadReading& reading = first_[thread];
  if (!is_futex_call(reading)) return false;
  // To the scheduler the stop will have been a run.
  const std::optional<nanoseconds> age = sleeping_for(thread);
  const auto now = std::chrono::steady_clock::now();
  const std::optional<model::Registers> registers = read_registers_stopped(reading.tid);
  if (!registers) return false;
  registers_[reading.tid] = *registers;
  if (age) asleep_since_[reading.tid] = now - *age;
  // It has to get back into its call before it is looked at again.
  constexpr std::chrono::milliseconds kReturn{500};  // on a busy machine
  const auto deadline = std::chrono::steady_clock::now() + kReturn;
  do {
    std::this_thread::sleep_for(std::chrono::microseconds(50));
    const std::optional<ThreadReading> again = tasks_.read(reading.tid);
    if (!again || (is_futex_call(*again) && again->state == 'S')) break;
  } while (std::chrono::steady_clock::now() < deadline);
  return true;
}

// The function keeps its argument where it got it, and has no frame. That of the preloaded runtime
// is not looked for: its waits are on the board.
std::optional<LiveProcess::Spin> LiveProcess::find_spin(int tid) const {
  const std::optional<StoppedCall> call = read_call_stopped(tid);
  if (!call) return std::nullopt;
  const auto symbol = facts_.symbols->debug_info().find_symbol(call->registers.rip);
  if (!symbol || find_wait_target(plain_name(symbol->name)) != WaitTarget::Spin)
    return std::nullopt;
  return Spin{call->argument, call->registers};
}

void LiveProcess::look_for_spin(size_t thread) {
  ThreadFacts& facts = facts_.threads[thread];
  if (facts.blocked || facts.gone) return;
  const std::optional<Spin> spin = find_spin(facts.tid);
  if (!spin) return;
  facts.spins_on = spin->lock;
  facts.registers = RegisterSet(spin->registers);
}

bool LiveProcess::still_spins(size_t thread) const {
  const ThreadFacts& facts = facts_.threads[thread];
  const std::optional<Spin> now = find_spin(facts.tid);
  return now && now->lock == facts.spins_on &&
         now->registers.rsp == facts.registers.get(kRegisterRsp);
}

bool LiveProcess::is_stopped(size_t thread) const {
  return first_[thread].state == 'T' || first_[thread].state == 't';
}

void LiveProcess::read_again(size_t thread) {
  ThreadReading& first = first_[thread];
  second_[thread] = tasks_.read(first.tid);
  if (second_[thread] && first.is_brief && first.same_call(*second_[thread]))
    first = *second_[thread];
}

std::string LiveProcess::name(size_t thread) const {
  const ThreadReading& reading = first_[thread];
  return reading.is_brief ? read_comm(reading.tid) : reading.comm;
}

bool LiveProcess::has_not_run() const {
  return processor_time_ && read_processor_time(pid()) == processor_time_;
}

bool LiveProcess::is_steady(size_t thread) const {
  if (facts_.threads[thread].spins_on != 0) return still_spins(thread);
  const ThreadReading& first = first_[thread];
  const std::optional<ThreadReading>& second = second_[thread];
  if (!second || !facts_.threads[thread].blocked) return false;
  if (first.is_brief) return second->is_brief;  // repeated: it has not run
  return (first.state == 'S' || first.state == 'D') && first.same_moment(*second);
}

bool LiveProcess::stands_still(size_t thread) const {
  if (facts_.threads[thread].spins_on != 0) {
    // Who spins for a lock that is merely busy is sooner or later met elsewhere.
    constexpr int kLooks = 20;
    for (int look = 0; look < kLooks; ++look) {
      if (!still_spins(thread)) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return true;
  }
  const std::optional<ThreadReading> now = tasks_.read(first_[thread].tid);
  return now && first_[thread].same_moment(*now);
}

bool LiveProcess::waits_again(size_t thread) const {
  constexpr int kLooks = 10;
  for (int look = 0; look < kLooks; ++look) {
    const std::optional<ThreadReading> now = tasks_.read(first_[thread].tid);
    if (now && futex_address(*now) == first_[thread].args[0] && now->sp == first_[thread].sp)
      return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return false;
}

std::optional<nanoseconds> LiveProcess::sleeping_for(size_t thread) {
  if (facts_.threads[thread].spins_on != 0) return std::nullopt;
  const auto stopped = asleep_since_.find(first_[thread].tid);
  if (stopped != asleep_since_.end() &&
      facts_.threads[thread].registers.get(kRegisterRbx).has_value())
    return std::chrono::steady_clock::now() - stopped->second;
  // The scheduler has a clock for each processor, with no zero that anybody knows: our own last run
  // on the same processor shows where it stands.
  const std::string task =
      "/proc/" + std::to_string(pid()) + "/task/" + std::to_string(first_[thread].tid);
  const std::optional<nanoseconds> then = last_run(task);
  const std::optional<int> processor = last_processor(task);
  if (!then || !processor) return std::nullopt;
  const auto [place, is_new] = clocks_.try_emplace(*processor);
  if (is_new) place->second = scheduler_clock(*processor);
  if (!place->second) return std::nullopt;
  return std::max(nanoseconds(0), *place->second - *then);
}

bool LiveProcess::has_thread(uint32_t own_tid) const {
  int outer = static_cast<int>(own_tid);
  if (namespaced_) {
    const auto known = map_inner_tids(pid());
    const auto found = known.find(outer);
    if (found == known.end()) return false;
    outer = found->second;
  }
  return path_exists("/proc/" + std::to_string(pid()) + "/task/" + std::to_string(outer));
}

std::optional<bool> LiveProcess::is_alive_elsewhere(uint32_t own_tid) const {
  // The numbers of another pid namespace say nothing to us.
  if (namespaced_) return std::nullopt;
  // One that has ended but is not yet asked for releases nothing either.
  const std::optional<ProcessStatus> status = read_status(static_cast<int>(own_tid));
  return status && status->state != 'Z' && status->state != 'X';
}

std::optional<SharedPlace> LiveProcess::shared_place(uint64_t address) {
  if (!maps_read_) maps_ = read_maps(face_).value_or(std::vector<Mapping>{});
  maps_read_ = true;
  for (const Mapping& mapping : maps_) {
    if (address < mapping.start || address >= mapping.end) continue;
    if (!mapping.shared) return std::nullopt;
    return SharedPlace{mapping.device, mapping.inode, address - mapping.start + mapping.offset};
  }
  return std::nullopt;
}

}  // namespace gordian::process
