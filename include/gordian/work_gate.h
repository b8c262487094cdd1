// SPDX-License-Identifier: Apache-2.0
// gordian::work_gate: many workers pass, and one exclusive phase closes it: for switching masters,
// reloading, shutting down under traffic.
//
//   gordian::work_gate traffic{"traffic"};
//   if (auto pass = traffic.enter(stop)) serve();        // a worker; false: asked to stop
//   if (auto closed = traffic.close(stop)) switch_over(); // alone; false: asked to stop
//
// A thread that is inside may enter again at once, also while somebody waits to close: passes
// count. One that is inside and closes would wait for itself: that is refused, by an error in every
// mode. The thread that closed it may enter.
//
// Fairness: who waits to close keeps new workers out; when it opens again, the workers that queued
// go before the next one to close. So neither starves; within each side there is no order.
//
// A pass belongs to its thread and ends there.
#ifndef GORDIAN_WORK_GATE_H
#define GORDIAN_WORK_GATE_H

#include <gordian/attended.h>

#include <utility>
#include <vector>

// One for all libraries of the program, also of those that hide their symbols.
#pragma GCC visibility push(default)

namespace gordian {

class work_gate : private detail::lock_identity {
 public:
  constexpr work_gate() noexcept : work_gate("") {}
  constexpr explicit work_gate(const char* name) noexcept
      : lock_identity(detail::lock_kind::gate, name) {}
  template <detail::level_enum Level>
  constexpr work_gate(const char* name, Level level, std::uint64_t key = 0) noexcept
      : lock_identity(detail::lock_kind::gate, name, level, key) {}
  ~work_gate() {
    if (detail::is_attended()) [[unlikely]]
      detail::attended_end(identity(), word_);
  }
  work_gate(const work_gate&) = delete;
  work_gate& operator=(const work_gate&) = delete;

  // True: inside, or alone, until its end.
  class [[nodiscard]] pass {
   public:
    pass() noexcept = default;
    pass(pass&& other) noexcept : gate_(std::exchange(other.gate_, nullptr)) {}
    pass& operator=(pass&& other) noexcept {
      std::swap(gate_, other.gate_);
      return *this;
    }
    ~pass() { leave(); }
    explicit operator bool() const noexcept { return gate_ != nullptr; }
    void leave() {
      if (work_gate* gate = std::exchange(gate_, nullptr)) gate->give_back();
    }

   private:
    friend class work_gate;
    explicit pass(work_gate* gate) noexcept : gate_(gate) {}
    work_gate* gate_ = nullptr;
  };

  pass enter(const source_location& where = source_location::current()) { return go_in({}, where); }
  pass enter(const stop_token& stop, const source_location& where = source_location::current()) {
    return go_in({{}, &stop}, where);
  }
  template <typename Clock, typename Duration>
  pass enter_until(const std::chrono::time_point<Clock, Duration>& when,
                   const stop_token& stop = {},
                   const source_location& where = source_location::current()) {
    return go_in({detail::deadline::of(when), &stop}, where);
  }
  pass try_enter(const source_location& where = source_location::current()) {
    if (visit* mine = find()) return again(*mine);
    return result(try_take(detail::mode::shared, where), detail::mode::shared);
  }

  pass close(const source_location& where = source_location::current()) { return shut({}, where); }
  pass close(const stop_token& stop, const source_location& where = source_location::current()) {
    return shut({{}, &stop}, where);
  }
  template <typename Clock, typename Duration>
  pass close_until(const std::chrono::time_point<Clock, Duration>& when,
                   const stop_token& stop = {},
                   const source_location& where = source_location::current()) {
    return shut({detail::deadline::of(when), &stop}, where);
  }
  pass try_close(const source_location& where = source_location::current()) {
    if (find() != nullptr) return {};
    return result(try_take(detail::mode::exclusive, where), detail::mode::exclusive);
  }

  const char* name() const noexcept { return lock_identity::name(); }
  // Of the calling thread.
  bool is_inside() const noexcept { return find() != nullptr; }

 private:
  struct visit {
    const work_gate* gate;
    std::uint32_t depth;
    detail::mode how;
  };
  // Of the thread. What is left when it ends stays until its last pass ends: that may be in another
  // thread-local object.
  inline static constinit thread_local std::vector<visit>* own_visits = nullptr;
  inline static constinit thread_local bool visits_are_over = false;
  static void drop_empty_visits() {
    if (own_visits->empty()) delete std::exchange(own_visits, nullptr);
  }
  struct visits_end {
    ~visits_end() {
      visits_are_over = true;
      drop_empty_visits();
    }
  };
  static std::vector<visit>& visits() {
    if (own_visits == nullptr) {
      own_visits = new std::vector<visit>;
      [[maybe_unused]] static thread_local const visits_end end;
    }
    return *own_visits;
  }
  visit* find() const {
    for (visit& one : visits()) {
      if (one.gate == this) return &one;
    }
    return nullptr;
  }

  const detail::lock_identity& identity() const { return *this; }

  pass again(visit& mine) {
    ++mine.depth;
    return pass(this);
  }
  pass result(bool taken, detail::mode how) {
    if (!taken) return {};
    visits().push_back({this, 1, how});
    return pass(this);
  }
  bool try_take(detail::mode how, const source_location& where) {
    return detail::is_attended() ? detail::attended_try_lock(identity(), word_, how, where)
                                 : word_.try_take(how);
  }
  bool take(detail::mode how, const detail::patience& patience, const source_location& where) {
    if (detail::is_attended())
      return detail::attended_lock(identity(), word_, how, patience, where);
    return word_.try_take(how) || detail::wait_for_word(word_, how, patience);
  }

  pass go_in(const detail::patience& patience, const source_location& where) {
    if (visit* mine = find()) return again(*mine);
    return result(take(detail::mode::shared, patience, where), detail::mode::shared);
  }
  pass shut(const detail::patience& patience, const source_location& where) {
    if (const visit* mine = find()) {
      const bool upgrade = mine->how == detail::mode::shared;
      detail::report(deadlock_error(
          upgrade ? error_kind::upgrade : error_kind::self, !patience.is_limited(),
          "closing " + detail::words_of(identity()) + " at " + detail::words_of({where, nullptr}) +
              (upgrade ? " from inside would wait for the thread's own pass" : " twice")));
      return {};
    }
    return result(take(detail::mode::exclusive, patience, where), detail::mode::exclusive);
  }

  void give_back() {
    visit* mine = find();
    if (mine == nullptr) {
      detail::report(lock_error(
          error_kind::misuse, std::errc::operation_not_permitted,
          "a pass of " + detail::words_of(identity()) + " ends in a thread that is not inside"));
      return;
    }
    if (--mine->depth != 0) return;
    const detail::mode how = mine->how;
    *mine = visits().back();
    visits().pop_back();
    if (visits_are_over) drop_empty_visits();
    if (detail::is_attended()) {
      detail::attended_unlock(identity(), word_, how);
    } else {
      word_.release(how);
    }
  }

  detail::shared_word word_;
};

}  // namespace gordian

#pragma GCC visibility pop

#endif
