// SPDX-License-Identifier: Apache-2.0
// Names, levels and waits told to `gordian run` through annotate.h. Not meant for direct use.
#ifndef GORDIAN_ANNOUNCE_H
#define GORDIAN_ANNOUNCE_H

#include <gordian/annotate.h>
#include <gordian/lock_identity.h>
#include <gordian/lock_word.h>

namespace gordian::detail {

inline bool is_announced() noexcept {
  return (attention.load(std::memory_order_relaxed) & attention_announce) != 0;
}

inline void announce_name(const lock_identity& lock) noexcept {
  if (!lock.must_announce()) return;
  GORDIAN_CREATED(&lock);
  if (lock.name() != nullptr && *lock.name() != '\0') GORDIAN_NAMED(&lock, lock.name());
}

inline void announce_end(const lock_identity& lock) noexcept { GORDIAN_DESTROYED(&lock); }

inline void announce_wait(const lock_identity& lock, mode wanted, bool limited) noexcept {
  GORDIAN_ANNOTATE_(wants(&lock, wanted == mode::shared, limited));
}

inline void announce_taken(const lock_identity& lock, mode how, bool by_try) noexcept {
  GORDIAN_ANNOTATE_(acquired(&lock, how == mode::shared, by_try));
}

inline void announce_abandoned(const lock_identity& lock) noexcept { GORDIAN_ABANDONED(&lock); }
inline void announce_released(const lock_identity& lock) noexcept { GORDIAN_RELEASED(&lock); }

}  // namespace gordian::detail

#endif
