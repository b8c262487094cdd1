// SPDX-License-Identifier: Apache-2.0
// For tests: a real process that really blocks, forked from the test so that its code and its debug
// information are the test's own.
#pragma once

#include "model/snapshot.h"
#include "process/live.h"
#include "process/unwind.h"

#include <cstdint>
#include <functional>
#include <gtest/gtest.h>
#include <new>
#include <optional>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace gordian::process {

// What the child tells about itself, in memory both see.
struct ChildFacts {
  model::Registers registers;
  uint64_t address = 0;
  uint64_t site = 0;
  uint64_t frame = 0;
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
};

// The registers as the runtime publishes them: here, in the frame of the caller, which stays.
[[gnu::always_inline]] inline model::Registers registers_here() {
  model::Registers registers;
  asm volatile(
      "lea 0(%%rip), %%rax\n\tmov %%rax, %0\n\tmov %%rsp, %1\n\tmov %%rbp, %2\n\tmov %%rbx, %3\n\t"
      "mov %%r12, %4\n\tmov %%r13, %5\n\tmov %%r14, %6\n\tmov %%r15, %7"
      : "=m"(registers.rip), "=m"(registers.rsp), "=m"(registers.rbp), "=m"(registers.rbx),
        "=m"(registers.r12), "=m"(registers.r13), "=m"(registers.r14), "=m"(registers.r15)
      :
      : "rax", "memory");
  return registers;
}

class BlockedChild {
 public:
  // `body` runs in the child and must end in a futex wait that nobody ends.
  explicit BlockedChild(const std::function<void(ChildFacts&)>& body) {
    void* shared = mmap(nullptr, sizeof(ChildFacts), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    facts_ = new (shared) ChildFacts;
    pid_ = fork();
    if (pid_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      body(*facts_);
      _exit(0);
    }
    // Until it blocks: twice at the same place with the same switches.
    const Result<TaskDirectory> tasks = TaskDirectory::open(pid_);
    std::optional<ThreadReading> last;
    while (tasks && waitpid(pid_, nullptr, WNOHANG) == 0) {
      const std::optional<ThreadReading> now = tasks->read(pid_);
      if (now && last && is_futex_call(*now) && now->same_moment(*last)) break;
      last = now;
      sched_yield();
    }
    reading_ = last;
  }
  ~BlockedChild() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    munmap(facts_, sizeof(ChildFacts));
  }
  BlockedChild(const BlockedChild&) = delete;
  BlockedChild& operator=(const BlockedChild&) = delete;

  [[nodiscard]] int pid() const { return pid_; }
  [[nodiscard]] const ChildFacts& facts() const { return *facts_; }
  [[nodiscard]] const ThreadReading& reading() const { return reading_.value(); }
  [[nodiscard]] RegisterSet kernel_registers() const {
    RegisterSet registers;
    registers.set(kRegisterPc, reading().pc);
    registers.set(kRegisterRsp, reading().sp);
    return registers;
  }

 private:
  int pid_ = 0;
  ChildFacts* facts_ = nullptr;
  std::optional<ThreadReading> reading_;
};

// Ends in a self-lock of `mutex`, with registers, site and frame told as a hook would.
[[gnu::noinline]] inline void block_on(ChildFacts& facts, pthread_mutex_t& mutex) {
  facts.address = reinterpret_cast<uint64_t>(&mutex);
  facts.site = reinterpret_cast<uint64_t>(__builtin_return_address(0));
  facts.frame = reinterpret_cast<uint64_t>(__builtin_frame_address(0)) + 16;
  facts.registers = registers_here();
  pthread_mutex_lock(&mutex);
  pthread_mutex_lock(&mutex);
  asm volatile("" ::: "memory");  // the call above is no tail call: this frame stays
}

}  // namespace gordian::process
