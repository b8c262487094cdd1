// SPDX-License-Identifier: Apache-2.0
#include "redis/event_loop.h"

#include "base/check.h"

#include <algorithm>
#include <cerrno>
#include <limits>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <system_error>
#include <unistd.h>

namespace gordian::redis {
namespace {

constexpr int64_t kAwake = std::numeric_limits<int64_t>::min();
// What an event says of the loop's own descriptors; those of others come with a generation.
constexpr uint64_t kBell = 0;
constexpr uint64_t kAlarm = 1;

int64_t ns_of(TimePoint time) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()).count();
}

// Until then, exactly where the kernel has epoll_pwait2 (5.11), else rounded up to a millisecond.
int wait_for_events(int epoll, epoll_event* events, int room, TimePoint until) {
  const auto left = std::clamp<std::chrono::nanoseconds>(
      until - Clock::now(), std::chrono::nanoseconds(0), std::chrono::hours(1));
  static bool has_pwait2 = true;  // touched by every loop's thread, but only ever to the same value
  if (__atomic_load_n(&has_pwait2, __ATOMIC_RELAXED)) {  // ORDER: a hint, nothing hangs on it
    const timespec time{.tv_sec = left.count() / 1'000'000'000,
                        .tv_nsec = left.count() % 1'000'000'000};
    const int count = epoll_pwait2(epoll, events, room, &time, nullptr);
    if (count >= 0 || errno != ENOSYS) return count;
    __atomic_store_n(&has_pwait2, false, __ATOMIC_RELAXED);  // ORDER: as above
  }
  return epoll_wait(epoll, events, room, static_cast<int>((left.count() + 999'999) / 1'000'000));
}

}  // namespace

EventLoop::EventLoop()
    : epoll_(epoll_create1(EPOLL_CLOEXEC)),
      bell_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      asleep_until_(kAwake) {
  if (!epoll_ || !bell_) throw std::system_error(errno, std::generic_category(), "epoll");
  epoll_event event{.events = EPOLLIN, .data = {.u64 = kBell}};
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, bell_.get(), &event) != 0)
    throw std::system_error(errno, std::generic_category(), "epoll_ctl");
}

void EventLoop::set_due(std::function<TimePoint()> next, Work reached) {
  next_due_ = std::move(next);
  due_reached_ = std::move(reached);
}

void EventLoop::ring() {
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(bell_.get(), &one, sizeof one);
}

void EventLoop::stop() {
  stopping_ = true;
  ring();
}

void EventLoop::post(Work work) {
  {
    const std::lock_guard lock(posted_mutex_);
    posted_.push_back(std::move(work));
  }
  if (asleep_until_ != kAwake) ring();
}

void EventLoop::wake_before(TimePoint time) {
  if (asleep_until_ > ns_of(time)) ring();
}

EventLoop::TimerId EventLoop::at(TimePoint time, Work work) {
  const TimerId id{time, ++timer_sequence_};
  timers_.emplace(id, std::move(work));
  return id;
}

void EventLoop::cancel(TimerId& id) {
  if (id.second != 0) timers_.erase(id);
  id = {};
}

void EventLoop::watch(int fd, uint32_t events, OnEvents on_events) {
  const uint64_t generation = ++watch_generation_;
  watched_[fd] = {generation, std::move(on_events)};
  // The generation travels with the event: a descriptor's number is used again at once.
  epoll_event event{.events = events,
                    .data = {.u64 = (generation << 32) | static_cast<uint32_t>(fd)}};
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0)
    throw std::system_error(errno, std::generic_category(), "epoll_ctl");
}

void EventLoop::change(int fd, uint32_t events) {
  const auto found = watched_.find(fd);
  GORDIAN_CHECK(found != watched_.end());
  epoll_event event{.events = events,
                    .data = {.u64 = (found->second.first << 32) | static_cast<uint32_t>(fd)}};
  epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event);
}

void EventLoop::forget(int fd) {
  if (watched_.erase(fd) != 0) epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
}

void EventLoop::do_posted() {
  std::vector<Work> work;
  {
    const std::lock_guard lock(posted_mutex_);
    work.swap(posted_);
  }
  for (Work& one : work) one();
}

void EventLoop::fire_timers() {
  const TimePoint now = Clock::now();
  while (!timers_.empty() && timers_.begin()->first.first <= now) {
    const Work work = std::move(timers_.begin()->second);
    timers_.erase(timers_.begin());
    work();
  }
  if (next_due_ && next_due_() <= now) due_reached_();
}

TimePoint EventLoop::wakes_at() const {
  TimePoint time = timers_.empty() ? TimePoint::max() : timers_.begin()->first.first;
  if (next_due_) time = std::min(time, next_due_());
  return time;
}

// First said, then looked again: whoever brought something before it was said is seen now, whoever
// comes later rings.
TimePoint EventLoop::fall_asleep() {
  asleep_until_ = ns_of(wakes_at());
  const TimePoint until = wakes_at();
  const std::lock_guard lock(posted_mutex_);
  return posted_.empty() ? until : TimePoint::min();
}

void EventLoop::sleep_and_dispatch() {
  TimePoint until = fall_asleep();
  if (until != TimePoint::max() && until <= Clock::now()) until = Clock::now();
  if (until == TimePoint::max()) until = Clock::now() + std::chrono::hours(1);
  wait_and_dispatch(until);
}

void EventLoop::wait_and_dispatch(TimePoint until) {
  epoll_event events[64];
  const int count = wait_for_events(epoll_.get(), events, 64, until);
  asleep_until_ = kAwake;
  for (int i = 0; i < count; ++i) {
    if (const uint64_t own = events[i].data.u64; own == kBell || own == kAlarm) {
      uint64_t rung = 0;
      [[maybe_unused]] const ssize_t size =
          ::read(own == kBell ? bell_.get() : alarm_.get(), &rung, sizeof rung);
      if (own == kAlarm) alarm_at_ = TimePoint::max();
      continue;
    }
    const int fd = static_cast<int>(events[i].data.u64 & 0xffffffff);
    const auto found = watched_.find(fd);
    if (found == watched_.end() || (found->second.first & 0xffffffff) != events[i].data.u64 >> 32)
      continue;
    const OnEvents on_events = found->second.second;  // a copy: it may forget itself
    on_events(events[i].events);
  }
}

void EventLoop::run() {
  while (!stopping_) {
    do_posted();
    fire_timers();
    if (stopping_) break;
    if (before_sleep_) before_sleep_();
    sleep_and_dispatch();
  }
}

int EventLoop::descriptor() {
  if (!alarm_) {
    alarm_ = FileDescriptor(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
    epoll_event event{.events = EPOLLIN, .data = {.u64 = kAlarm}};
    if (!alarm_ || epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, alarm_.get(), &event) != 0)
      throw std::system_error(errno, std::generic_category(), "timerfd");
    ring();
  }
  return epoll_.get();
}

// The clock is the one steady_clock reads.
void EventLoop::set_alarm(TimePoint time) {
  if (time == alarm_at_) return;
  alarm_at_ = time;
  itimerspec at{};  // zero: never
  if (time != TimePoint::max()) {
    const int64_t ns = std::max<int64_t>(ns_of(time), 1);
    at.it_value = {.tv_sec = ns / 1'000'000'000, .tv_nsec = ns % 1'000'000'000};
  }
  timerfd_settime(alarm_.get(), TFD_TIMER_ABSTIME, &at, nullptr);
}

void EventLoop::turn() {
  asleep_until_ = kAwake;
  // What has come is looked at before the timers: with a loop that comes late, a reply that lies
  // here already is none that did not come.
  wait_and_dispatch(Clock::now());
  do_posted();
  fire_timers();
  if (before_sleep_) before_sleep_();
  const TimePoint until = fall_asleep();
  if (until == TimePoint::min()) {
    ring();
  } else {
    set_alarm(until);
  }
}

void EventLoop::run_while(const std::function<bool()>& goes_on, TimePoint until) {
  TimerId limit = at(until, [] {});
  while (true) {
    do_posted();
    fire_timers();
    if (before_sleep_) before_sleep_();
    if (!goes_on() || Clock::now() >= until) break;
    sleep_and_dispatch();
  }
  cancel(limit);
  // Whoever turns it next has seen nothing of this.
  ring();
}

}  // namespace gordian::redis
