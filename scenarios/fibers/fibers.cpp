// SPDX-License-Identifier: Apache-2.0
// A limit of every tool that thinks in threads: code that runs on stacks of its own.
//
// A fiber locks a mutex on one thread, is suspended, and goes on on another thread, where it
// unlocks. In between, the first thread asks for that mutex. By all that pthread knows it waits for
// itself for ever, and yet it does not: the fiber will go on. So no lock that was taken on a stack
// that is not the thread's may be a reason for the word "deadlock".
//
// RUN(migrating, staying):  gordian run -- %program
// EXIT(migrating, staying): 0
// JSON(migrating, staying): no verdict=deadlock
// JSON(staying):            findings=0
#include "support/blocked.h"
#include "support/steps.h"
#include "support/thread.h"
#include "support/twin.h"

#include <cstdio>
#include <functional>
#include <latch>
#include <memory>
#include <mutex>
#include <poll.h>
#include <ucontext.h>
#include <vector>

using scenario::kTwin;
using scenario::Twin;

// Runs a function on a stack of its own, in pieces, on whatever thread asks for the next piece.
class Fiber {
 public:
  explicit Fiber(std::function<void(Fiber*)> body) : body_(std::move(body)), stack_(256 * 1024) {
    getcontext(&inside_);
    inside_.uc_stack.ss_sp = stack_.data();
    inside_.uc_stack.ss_size = stack_.size();
    inside_.uc_link = nullptr;
    const auto self = reinterpret_cast<uintptr_t>(this);
    makecontext(&inside_, reinterpret_cast<void (*)()>(enter), 2, static_cast<unsigned>(self >> 32),
                static_cast<unsigned>(self));
  }
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  // Runs it until it suspends itself or ends.
  SCENARIO_FRAME void resume() { swapcontext(&outside_, &inside_); }
  // From within.
  SCENARIO_FRAME void suspend() { swapcontext(&inside_, &outside_); }

 private:
  static void enter(unsigned high, unsigned low) {
    auto* fiber = reinterpret_cast<Fiber*>(uintptr_t{high} << 32 | low);
    fiber->body_(fiber);
    fiber->suspend();
  }

  const std::function<void(Fiber*)> body_;
  std::vector<char> stack_;
  ucontext_t inside_ = {};
  ucontext_t outside_ = {};
};

std::mutex account;
long balance = 0;

// Changes the account, and waits for an answer from the network while it has it.
void transfer(Fiber* fiber) {
  account.lock();
  ++balance;
  fiber->suspend();
  ++balance;
  account.unlock();
}

int main() {
  const auto fiber = std::make_unique<Fiber>(transfer);
  scenario::Tid first_tid;
  std::latch suspended{1};
  scenario::Thread first("first", [&] {
    fiber->resume();
    first_tid.set(gettid());
    if (kTwin == Twin::Staying) {
      poll(nullptr, 0, 100);  // the network's answer
      fiber->resume();
    }
    suspended.count_down();
    const std::lock_guard lock(account);
    ++balance;
  });
  scenario::Thread second("second", [&] {
    suspended.wait();
    if (kTwin == Twin::Staying) return;
    scenario::wait_until_blocked(first_tid.get());
    poll(nullptr, 0, 1000);  // the network's answer
    fiber->resume();
  });
  first.join();
  second.join();
  std::printf("%ld\n", balance);
}
