// SPDX-License-Identifier: Apache-2.0
#include "watch/program_clock.h"

#include <algorithm>
#include <utility>

namespace gordian::watch {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::steady_clock;

// Longer than a tick of the kernel, which counts the time of a running thread no oftener.
constexpr milliseconds kPause{12};
// A look costs at most this part of a processor.
constexpr int kLookShare = 20;

}  // namespace

ProgramClock::ProgramClock(int pid) : looked_(steady_clock::now()), time_(looked_), pause_(kPause) {
  Result<process::TaskDirectory> tasks = process::TaskDirectory::open(pid);
  if (tasks) tasks_ = std::move(*tasks);
  starved(nanoseconds(0));
}

// How long the thread that had to wait longest for a processor waited, since the last look.
nanoseconds ProgramClock::starved(nanoseconds span) {
  nanoseconds longest{0};
  if (!tasks_) return longest;
  std::map<int, Ran> ran;
  for (const int tid : tasks_->list()) {
    const std::optional<process::ScheduleReading> reading = tasks_->read_schedule(tid);
    if (!reading) continue;
    Ran& now = ran[tid];
    now.reading = *reading;
    const auto before = ran_.find(tid);
    if (before == ran_.end()) continue;
    now.ahead = before->second.ahead;
    nanoseconds waited = reading->waited - before->second.reading.waited;
    if (waited.count() > 0) {
      // The kernel counts a wait when it is over; some of it we may have counted before.
      const nanoseconds counted = std::min(waited, now.ahead);
      waited -= counted;
      now.ahead = nanoseconds(0);
    } else if (reading->ran == before->second.reading.ran && tasks_->read_state(tid) == 'R') {
      waited = span;
      now.ahead += span;
    }
    longest = std::max(longest, waited);
  }
  ran_ = std::move(ran);
  return longest;
}

ProgramClock::time_point ProgramClock::now() {
  const time_point begin = steady_clock::now();
  const nanoseconds span = begin - looked_;
  if (span < pause_) return time_;
  time_ += std::max(span - starved(span), span / kSlowest);
  looked_ = begin;
  pause_ = std::max<nanoseconds>(kPause, kLookShare * (steady_clock::now() - begin));
  return time_;
}

}  // namespace gordian::watch
