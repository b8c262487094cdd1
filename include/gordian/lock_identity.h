// SPDX-License-Identifier: Apache-2.0
// Who a lock is: its name, level and key, for orders, errors, histograms and reports. Every lock of
// Gordian, its queues, gates and workers have one. Not meant for direct use.
#ifndef GORDIAN_LOCK_IDENTITY_H
#define GORDIAN_LOCK_IDENTITY_H

#include <gordian/level.h>

#include <atomic>
#include <cstdint>

// One for all libraries of the program, also of those that hide their symbols.
#pragma GCC visibility push(default)

namespace gordian {
namespace detail {

// Who looks on. While it is 0, a lock is one compare-and-swap and nothing else.
inline constexpr std::uint32_t attention_checks = 1;
inline constexpr std::uint32_t attention_watch = 2;
inline constexpr std::uint32_t attention_announce = 4;  // `gordian run` is there
inline constinit std::atomic<std::uint32_t> attention{0};

inline bool is_attended() noexcept { return attention.load(std::memory_order_relaxed) != 0; }

enum class lock_kind : std::uint8_t {
  mutex,
  shared_mutex,
  recursive_mutex,
  worker,
  gate,
  queue,
  condition,
};

// A forked child tells its own judge. Never 0.
inline constinit std::atomic<std::uint8_t> announcements{1};

class lock_identity;
void forget(const lock_identity& lock) noexcept;

// Not copyable: the address is part of the identity. The name is not copied; a literal is best.
class lock_identity {
 public:
  constexpr lock_identity(lock_kind kind, const char* name) noexcept : name_(name), kind_(kind) {}
  template <level_enum Level>
  constexpr lock_identity(lock_kind kind, const char* name, Level level, std::uint64_t key) noexcept
      : name_(name),
        table_(&table_of<Level>),
        key_(key),
        level_(static_cast<std::uint16_t>(level)),
        kind_(kind) {}
  lock_identity(const lock_identity&) = delete;
  lock_identity& operator=(const lock_identity&) = delete;
  ~lock_identity() {
    if (known_id() != 0 || was_announced()) {
      forget(*this);
    }
  }

  const char* name() const noexcept { return name_; }
  lock_kind kind() const noexcept { return kind_; }
  bool has_level() const noexcept { return table_ != nullptr; }
  std::uint16_t level() const noexcept { return level_; }
  const level_table* table() const noexcept { return table_; }

  // One level may be held twice in this order only.
  bool comes_before(const lock_identity& other) const noexcept {
    return key_ != other.key_ ? key_ < other.key_ : this < &other;
  }

  // Given out when first needed, never twice. 0: none left, so no order is learned.
  std::uint32_t id() const noexcept {
    const std::uint32_t known = id_.load(std::memory_order_relaxed);
    return known != 0 ? known : new_id();
  }
  std::uint32_t known_id() const noexcept { return id_.load(std::memory_order_relaxed); }

  // The thread that holds it exclusively, as far as somebody looked on when it was taken.
  void set_owner(std::uint32_t stamp) const noexcept {
    owner_.store(stamp, std::memory_order_relaxed);
  }
  std::uint32_t owner() const noexcept { return owner_.load(std::memory_order_relaxed); }

  // True once: the caller tells `gordian run` the name.
  bool must_announce() const noexcept {
    const std::uint8_t now = announcements.load(std::memory_order_relaxed);
    return announced_.load(std::memory_order_relaxed) != now &&
           announced_.exchange(now, std::memory_order_relaxed) != now;
  }
  bool was_announced() const noexcept { return announced_.load(std::memory_order_relaxed) != 0; }

 private:
  std::uint32_t new_id() const noexcept {
    static constinit std::atomic<std::uint32_t> last{0};
    std::uint32_t mine = last.load(std::memory_order_relaxed);
    do {
      if (mine >= UINT32_MAX / 2) return 0;
    } while (!last.compare_exchange_weak(mine, mine + 1, std::memory_order_relaxed));
    std::uint32_t none = 0;
    return id_.compare_exchange_strong(none, mine + 1, std::memory_order_relaxed) ? mine + 1 : none;
  }

  const char* name_;
  const level_table* table_ = nullptr;
  std::uint64_t key_ = 0;
  mutable std::atomic<std::uint32_t> id_{0};
  mutable std::atomic<std::uint32_t> owner_{0};
  std::uint16_t level_ = 0;
  lock_kind kind_;
  mutable std::atomic<std::uint8_t> announced_{0};  // the announcement it was part of
};

}  // namespace detail
}  // namespace gordian

#pragma GCC visibility pop

#endif
