// SPDX-License-Identifier: Apache-2.0
#include "watch/program_clock.h"

#include <csignal>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace gordian::watch {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

class ForkedChild {
 public:
  template <typename Body>
  explicit ForkedChild(Body body) : pid_(fork()) {
    if (pid_ != 0) return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    body();
    _exit(0);
  }
  ForkedChild(const ForkedChild&) = delete;
  ForkedChild& operator=(const ForkedChild&) = delete;
  ~ForkedChild() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  [[nodiscard]] int pid() const { return pid_; }

 private:
  int pid_;
};

// Which part of the time on the wall the program is said to have had, over a fifth of a second and
// more: up to a moment at which the clock was set, for on a busy machine it is set seldom.
double share_of(int pid) {
  ProgramClock clock(pid);
  const auto begin = steady_clock::now();
  const auto first = clock.now();
  auto last = first;
  for (;;) {
    const std::chrono::duration<double> wall = steady_clock::now() - begin;
    const auto time = clock.now();
    if (time != last && wall >= milliseconds(200)) return (time - first) / wall;
    last = time;
  }
}

TEST(ProgramClock, GoesOnWhileAProgramSleeps) {
  const ForkedChild sleeper([] {
    for (;;) pause();
  });
  // Until it sleeps it may starve.
  const Result<process::TaskDirectory> tasks = process::TaskDirectory::open(sleeper.pid());
  ASSERT_TRUE(tasks);
  while (tasks->read_state(sleeper.pid()) != 'S') sched_yield();

  EXPECT_GE(share_of(sleeper.pid()), 0.5);
}

// Where we spin ourselves, one who runs only when nobody else wants to gets next to nothing.
TEST(ProgramClock, StandsStillWhileAProgramGetsNoProcessor) {
  cpu_set_t before;
  ASSERT_EQ(sched_getaffinity(0, sizeof before, &before), 0);
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(sched_getcpu(), &one);
  ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
  const ForkedChild starved([] {
    const sched_param none{};
    sched_setscheduler(0, SCHED_IDLE, &none);
    for (;;) asm volatile("");
  });
  // It has to be idle before it can starve.
  while (sched_getscheduler(starved.pid()) != SCHED_IDLE) sched_yield();
  const double share = share_of(starved.pid());
  sched_setaffinity(0, sizeof before, &before);

  EXPECT_LE(share, 0.5);
}

TEST(ProgramClock, OfAProgramThatIsGoneGoesOn) { EXPECT_GE(share_of(-1), 0.5); }

}  // namespace
}  // namespace gordian::watch
