// SPDX-License-Identifier: Apache-2.0
// The facts of a live process for decode_waits(), taken from /proc and by process_vm_readv: nothing
// is stopped. read(), decode, read_again(): who is_steady() then did not run in between, so all
// that was decoded of such threads was true at one instant.
#pragma once

#include "base/result.h"
#include "process/complete.h"
#include "process/live.h"
#include "process/memory.h"
#include "process/modules.h"
#include "process/symbols.h"
#include "process/thread_facts.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace gordian::process {

class LiveProcess {
 public:
  // Error: no such process. What may not be read is told by `obstacle`.
  static Result<std::unique_ptr<LiveProcess>> open(int pid);

  [[nodiscard]] int pid() const { return tasks_.pid(); }
  // Why memory or system calls cannot be read, in words with the way out; empty: they can.
  [[nodiscard]] const std::string& obstacle() const { return obstacle_; }

  // Takes all threads down anew. The facts live as long as this, until the next reading.
  const ProcessFacts& read() { return take_down(false); }
  // The same in brief, where that is possible: true at one instant only if it then has_not_run().
  const ProcessFacts& read_in_brief() { return take_down(true); }
  [[nodiscard]] const ProcessFacts& facts() const { return facts_; }

  // Neither runs nor waits: a signal or a debugger has stopped it.
  [[nodiscard]] bool is_stopped(size_t thread) const;

  // The second reading of the thread at this index of the facts; of a brief one the first whole
  // one.
  void read_again(size_t thread);
  // Takes the first reading for the second one too; for threads of a process that has_not_run().
  void repeat_reading(size_t thread) { second_[thread] = first_[thread]; }
  // None of its threads has run since before the first readings.
  [[nodiscard]] bool has_not_run() const;
  [[nodiscard]] std::string name(size_t thread) const;
  // Both readings are equal: it slept at the same place all the while.
  [[nodiscard]] bool is_steady(size_t thread) const;
  // Whether a third look shows it where the first one did: it has not moved since.
  [[nodiscard]] bool stands_still(size_t thread) const;

  // Whether a thread that asks again every few milliseconds is met in the same call at the same
  // place. It runs in between, so this takes a few looks; false: it was found elsewhere.
  [[nodiscard]] bool waits_again(size_t thread) const;

  // Stops it for up to 2 ms; the facts of the next read() have all its registers, if it is still
  // where it was. Futex calls only: they restart unseen by the program. False: no such luck.
  bool learn_registers(size_t thread);

  // Stops a thread that runs, and fills in its registers and `spins_on` if it is caught in
  // pthread_spin_lock. Its second reading is then a second such look.
  void look_for_spin(size_t thread);

  // How long ago it fell asleep; nullopt: the kernel does not tell.
  [[nodiscard]] std::optional<std::chrono::nanoseconds> sleeping_for(size_t thread);

  [[nodiscard]] ProcessView& view() { return *view_; }

 private:
  const ProcessFacts& take_down(bool in_brief);
  void take_down(int tid, bool in_brief);
  void read_stacks_ahead();
  LiveProcess(TaskDirectory tasks, int face)
      : tasks_(std::move(tasks)), memory_(face), cache_(memory_), face_(face) {}
  struct Spin {
    uint64_t lock = 0;
    model::Registers registers;
  };
  [[nodiscard]] std::optional<Spin> find_spin(int tid) const;
  [[nodiscard]] bool still_spins(size_t thread) const;
  [[nodiscard]] bool has_thread(uint32_t own_tid) const;
  [[nodiscard]] std::optional<bool> is_alive_elsewhere(uint32_t own_tid) const;
  [[nodiscard]] std::optional<SharedPlace> shared_place(uint64_t address);

  TaskDirectory tasks_;
  ProcessMemory memory_;
  CachedMemory cache_;
  std::unique_ptr<ProcessView> view_;
  std::string obstacle_;
  int face_;  // a thread that lives: a main thread that has ended has no memory any more
  bool namespaced_ = false;
  std::unordered_map<int, model::Registers> registers_;                          // by tid
  std::unordered_map<int, std::chrono::steady_clock::time_point> asleep_since_;  // of those
  ProcessFacts facts_;
  std::optional<std::chrono::nanoseconds> processor_time_;  // before the first readings
  std::vector<ThreadReading> first_;
  std::vector<std::optional<ThreadReading>> second_;
  std::vector<Mapping> maps_;
  std::unordered_map<int, std::optional<std::chrono::nanoseconds>> clocks_;  // by processor
  bool maps_read_ = false;
};

}  // namespace gordian::process
