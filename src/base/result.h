// SPDX-License-Identifier: Apache-2.0
// How a tool says that the world said no.
//
// Result<T> has the member names of std::expected, which g++ 12 has only under -std=c++2b. The
// callee names the fault, the caller names the object with in(), main adds the program's name:
//
//   Result<Snapshot> read_core(const std::string& path) {
//     GORDIAN_TRY(const ElfFile file, ElfFile::open(path));
//     if (!file.has_registers())
//       return Error("no thread registers", "is it a core file?").in(path);
//     ...
#pragma once

#include "base/check.h"

#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>

namespace gordian {

struct [[nodiscard]] Error {
  explicit Error(std::string fault, std::string advice = {})
      : message(std::move(fault)), hint(std::move(advice)) {}

  // "what: No such file or directory". Call it before anything that may change errno.
  static Error from_errno(std::string_view what);
  static Error from_errno(std::string_view what, int error_number);

  // Names the object the fault was found in: "core.1234: no thread registers".
  Error in(std::string_view object) &&;

  std::string message;
  std::string hint;  // what the user may do about it; may be empty
};

// "gordian: core.1234: no thread registers\n  hint: ...\n", safe for a terminal.
std::string to_text(const Error& error);

template <typename T>
class Result;

// What makes a Result<T> by conversion, as "text" makes a Result<std::string>.
template <typename U, typename T>
inline constexpr bool kConvertsTo =
    std::is_convertible_v<U&&, T> && !std::is_same_v<std::remove_cvref_t<U>, T> &&
    !std::is_same_v<std::remove_cvref_t<U>, Error> &&
    !std::is_same_v<std::remove_cvref_t<U>, Result<T>>;

template <typename T>
class [[nodiscard]] Result {
 public:
  using value_type = T;
  using error_type = Error;

  // Both implicit, so that a function says `return value;` or `return Error(...);`.
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}
  // NOLINTNEXTLINE(bugprone-forwarding-reference-overload): kConvertsTo keeps Results out.
  template <typename U, typename = std::enable_if_t<kConvertsTo<U, T>>>
  Result(U&& value) : state_(std::in_place_index<0>, std::forward<U>(value)) {}

  [[nodiscard]] bool has_value() const { return state_.index() == 0; }
  explicit operator bool() const { return has_value(); }

  // Asking for the value of a failure, or for the error of a success, is our bug.
  T& value() & { return get(); }
  [[nodiscard]] const T& value() const& { return const_cast<Result*>(this)->get(); }
  T&& value() && { return std::move(get()); }
  T& operator*() & { return get(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(get()); }
  T* operator->() { return &get(); }
  const T* operator->() const { return &value(); }

  template <typename U>
  [[nodiscard]] T value_or(U&& fallback) const& {
    return has_value() ? value() : static_cast<T>(std::forward<U>(fallback));
  }
  template <typename U>
  [[nodiscard]] T value_or(U&& fallback) && {
    return has_value() ? std::move(get()) : static_cast<T>(std::forward<U>(fallback));
  }

  [[nodiscard]] const Error& error() const& { return const_cast<Result*>(this)->get_error(); }
  Error&& error() && { return std::move(get_error()); }

  Result in(std::string_view object) && {
    if (has_value()) return std::move(*this);
    return std::move(get_error()).in(object);
  }

 private:
  T& get() {
    GORDIAN_CHECK(state_.index() == 0);
    return *std::get_if<0>(&state_);
  }
  Error& get_error() {
    GORDIAN_CHECK(state_.index() == 1);
    return *std::get_if<1>(&state_);
  }

  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  using value_type = void;
  using error_type = Error;

  Result() = default;
  Result(Error error) : error_(std::move(error)) {}

  [[nodiscard]] bool has_value() const { return !error_.has_value(); }
  explicit operator bool() const { return has_value(); }

  void value() const { GORDIAN_CHECK(has_value()); }
  void operator*() const { value(); }

  [[nodiscard]] const Error& error() const& {
    GORDIAN_CHECK(error_.has_value());
    return *error_;
  }
  Error&& error() && {
    GORDIAN_CHECK(error_.has_value());
    return std::move(*error_);
  }

  Result in(std::string_view object) && {
    if (has_value()) return {};
    return std::move(*error_).in(object);
  }

 private:
  std::optional<Error> error_;
};

}  // namespace gordian

#define GORDIAN_CONCAT_2(a, b) a##b
#define GORDIAN_CONCAT(a, b) GORDIAN_CONCAT_2(a, b)

// Evaluates the expression, a Result; returns its error from the enclosing function, or initialises
// `decl` with its value. For a Result<void> leave `decl` empty: GORDIAN_TRY(, write(bytes));
#define GORDIAN_TRY(decl, ...) \
  GORDIAN_TRY_AS(GORDIAN_CONCAT(gordian_try_, __COUNTER__), decl, __VA_ARGS__)
// The parentheses serve both: an initialiser behind a declaration, a plain statement behind
// nothing.
#define GORDIAN_TRY_AS(result, decl, ...)        \
  auto result = (__VA_ARGS__);                   \
  if (!result) return std::move(result).error(); \
  decl(*std::move(result))
