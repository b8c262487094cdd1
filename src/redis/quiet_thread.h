// SPDX-License-Identifier: Apache-2.0
// A thread that takes none of the program's signals: their handlers would run in it, in the middle
// of what the program knows nothing of, and a program that waits for a signal would miss it.
#pragma once

#include <csignal>
#include <pthread.h>
#include <thread>
#include <utility>

namespace gordian::redis {

template <typename Work>
std::thread start_quiet_thread(Work work) {
  class Blocked {
   public:
    Blocked() {
      sigset_t all;
      sigfillset(&all);
      // Faults of its own are its own.
      for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS})
        sigdelset(&all, fault);
      pthread_sigmask(SIG_SETMASK, &all, &before_);
    }
    ~Blocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
    Blocked(const Blocked&) = delete;
    Blocked& operator=(const Blocked&) = delete;

   private:
    sigset_t before_{};
  };
  const Blocked blocked;  // inherited
  return std::thread(std::move(work));
}

}  // namespace gordian::redis
