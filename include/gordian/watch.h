// SPDX-License-Identifier: Apache-2.0
// Watching: how long named locks are waited for and held, who waits longest and for whom, and a
// call when somebody waits too long. Off until start_watching(); then every wait is measured, and
// one acquisition in `sample_every` of each thread, so that the fast path stays fast.
//
//   const auto tell = [](const gordian::long_wait& wait) { ... };
//   gordian::start_watching({.limit = 500ms, .on_long_wait = tell});
//   for (const auto& lock : gordian::watch_report().locks) ...
//   puts(gordian::prometheus_text().c_str());
//
// All functions are thread-safe. Locks without a name are counted together, as "". Counting
// allocates under the lock that is counted: do not watch a program whose operator new takes one.
#ifndef GORDIAN_WATCH_H
#define GORDIAN_WATCH_H

#include <gordian/attended.h>
#include <gordian/worker.h>

#include <array>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <pthread.h>
#include <string>
#include <string_view>
#include <vector>

// One for all libraries of the program, also of those that hide their symbols.
#pragma GCC visibility push(default)

namespace gordian {

// Bucket i counts times below 2^i microseconds; the last one all others.
struct time_histogram {
  static constexpr std::size_t buckets = 24;
  std::array<std::uint64_t, buckets + 1> counts{};
  std::uint64_t count = 0;
  std::chrono::nanoseconds sum{0};
  std::chrono::nanoseconds longest{0};

  static constexpr std::chrono::nanoseconds upper_bound(std::size_t bucket) {
    return std::chrono::nanoseconds(std::int64_t{1000} << bucket);
  }
  void add(std::int64_t ns) {
    std::size_t bucket = 0;
    while (bucket < buckets && ns >= upper_bound(bucket).count()) ++bucket;
    ++counts[bucket];
    ++count;
    sum += std::chrono::nanoseconds(ns);
    longest = std::max(longest, std::chrono::nanoseconds(ns));
  }
};

struct watched_lock {
  std::string name;
  time_histogram waits;  // 0 for a sampled acquisition that did not wait
  time_histogram holds;  // sampled
};

// A thread that waits now.
struct long_wait {
  std::string lock;
  std::string waiter;
  std::string where;
  std::chrono::nanoseconds waited{0};
  std::string holder;      // empty: unknown, or taken before watching began
  std::string held_since;  // where the holder took it, if the holder waits too
};

struct watch_summary {
  std::vector<watched_lock> locks;  // by name
  std::vector<long_wait> waiting;   // longest first
};

struct watch_options {
  std::uint32_t sample_every = 64;
  // Longer waits are told, once each, from a thread of their own that holds no lock; zero: never.
  std::chrono::nanoseconds limit{0};
  std::function<void(const long_wait&)> on_long_wait{};
};

namespace detail {

struct watch_books {
  leaf_lock lock;
  std::map<std::string, std::pair<time_histogram, time_histogram>> locks;
  std::mutex starting;                             // start and stop, one at a time
  std::vector<std::unique_ptr<watch_sink>> sinks;  // all: threads may still read an old one
  std::unique_ptr<worker> watchdog;
};

inline watch_books& the_watch_books();

// As the registry of checks.h. A child of fork() has no watchdog.
inline void lock_watch_for_fork() { the_watch_books().lock.lock(); }
inline void unlock_watch_after_fork() { the_watch_books().lock.unlock(); }
inline void lose_watchdog_after_fork() {
  watch_books& books = the_watch_books();
  new (&books.starting) std::mutex;  // whoever had it is not here
  static_cast<void>(books.watchdog.release());
  books.lock.unlock();
}

inline watch_books& the_watch_books() {
  static watch_books& books = []() -> watch_books& {
    auto* made = new watch_books;
    pthread_atfork(lock_watch_for_fork, unlock_watch_after_fork, lose_watchdog_after_fork);
    return *made;
  }();
  return books;
}

inline const char* plain_name(const lock_identity& lock) {
  return lock.name() != nullptr ? lock.name() : "";
}
inline void watch_waited(const lock_identity& lock, std::int64_t ns) {
  const leaf_hold hold(the_watch_books().lock);
  the_watch_books().locks[plain_name(lock)].first.add(ns);
}
inline void watch_held(const lock_identity& lock, std::int64_t ns) {
  const leaf_hold hold(the_watch_books().lock);
  the_watch_books().locks[plain_name(lock)].second.add(ns);
}

// Under the registry's lock.
inline long_wait describe_wait(const registry& books, const wait_record& wait, std::int64_t now) {
  long_wait result{plain_name(*wait.what),
                   words_of(*wait.who),
                   words_of(wait.site),
                   std::chrono::nanoseconds(now - wait.since_ns),
                   {},
                   {}};
  for (const auto& [number, thread] : books.threads) {
    // By number alone: the rest of the record is its thread's.
    if (wait.what->owner() >> 8 == (number & 0xff'ffff)) result.holder = words_of(*thread);
  }
  for (const wait_record* other = books.waits; other != nullptr; other = other->next) {
    const held_lock* held = other == &wait ? nullptr : hold_in_the_way(wait, *other->who);
    if (held == nullptr) continue;
    result.holder = words_of(*other->who);
    result.held_since = words_of(held->site);
  }
  return result;
}

// Told once each; returns when the next one may be due.
inline std::chrono::nanoseconds tell_long_waits(const watch_options& options) {
  std::vector<long_wait> found;
  std::int64_t next = options.limit.count();
  {
    registry& books = the_registry();
    const busy_scope busy;
    const leaf_hold hold(books.lock);
    const std::int64_t now = now_ns();
    for (wait_record* wait = books.waits; wait != nullptr; wait = wait->next) {
      if (wait->alarmed) continue;
      const std::int64_t left = options.limit.count() - (now - wait->since_ns);
      if (left > 0) {
        next = std::min(next, left);
        continue;
      }
      wait->alarmed = true;
      found.push_back(describe_wait(books, *wait, now));
    }
  }
  for (const long_wait& wait : found) options.on_long_wait(wait);
  return std::chrono::nanoseconds(next);
}

}  // namespace detail

// Ends watching; the figures stay until it starts again. Returns when no on_long_wait runs any
// more; called by one, at once.
inline void stop_watching() {
  detail::watch_books& books = detail::the_watch_books();
  std::unique_ptr<worker> ended;  // waited for under no lock: its callback may come here too
  const std::lock_guard hold(books.starting);
  detail::attention.fetch_and(~detail::attention_watch, std::memory_order_relaxed);
  detail::the_watch.store(nullptr, std::memory_order_release);
  ended = std::move(books.watchdog);
}

// Begins with empty figures. What is held already is not known.
inline void start_watching(watch_options options = {}) {
  stop_watching();
  detail::watch_books& books = detail::the_watch_books();
  std::unique_ptr<worker> ended;  // somebody else began at the same time; as in stop_watching()
  const std::lock_guard hold(books.starting);
  ended = std::move(books.watchdog);
  {
    const detail::busy_scope busy;
    const detail::leaf_hold leaf(books.lock);
    books.locks.clear();
  }
  if (!detail::is_checked()) detail::current_epoch.fetch_add(1, std::memory_order_relaxed);
  books.sinks.push_back(std::make_unique<detail::watch_sink>(
      detail::watch_sink{detail::watch_waited, detail::watch_held,
                         std::max<std::uint32_t>(options.sample_every, 1) - 1}));
  detail::the_watch.store(books.sinks.back().get(), std::memory_order_release);
  detail::attention.fetch_or(detail::attention_watch, std::memory_order_relaxed);
  if (options.limit.count() <= 0 || !options.on_long_wait) return;
  books.watchdog = std::make_unique<worker>(
      "gordian watchdog", [options = std::move(options)](const stop_token& stop) {
        std::atomic<std::uint32_t> word{0};
        const auto wake = [&word] {
          word.store(1);
          detail::futex_wake(&word, 1);
        };
        const stop_callback on_stop(stop, wake);
        while (!stop.stop_requested()) {
          const auto next = detail::tell_long_waits(options);
          detail::futex_wait(&word, 0, detail::deadline::in(next));
        }
      });
}

inline watch_summary watch_report() {
  watch_summary result;
  {
    const detail::busy_scope busy;
    const detail::leaf_hold hold(detail::the_watch_books().lock);
    for (const auto& [name, times] : detail::the_watch_books().locks) {
      result.locks.push_back({name, times.first, times.second});
    }
  }
  {
    detail::registry& books = detail::the_registry();
    const detail::busy_scope busy;
    const detail::leaf_hold hold(books.lock);
    const std::int64_t now = detail::now_ns();
    for (const auto* wait = books.waits; wait != nullptr; wait = wait->next) {
      result.waiting.push_back(detail::describe_wait(books, *wait, now));
    }
  }
  std::sort(result.waiting.begin(), result.waiting.end(),
            [](const long_wait& a, const long_wait& b) { return a.waited > b.waited; });
  return result;
}

namespace detail {

// The length of the character that `text` begins with; 0: it is no UTF-8.
inline std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
  };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  const std::size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  // Too long for what they say, surrogates, and what lies beyond Unicode.
  const unsigned both = first << 8 | byte(1);
  if ((first == 0xe0 && both < 0xe0a0) || (first == 0xed && both >= 0xeda0)) return 0;
  if ((first == 0xf0 && both < 0xf090) || both >= 0xf490) return 0;
  return length;
}

// Bytes that are no UTF-8 are written as \xff: Prometheus throws away a scrape that has any.
inline std::string prometheus_label(std::string_view text) {
  std::string result;
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    if (length == 0) {
      char code[8];
      std::snprintf(code, sizeof code, "\\\\x%02x", static_cast<unsigned char>(text[0]));
      result += code;
    } else if (text[0] == '\n') {
      result += "\\n";
    } else {
      if (text[0] == '\\' || text[0] == '"') result += '\\';
      result += text.substr(0, length);
    }
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return result;
}

// In seconds. By hand: printf would write a comma where the locale does.
inline std::string prometheus_seconds(std::chrono::nanoseconds time) {
  const auto ns = static_cast<unsigned long long>(std::max<std::int64_t>(time.count(), 0));
  char text[40];
  std::snprintf(text, sizeof text, "%llu.%09llu", ns / 1'000'000'000, ns % 1'000'000'000);
  return text;
}

inline void add_histogram(std::string& text, const std::string& metric, const std::string& lock,
                          const time_histogram& times) {
  const std::string label = "{lock=\"" + prometheus_label(lock) + "\"";
  std::uint64_t below = 0;
  for (std::size_t i = 0; i < time_histogram::buckets; ++i) {
    below += times.counts[i];
    text += metric + "_bucket" + label + ",le=\"" +
            prometheus_seconds(time_histogram::upper_bound(i)) + "\"} " + std::to_string(below) +
            "\n";
  }
  text += metric + "_bucket" + label + ",le=\"+Inf\"} " + std::to_string(times.count) + "\n";
  text += metric + "_sum" + label + "} " + prometheus_seconds(times.sum) + "\n";
  text += metric + "_count" + label + "} " + std::to_string(times.count) + "\n";
}

}  // namespace detail

// The same in Prometheus' text format, version 0.0.4.
inline std::string prometheus_text() {
  const watch_summary now = watch_report();
  std::string text =
      "# HELP gordian_lock_wait_seconds Time until a lock was taken.\n"
      "# TYPE gordian_lock_wait_seconds histogram\n";
  for (const auto& lock : now.locks) {
    detail::add_histogram(text, "gordian_lock_wait_seconds", lock.name, lock.waits);
  }
  text +=
      "# HELP gordian_lock_hold_seconds Time a lock was held, sampled.\n"
      "# TYPE gordian_lock_hold_seconds histogram\n";
  for (const auto& lock : now.locks) {
    detail::add_histogram(text, "gordian_lock_hold_seconds", lock.name, lock.holds);
  }
  text +=
      "# HELP gordian_lock_longest_wait_seconds The longest wait that lasts now.\n"
      "# TYPE gordian_lock_longest_wait_seconds gauge\n";
  std::map<std::string, std::chrono::nanoseconds> longest;
  for (const auto& wait : now.waiting) longest.emplace(wait.lock, wait.waited);
  for (const auto& [lock, waited] : longest) {
    text += "gordian_lock_longest_wait_seconds{lock=\"" + detail::prometheus_label(lock) + "\"} " +
            detail::prometheus_seconds(waited) + "\n";
  }
  return text;
}

}  // namespace gordian

#pragma GCC visibility pop

#endif
