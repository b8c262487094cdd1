// SPDX-License-Identifier: Apache-2.0
// The I/O thread's loop: descriptors (epoll), timers, and work that other threads bring.
//
// One thread runs it, or turns it for a loop of the program's own; only post(), wake_before() and
// stop() may be called by others. Nothing is called while an internal mutex is held.
#pragma once

#include "base/file.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <unordered_map>
#include <utility>
#include <vector>

namespace gordian::redis {

using Clock = std::chrono::steady_clock;
using TimePoint = Clock::time_point;

// Until then, in what poll() and sockets count; at least 1 ms: to them 0 is for ever, or no time.
inline std::chrono::milliseconds time_left(TimePoint until) {
  return std::max(std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now()),
                  std::chrono::milliseconds(1));
}

class EventLoop {
 public:
  using Work = std::function<void()>;
  using OnEvents = std::function<void(uint32_t events)>;
  using TimerId = std::pair<TimePoint, uint64_t>;

  EventLoop();

  // Asked before every sleep, besides the timers: when must it wake up. And called when that time
  // is there.
  void set_due(std::function<TimePoint()> next, Work reached);

  // Done before every sleep: what was gathered meanwhile leaves in one piece.
  void set_before_sleep(Work work) { before_sleep_ = std::move(work); }

  void run();
  void stop();

  // For a loop of the program's own, instead of run(): can be read whenever turn() has something to
  // do. From the first call on.
  int descriptor();
  // Does what is ready, and never waits.
  void turn();
  // At least once round, and then on, waiting where nothing is ready, for as long as it is told to.
  void run_while(const std::function<bool()>& goes_on, TimePoint until);

  // From any thread. The work is done in the order in which it came; what comes after stop() is
  // dropped.
  void post(Work work);
  // From any thread: the answer of `next` has become this early.
  void wake_before(TimePoint time);

  TimerId at(TimePoint time, Work work);
  void cancel(TimerId& id);  // a timer that fired or never was is fine; empties the id

  void watch(int fd, uint32_t events, OnEvents on_events);
  void change(int fd, uint32_t events);
  void forget(int fd);

 private:
  void ring();
  void do_posted();
  void fire_timers();
  [[nodiscard]] TimePoint wakes_at() const;
  TimePoint fall_asleep();
  void sleep_and_dispatch();
  void wait_and_dispatch(TimePoint until);
  void set_alarm(TimePoint time);

  FileDescriptor epoll_;
  FileDescriptor bell_;
  FileDescriptor alarm_;  // rings when turn() is due; only where there is a descriptor()
  TimePoint alarm_at_ = TimePoint::max();
  std::map<TimerId, Work> timers_;
  uint64_t timer_sequence_ = 0;
  std::unordered_map<int, std::pair<uint64_t, OnEvents>> watched_;  // with its generation
  uint64_t watch_generation_ = 0;
  std::function<TimePoint()> next_due_;
  Work due_reached_;
  Work before_sleep_;

  std::mutex posted_mutex_;
  std::vector<Work> posted_;
  // When the loop wakes by itself, in ns of the clock; kAwake while it works.
  std::atomic<int64_t> asleep_until_;
  std::atomic<bool> stopping_{false};
};

}  // namespace gordian::redis
