// SPDX-License-Identifier: Apache-2.0
// Names, kinds, levels and waits told to `gordian run` through annotate.h. Not meant for direct
// use.
#ifndef GORDIAN_ANNOUNCE_H
#define GORDIAN_ANNOUNCE_H

#include <gordian/annotate.h>
#include <gordian/lock_identity.h>
#include <gordian/lock_word.h>

// The call of the function it stands in, which must not be inlined.
#define GORDIAN_PLACE_() \
  gordian_place { __builtin_return_address(0), __builtin_dwarf_cfa() }

namespace gordian::detail {

inline bool is_announced() noexcept {
  return (attention.load(std::memory_order_relaxed) & attention_announce) != 0;
}

constexpr int announced_kind(lock_kind kind) {
  switch (kind) {
    case lock_kind::mutex:
    case lock_kind::recursive_mutex:
      return GORDIAN_KIND_MUTEX;
    case lock_kind::shared_mutex:
      return GORDIAN_KIND_RWLOCK;
    case lock_kind::worker:
      return GORDIAN_KIND_WORKER;
    case lock_kind::gate:
      return GORDIAN_KIND_GATE;
    case lock_kind::queue:
      return GORDIAN_KIND_QUEUE;
    case lock_kind::condition:
      return GORDIAN_KIND_CONDITION;
  }
  return GORDIAN_KIND_LOCK;
}

// Before the first use. `objects` are what is waited for, if that is not the identity itself.
template <typename... Objects>
void announce_name(const lock_identity& lock, const gordian_place& place,
                   const Objects*... objects) noexcept {
  if (!lock.must_announce()) return;
  const int level = lock.has_level() ? lock.level() : -1;
  const auto describe = [&](const void* object) {
    GORDIAN_ANNOTATE_(described(object, announced_kind(lock.kind()), level, lock.name(), &place));
  };
  if constexpr (sizeof...(Objects) == 0) {
    describe(&lock);
  } else {
    (describe(objects), ...);
  }
}

inline void announce_end(const void* object) noexcept { GORDIAN_DESTROYED(object); }

// A steered run may let others go first here.
inline void announce_approach(const lock_identity& lock, const void* object, mode wanted,
                              const gordian_place& place) noexcept {
  GORDIAN_ANNOTATE_(
      approaches(object, announced_kind(lock.kind()), wanted == mode::shared, &place));
}

inline void announce_wait(const lock_identity& lock, mode wanted, bool limited,
                          const gordian_place& place) noexcept {
  GORDIAN_ANNOTATE_(wants_at(&lock, wanted == mode::shared, limited, &place));
}

inline void announce_taken(const lock_identity& lock, mode how, bool by_try,
                           const gordian_place& place) noexcept {
  GORDIAN_ANNOTATE_(acquired_at(&lock, how == mode::shared, by_try, &place));
}

inline void announce_abandoned(const lock_identity& lock) noexcept { GORDIAN_ABANDONED(&lock); }
inline void announce_released(const lock_identity& lock) noexcept { GORDIAN_RELEASED(&lock); }

// Somebody who waits for the object can go on now, or all can.
[[gnu::noinline]] inline void announce_signal(const void* object, bool to_all) noexcept {
  const gordian_place place = GORDIAN_PLACE_();
  GORDIAN_ANNOTATE_(signals(object, to_all, &place));
}

// Sleeps, as futex_wait(), until somebody signals the object.
[[gnu::noinline]] inline void announced_sleep(const void* object, bool limited, const void* word,
                                              std::uint32_t expected, const deadline& until) {
  const gordian_place place = GORDIAN_PLACE_();
  GORDIAN_ANNOTATE_(awaits(object, limited, &place));
  futex_wait(word, expected, until);
  GORDIAN_ANNOTATE_(woken(object, !until.passed(), &place));
}

}  // namespace gordian::detail

#endif
