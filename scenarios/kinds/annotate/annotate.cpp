// SPDX-License-Identifier: Apache-2.0
// A lock that we cannot see, made visible by gordian/annotate.h: a futex lock of the program's own.
//
// RUN(cycle, with-mutex, closed-wakers, named, mailbox): gordian run -- %program %case
// EXIT(cycle, with-mutex, closed-wakers, named, mailbox): 66
// JSON(cycle, with-mutex, closed-wakers, named, mailbox): findings=1
// JSON(cycle): verdict=deadlock kind=lock-order knot=left,right locks=inode,page
// JSON(with-mutex): verdict=deadlock kind=lock-order|mixed knot=left,right locks=inode,plain
// JSON(closed-wakers): verdict=deadlock locks=arrived
// JSON(named): verdict=deadlock knot=left,right locks=superblock
// JSON(mailbox): verdict=deadlock kind=queue knot=annotate,sender locks=inode,letters
// EXPECT(mailbox): waits on queue letters, which could only be served by "sender"
//
// Without the annotations such a lock is a futex like any other.
// ATTACH(cycle, with-mutex, named, mailbox): skip
//
// RUN(consistent, never-report, try, bare-program, served): gordian run -- %program %case
// EXIT(consistent, never-report, try, bare-program, served): 0
// JSON(consistent, never-report, try, bare-program, served): findings=0
//
// RUN(lucky, asserted): gordian run -- %program %case
// EXIT(lucky, asserted): 0
// JSON(lucky): verdict=possible kind=lock-order locks=inode,page
#include "support/blocked.h"
#include "support/cases.h"
#include "support/steps.h"
#include "support/thread.h"
#include <gordian/annotate.h>

#include <atomic>
#include <condition_variable>
#include <linux/futex.h>
#include <mutex>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace {

using scenario::Steps;
using scenario::Thread;
using scenario::Tid;

// 0 free, 1 held, 2 held and waited for.
class FutexLock {
 public:
  void lock() {
    int expected = 0;
    if (!word_.compare_exchange_strong(expected, 1)) {
      GORDIAN_WANTS(this);
      while (word_.exchange(2) != 0) {
        syscall(SYS_futex, &word_, FUTEX_WAIT_PRIVATE, 2, nullptr, nullptr, 0);
      }
    }
    GORDIAN_ACQUIRED(this);
  }
  bool try_lock() {
    int expected = 0;
    if (!word_.compare_exchange_strong(expected, 1)) return false;
    GORDIAN_TRIED(this);
    return true;
  }
  void unlock() {
    GORDIAN_RELEASED(this);
    if (word_.exchange(0) == 2)
      syscall(SYS_futex, &word_, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
  }

 private:
  std::atomic<int> word_{0};
};

}  // namespace

FutexLock inode, page;
std::mutex plain;
std::mutex inbox;
std::condition_variable arrived;

namespace {

template <typename First, typename Second>
void cross(First& a, Second& b) {
  Steps both_hold_one;
  auto body = [&](auto& first, auto& second) {
    std::lock_guard hold(first);
    both_hold_one.meet(2);
    std::lock_guard want(second);
  };
  Thread left("left", [&] { body(a, b); });
  Thread right("right", [&] { body(b, a); });
}

void cycle() { cross(inode, page); }
void with_mutex() { cross(inode, plain); }

void named() {
  GORDIAN_NAMED(&inode, "superblock");
  cross(inode, page);
}

// A third thread is free, but is known not to be the one who signals.
void closed_wakers() {
  Tid waiter_tid;
  Steps declared;
  Thread waiter("waiter", [&] {
    declared.wait_for(1);
    std::lock_guard hold(plain);
    std::unique_lock lock(inbox);
    waiter_tid.set(gettid());
    for (;;) arrived.wait(lock);
  });
  Thread signaller("signaller", [&] {
    GORDIAN_WAKES(&arrived);
    GORDIAN_WAKERS_COMPLETE(&arrived);
    declared.advance();
    scenario::wait_until_blocked_on(waiter_tid.get(), arrived);
    std::lock_guard want(plain);
    arrived.notify_one();
  });
  for (;;) poll(nullptr, 0, 1000);
}

void consistent() {
  auto body = [] {
    for (int i = 0; i < 300; ++i) {
      std::lock_guard hold(inode);
      std::lock_guard want(page);
    }
  };
  Thread left("left", body);
  Thread right("right", body);
}

template <typename First, typename Second>
void one_after_the_other(First& a, Second& b) {
  Steps turn;
  auto take = [](auto& first, auto& second) {
    std::lock_guard hold(first);
    std::lock_guard want(second);
  };
  Thread left("left", [&] {
    take(a, b);
    turn.advance();
    turn.wait_for(2);
  });
  Thread right("right", [&] {
    turn.wait_for(1);
    take(b, a);
    turn.advance();
  });
}

void lucky() { one_after_the_other(inode, page); }

void never_report() {
  GORDIAN_NEVER_REPORT(&inode, &page);
  one_after_the_other(inode, page);
}

void try_other() {
  Steps both_hold_one, both_tried;
  auto body = [&](FutexLock& first, FutexLock& second) {
    first.lock();
    both_hold_one.meet(2);
    if (second.try_lock()) second.unlock();
    both_tried.meet(2);
    first.unlock();
  };
  Thread left("left", [&] { body(inode, page); });
  Thread right("right", [&] { body(page, inode); });
}

void asserted() {
  GORDIAN_ASSERT_NONE_HELD();
  std::lock_guard hold(inode);
  GORDIAN_ASSERT_NONE_HELD();
}

// A box for one letter, whose reader sleeps on a word of its own.
class Mailbox {
 public:
  Mailbox() { GORDIAN_DESCRIBED(this, GORDIAN_KIND_QUEUE, -1, "letters"); }
  ~Mailbox() { GORDIAN_DESTROYED(this); }
  void put() {
    GORDIAN_SIGNALS(this);
    letters_.store(1);
    syscall(SYS_futex, &letters_, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
  }
  void take() {
    while (letters_.exchange(0) == 0) {
      GORDIAN_AWAITS(this);
      syscall(SYS_futex, &letters_, FUTEX_WAIT_PRIVATE, 0, nullptr, nullptr, 0);
      GORDIAN_WOKEN(this, 1);
    }
  }

 private:
  std::atomic<int> letters_{0};
};

void exchange_letters(bool holds) {
  Mailbox mailbox;
  Steps locked;
  Thread sender("sender", [&] {
    locked.wait_for(1);
    std::lock_guard hold(inode);
    mailbox.put();
  });
  std::unique_lock lock(inode, std::defer_lock);
  if (holds) lock.lock();
  locked.advance();
  mailbox.take();
}

void bare_program() { std::lock_guard hold(plain); }

}  // namespace

int main(int argc, char** argv) {
  return scenario::run_case(argc, argv,
                            {{"cycle", cycle},
                             {"with-mutex", with_mutex},
                             {"named", named},
                             {"closed-wakers", closed_wakers},
                             {"consistent", consistent},
                             {"lucky", lucky},
                             {"never-report", never_report},
                             {"try", try_other},
                             {"asserted", asserted},
                             {"mailbox", [] { exchange_letters(true); }},
                             {"served", [] { exchange_letters(false); }},
                             {"bare-program", bare_program}});
}
