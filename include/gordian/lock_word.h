// SPDX-License-Identifier: Apache-2.0
// The state words of the locks, and how a thread waits for one. Not meant for direct use.
//
// Both words share one protocol, so that the loops around them (wait_for_word below, and the
// checked one in attended.h) are written once:
//   try_take(mode)  takes it if that needs no wait
//   retake(mode)    the same, by a thread that slept: it says again that others may sleep too
//   prepare(mode)   marks the word "somebody waits", returns what to sleep on; nothing: try again
//   give_up(mode)   a waiter leaves without the lock, and passes on a wake-up it may have used up
//   disturb(mode)   changes the word and wakes the cancellable waiters, so that none sleeps on
//
// After the one instruction that releases, the word is not touched again: its owner may free it.
#ifndef GORDIAN_LOCK_WORD_H
#define GORDIAN_LOCK_WORD_H

#include <gordian/futex.h>
#include <gordian/stop_token.h>

#include <bit>
#include <optional>

#if __has_include(<sys/single_threaded.h>)
#include <sys/single_threaded.h>
#endif

namespace gordian::detail {

enum class mode : std::uint8_t { exclusive, shared };

struct sleep_on {
  const void* word;
  std::uint32_t expected;
  std::uint32_t mask;
};

// Wake masks: whom a wake-up means.
inline constexpr std::uint32_t mask_exclusive = 1;
inline constexpr std::uint32_t mask_shared = 2;
inline constexpr std::uint32_t mask_cancellable = 4;

constexpr std::uint32_t mask_of(mode wanted) {
  return wanted == mode::exclusive ? mask_exclusive : mask_shared;
}

// Then nobody else can look: as glibc's own locks, ours need no locked instruction.
inline bool is_single_threaded() noexcept {
#if __has_include(<sys/single_threaded.h>)
  return __libc_single_threaded != 0;
#else
  return false;
#endif
}

// Free or held by one. Bits 2 and up count cancellations: a waiter that has not yet fallen asleep
// finds the word changed. (After Drepper, "Futexes are tricky", with the count added.)
class exclusive_word {
 public:
  constexpr exclusive_word() noexcept = default;

  bool try_take(mode = mode::exclusive) noexcept {
    std::uint32_t old = word_.load(std::memory_order_relaxed);
    if (is_single_threaded()) {
      if ((old & held) != 0) return false;
      word_.store(old | held, std::memory_order_relaxed);
      return true;
    }
    // A spurious failure would be allowed, but a test that takes a free lock expects it.
    while ((old & held) == 0) {
      if (word_.compare_exchange_weak(old, old | held, std::memory_order_acquire,
                                      std::memory_order_relaxed)) {
        return true;
      }
    }
    return false;
  }
  bool retake(mode = mode::exclusive) noexcept {
    std::uint32_t old = word_.load(std::memory_order_relaxed);
    while ((old & held) == 0) {
      if (word_.compare_exchange_weak(old, old | held | waited_for, std::memory_order_acquire,
                                      std::memory_order_relaxed)) {
        return true;
      }
    }
    return false;
  }
  // ORDER: acquire pairs with the release of disturb(): who read the word that it left sees, when
  // it then looks at its token, that it was asked to stop.
  std::optional<sleep_on> prepare(mode = mode::exclusive) noexcept {
    std::uint32_t old = word_.load(std::memory_order_acquire);
    for (;;) {
      if ((old & held) == 0) return std::nullopt;
      if ((old & waited_for) != 0 ||
          word_.compare_exchange_weak(old, old | waited_for, std::memory_order_acquire)) {
        return sleep_on{&word_, old | waited_for, mask_exclusive};
      }
    }
  }
  // prepare() marked the word last, so the next release wakes somebody.
  void give_up(mode = mode::exclusive) noexcept {}
  void disturb(mode = mode::exclusive) noexcept {
    word_.fetch_add(one_cancellation, std::memory_order_release);  // ORDER: see prepare()
    futex_wake(&word_, INT_MAX, mask_cancellable);
  }
  void release(mode = mode::exclusive) noexcept {
    std::uint32_t old = word_.load(std::memory_order_relaxed);
    if (is_single_threaded()) {
      word_.store(old & ~(held | waited_for), std::memory_order_relaxed);
      return;
    }
    while (!word_.compare_exchange_weak(old, old & ~(held | waited_for), std::memory_order_release,
                                        std::memory_order_relaxed)) {
    }
    if ((old & waited_for) != 0) [[unlikely]]
      futex_wake(&word_, 1);
  }

  bool is_held() const noexcept { return (word_.load(std::memory_order_relaxed) & held) != 0; }
  // A reader's question; see shared_word.
  bool readers_wait_for_writers() const noexcept { return false; }

 private:
  static constexpr std::uint32_t held = 1;
  static constexpr std::uint32_t waited_for = 2;
  static constexpr std::uint32_t one_cancellation = 4;

  std::atomic<std::uint32_t> word_{0};
};

// Free, held by one writer, or by readers (counted in the upper half). A writer that waits keeps
// new readers out; when a writer leaves, the readers that waited have their turn before the next
// writer. So neither side starves. The lower half is what everybody sleeps on.
class shared_word {
 public:
  constexpr shared_word() noexcept = default;

  bool try_take(mode wanted) noexcept { return take(wanted, 0); }
  bool retake(mode wanted) noexcept {
    return take(wanted, wanted == mode::exclusive ? writers_wait : 0);
  }

  // ORDER: acquire as in exclusive_word::prepare().
  std::optional<sleep_on> prepare(mode wanted) noexcept {
    const std::uint64_t mark = wanted == mode::exclusive ? writers_wait : readers_wait;
    std::uint64_t old = word_.load(std::memory_order_acquire);
    for (;;) {
      if (is_open(old, wanted)) return std::nullopt;
      if ((old & mark) != 0 ||
          word_.compare_exchange_weak(old, old | mark, std::memory_order_acquire)) {
        return sleep_on{&word_, static_cast<std::uint32_t>(old | mark), mask_of(wanted)};
      }
    }
  }

  // A writer that leaves may have been the only one that kept the readers out.
  void give_up(mode wanted) noexcept {
    if (wanted == mode::shared) return;
    std::uint64_t old = word_.load(std::memory_order_relaxed);
    while (!word_.compare_exchange_weak(old, old & ~(writers_wait | readers_wait),
                                        std::memory_order_relaxed)) {
    }
    if ((old & writers_wait) != 0) futex_wake(&word_, 1, mask_exclusive);
    if ((old & readers_wait) != 0) futex_wake(&word_, INT_MAX, mask_shared);
  }

  void disturb(mode) noexcept {
    std::uint64_t old = word_.load(std::memory_order_relaxed);
    std::uint64_t count = 0;
    do {
      count = (old + one_cancellation) & cancellations;
      // ORDER: release as in exclusive_word::disturb().
    } while (!word_.compare_exchange_weak(old, (old & ~cancellations) | count,
                                          std::memory_order_release, std::memory_order_relaxed));
    futex_wake(&word_, INT_MAX, mask_cancellable);
  }

  void release(mode held) noexcept {
    std::uint64_t old = word_.load(std::memory_order_relaxed);
    if (is_single_threaded()) {
      const std::uint64_t marks = writers_wait | readers_wait | readers_turn;
      word_.store((held == mode::shared ? old - one_reader : old - writer) & ~marks,
                  std::memory_order_relaxed);
      return;
    }
    if (held == mode::shared) {
      std::uint64_t left = 0;
      do {
        left = (old - one_reader) & ~readers_turn;
        if (left < one_reader) left &= ~writers_wait;
      } while (!word_.compare_exchange_weak(old, left, std::memory_order_release,
                                            std::memory_order_relaxed));
      if (left < one_reader && (old & writers_wait) != 0) [[unlikely]] {
        futex_wake(&word_, 1, mask_exclusive);
      }
      return;
    }
    std::uint64_t left = 0;
    do {
      left = old & ~(writer | writers_wait | readers_wait | readers_turn);
      if ((old & readers_wait) != 0) left |= readers_turn;
    } while (!word_.compare_exchange_weak(old, left, std::memory_order_release,
                                          std::memory_order_relaxed));
    if ((old & readers_wait) != 0) [[unlikely]]
      futex_wake(&word_, INT_MAX, mask_shared);
    if ((old & writers_wait) != 0) [[unlikely]]
      futex_wake(&word_, 1, mask_exclusive);
  }

  bool is_held() const noexcept {
    const std::uint64_t now = word_.load(std::memory_order_relaxed);
    return (now & writer) != 0 || now >= one_reader;
  }
  bool is_open_for(mode wanted) const noexcept {
    return is_open(word_.load(std::memory_order_relaxed), wanted);
  }
  // True: whoever waits in this mode has left its mark, and so will be woken.
  bool has_mark_of(mode wanted) const noexcept {
    const std::uint64_t mark = wanted == mode::exclusive ? writers_wait : readers_wait;
    return (word_.load(std::memory_order_relaxed) & mark) != 0;
  }
  // True: what keeps a reader out now is a waiting writer, not one that holds.
  bool readers_wait_for_writers() const noexcept {
    const std::uint64_t now = word_.load(std::memory_order_relaxed);
    return (now & writer) == 0 && (now & writers_wait) != 0 && (now & readers_turn) == 0;
  }

 private:
  static_assert(std::endian::native == std::endian::little, "the futex is the lower half");

  static constexpr std::uint64_t writer = 1;
  static constexpr std::uint64_t writers_wait = 2;
  static constexpr std::uint64_t readers_wait = 4;
  static constexpr std::uint64_t readers_turn = 8;
  static constexpr std::uint64_t one_cancellation = 16;
  static constexpr std::uint64_t cancellations = 0xffff'fff0;
  static constexpr std::uint64_t one_reader = std::uint64_t{1} << 32;

  static bool is_open(std::uint64_t now, mode wanted) noexcept {
    if ((now & writer) != 0) return false;
    if (wanted == mode::exclusive) return now < one_reader;
    return (now & writers_wait) == 0 || (now & readers_turn) != 0;
  }

  bool take(mode wanted, std::uint64_t mark) noexcept {
    std::uint64_t old = word_.load(std::memory_order_relaxed);
    while (is_open(old, wanted)) {
      const std::uint64_t next =
          wanted == mode::exclusive ? ((old | writer | mark) & ~readers_turn) : old + one_reader;
      if (is_single_threaded()) {
        word_.store(next, std::memory_order_relaxed);
        return true;
      }
      if (word_.compare_exchange_weak(old, next, std::memory_order_acquire,
                                      std::memory_order_relaxed)) {
        return true;
      }
    }
    return false;
  }

  std::atomic<std::uint64_t> word_{0};
};

// How long somebody waits: for ever, until a deadline, until asked to stop.
struct patience {
  deadline until;
  const stop_token* stop = nullptr;

  bool can_stop() const { return stop != nullptr && stop->stop_possible(); }
  // One that never asks, if there is none.
  stop_token token() const { return stop != nullptr ? *stop : stop_token(); }
  // Such a wait ends by itself, or others can end it.
  bool is_limited() const { return until.set || can_stop(); }
  bool is_over() const { return (stop != nullptr && stop->stop_requested()) || until.passed(); }
  std::uint32_t mask() const { return can_stop() ? mask_cancellable : 0; }
};

// Wakes a waiter when its token is asked to stop. The order matters: the token says "stop" before
// the word changes, and a waiter looks at the token after it has read the word.
template <typename Word>
class stop_watch {
 public:
  stop_watch(Word& word, mode wanted, const patience& how)
      : callback_(how.token(), disturbance{&word, wanted}) {}

 private:
  struct disturbance {
    Word* word;
    mode wanted;
    void operator()() const noexcept { word->disturb(wanted); }
  };
  stop_callback<disturbance> callback_;
};

// The plain loop: nobody looks on. False: patience ended first.
template <typename Word>
[[gnu::noinline]] bool wait_for_word(Word& word, mode wanted, const patience& how) {
  const stop_watch<Word> watch(word, wanted, how);
  for (;;) {
    const std::optional<sleep_on> place = word.prepare(wanted);
    if (place) {
      if (how.is_over()) {
        word.give_up(wanted);
        return false;
      }
      futex_wait(place->word, place->expected, how.until, place->mask | how.mask());
    }
    if (word.retake(wanted)) return true;
  }
}

}  // namespace gordian::detail

#endif
