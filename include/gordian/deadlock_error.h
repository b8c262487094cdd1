// SPDX-License-Identifier: Apache-2.0
// What the parts of Gordian report, and to whom.
//
// Errors go to one handler for the whole program. The default throws, so lock() leaves the lock
// untouched and the caller's held locks are unwound as by any exception; where exceptions are off,
// it prints and aborts. A handler that returns lets the program go on: into the deadlock, if it was
// one. An order that it let pass is not reported again to that thread, until enable_checks().
//
//   gordian::set_error_handler(gordian::abort_on_error);
//   gordian::set_error_handler(
//       [](const gordian::lock_error& error) { syslog(LOG_CRIT, "%s", error.what()); });
//
// All translation units of a program should agree on -fno-exceptions.
#ifndef GORDIAN_DEADLOCK_ERROR_H
#define GORDIAN_DEADLOCK_ERROR_H

#include <gordian/futex.h>
#include <gordian/source_location.h>

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <system_error>
#include <utility>

#if defined(__cpp_exceptions)
#define GORDIAN_EXCEPTIONS 1
#else
#define GORDIAN_EXCEPTIONS 0
#endif

// One for all libraries of the program, also of those that hide their symbols.
#pragma GCC visibility push(default)

namespace gordian {

enum class error_kind {
  deadlock,         // waiting would close a circle of threads
  self,             // the thread already holds it
  recursive_share,  // the thread already reads it: a writer that came between would block both
  upgrade,          // the thread reads it and wants to write
  order,            // two orders were seen
  level,            // against the declared levels
  queue,            // a blocking push or pop under a lock that every other side needs
  not_none_held,    // assert_none_held() with a lock held
  misuse,           // unlocked by who does not hold it so; ended while held; assert_held() without
};

// Misuse that is not about waiting. std::errc::operation_not_permitted; device_or_resource_busy
// where a lock ends while held; invalid_argument where a queue has room for nothing.
class lock_error : public std::system_error {
 public:
  lock_error(error_kind kind, std::errc code, const std::string& text)
      : std::system_error(std::make_error_code(code), text), kind_(kind) {}
  error_kind kind() const noexcept { return kind_; }

  // Throws *this as what it is; without exceptions prints and aborts.
  [[noreturn]] virtual void raise() const;

 private:
  error_kind kind_;
};

// std::errc::resource_deadlock_would_occur; what() tells what was held, where it was taken, what
// was wanted, and the circle.
class deadlock_error : public lock_error {
 public:
  deadlock_error(error_kind kind, bool certain, const std::string& text)
      : lock_error(kind, std::errc::resource_deadlock_would_occur, text), certain_(certain) {}

  // True: the call would never have returned. False: an order that can deadlock, but did not yet.
  bool certain() const noexcept { return certain_; }

  [[noreturn]] void raise() const override;

 private:
  bool certain_;
};

namespace detail {

[[noreturn]] inline void print_and_abort(const char* text) {
  std::fprintf(stderr, "gordian: %s\n", text);
  std::abort();
}

template <typename Error>
[[noreturn]] void throw_or_abort(const Error& error) {
#if GORDIAN_EXCEPTIONS
  throw error;
#else
  print_and_abort(error.what());
#endif
}

}  // namespace detail

inline void lock_error::raise() const { detail::throw_or_abort(*this); }
inline void deadlock_error::raise() const { detail::throw_or_abort(*this); }

using error_handler = std::function<void(const lock_error&)>;

inline void throw_on_error(const lock_error& error) { error.raise(); }
inline void abort_on_error(const lock_error& error) { detail::print_and_abort(error.what()); }
inline void log_on_error(const lock_error& error) {
  std::fprintf(stderr, "gordian: %s\n", error.what());
}

namespace detail {

struct handler_slot {
  leaf_lock lock;
  std::shared_ptr<const error_handler> handler;
};

// Never destroyed: locks are used by destructors of other static objects too.
inline handler_slot& the_handler() {
  static handler_slot& slot = *new handler_slot;
  return slot;
}

// Calls the handler, under no lock of ours. May return.
inline void report(const lock_error& error) {
  std::shared_ptr<const error_handler> handler;
  {
    const leaf_hold hold(the_handler().lock);
    handler = the_handler().handler;
  }
  if (handler && *handler) {
    (*handler)(error);
  } else {
    error.raise();
  }
}

// From a destructor, which may not throw: an error that the handler throws ends the program.
inline void report_unthrown(const lock_error& error) noexcept {
#if GORDIAN_EXCEPTIONS
  try {
    report(error);
  } catch (...) {
    print_and_abort(error.what());
  }
#else
  report(error);
#endif
}

}  // namespace detail

// Returns the one before; an empty one is the default. Any thread, any time.
inline error_handler set_error_handler(error_handler handler) {
  auto next = std::make_shared<const error_handler>(std::move(handler));
  {
    const detail::leaf_hold hold(detail::the_handler().lock);
    next.swap(detail::the_handler().handler);
  }
  return next ? *next : error_handler();
}

}  // namespace gordian

#pragma GCC visibility pop

#endif
