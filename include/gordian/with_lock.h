// SPDX-License-Identifier: Apache-2.0
// Lock order at compile time, where the nesting is lexical: a token carries the levels held, and
// with_lock() compiles only for a lock whose level comes after all of them.
//
//   enum class level { handles, streams };
//   gordian::at_level<level::handles> handles{"handles"};
//   gordian::at_level<level::streams> streams{"streams"};
//
//   gordian::order_token<> nothing_held;
//   gordian::with_lock(nothing_held, handles, [&](auto& token) {
//     gordian::with_lock(token, streams, [&](auto&) { ... });   // the other way round: no
//   });
//
// Functions can ask for a token: void list(gordian::order_token<level::handles>& token). What a
// token does not see (locks held by callers that passed none on) is still checked at run time.
#ifndef GORDIAN_WITH_LOCK_H
#define GORDIAN_WITH_LOCK_H

#include <gordian/hold.h>
#include <gordian/mutex.h>

#include <type_traits>
#include <utility>

namespace gordian {

// A Mutex whose level is part of its type.
template <auto Level, typename Mutex = mutex>
class at_level : public Mutex {
 public:
  static constexpr auto static_level = Level;
  constexpr explicit at_level(const char* name = "", std::uint64_t key = 0) noexcept
      : Mutex(name, Level, key) {}
};

// Not copyable, so it cannot outlive the locks it stands for without a reference to it.
template <auto... Held>
class order_token {
 public:
  constexpr order_token() noexcept = default;
  order_token(const order_token&) = delete;
  order_token& operator=(const order_token&) = delete;
};

namespace detail {

template <auto Held, auto Wanted>
constexpr bool is_before() {
  if constexpr (std::is_same_v<decltype(Held), decltype(Wanted)>) {
    return level_order<std::remove_const_t<decltype(Held)>>::before(Held, Wanted);
  } else {
    return true;  // levels of different enums have no order: left to run time
  }
}

}  // namespace detail

// Runs function(token), or function(), under `lock`, and returns what it returns.
template <auto... Held, typename Lock, typename Function>
decltype(auto) with_lock(order_token<Held...>&, Lock& lock, Function&& function,
                         const source_location& where = source_location::current()) {
  constexpr auto level = Lock::static_level;
  static_assert((detail::is_before<Held, level>() && ...),
                "gordian: lock order: this level does not come after all levels held");
  const hold<Lock> held(lock, where);
  order_token<Held..., level> inner;
  if constexpr (std::is_invocable_v<Function, order_token<Held..., level>&>) {
    return std::forward<Function>(function)(inner);
  } else {
    return std::forward<Function>(function)();
  }
}

}  // namespace gordian

#endif
