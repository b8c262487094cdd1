// SPDX-License-Identifier: Apache-2.0
// Levels: the order in which locks may be taken, declared once, as an enum of yours.
//
//   enum class level { rooms, handles, streams };  // without more: top to bottom
//
//   // Or a partial order: what no chain relates is unordered.
//   template <>
//   struct gordian::level_order<level>
//       : gordian::chains<gordian::chain<level::rooms, level::streams>,
//                         gordian::chain<level::handles, level::streams>> {};
//
//   gordian::mutex rooms{"rooms", level::rooms};
//
// Several locks of one level may be held together only in the order of their keys (the
// constructor's third argument), or of their addresses where the keys are equal. Enumerators are 0
// to 65535; chains know the first 64.
#ifndef GORDIAN_LEVEL_H
#define GORDIAN_LEVEL_H

#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace gordian {

// The locks of these levels are taken in this order.
template <auto... Levels>
struct chain {};

namespace detail {

inline constexpr std::size_t max_chained_levels = 64;

struct level_matrix {
  std::array<std::uint64_t, max_chained_levels> after{};  // bit b of after[a]: a before b

  template <auto... Levels>
  constexpr void add(chain<Levels...>) {
    constexpr std::size_t count = sizeof...(Levels);
    const std::size_t index[] = {static_cast<std::size_t>(Levels)...};
    for (std::size_t i = 0; i + 1 < count; ++i) after[index[i]] |= std::uint64_t{1} << index[i + 1];
  }
  constexpr void close() {
    for (std::size_t k = 0; k < max_chained_levels; ++k) {
      for (std::size_t i = 0; i < max_chained_levels; ++i) {
        if ((after[i] >> k & 1) != 0) after[i] |= after[k];
      }
    }
  }
  constexpr bool has_cycle() const {
    for (std::size_t i = 0; i < max_chained_levels; ++i) {
      if ((after[i] >> i & 1) != 0) return true;
    }
    return false;
  }
};

template <typename... Chains>
constexpr level_matrix matrix_of() {
  level_matrix matrix;
  (matrix.add(Chains{}), ...);
  matrix.close();
  return matrix;
}

}  // namespace detail

// A partial order: the transitive closure of the chains.
template <typename... Chains>
struct chains {
  template <typename Level>
  static constexpr bool before(Level a, Level b) {
    constexpr detail::level_matrix matrix = detail::matrix_of<Chains...>();
    static_assert(!matrix.has_cycle(), "gordian: these chains of levels form a circle");
    const auto i = static_cast<std::size_t>(a);
    const auto j = static_cast<std::size_t>(b);
    return i < detail::max_chained_levels && j < detail::max_chained_levels &&
           (matrix.after[i] >> j & 1) != 0;
  }
};

// Specialise it to say otherwise.
template <typename Level>
struct level_order {
  static constexpr bool before(Level a, Level b) { return a < b; }
};

namespace detail {

// What is left of an enum at run time.
struct level_table {
  bool (*before)(std::uint16_t a, std::uint16_t b);
};

template <typename Level>
inline constexpr level_table table_of{[](std::uint16_t a, std::uint16_t b) {
  return level_order<Level>::before(static_cast<Level>(a), static_cast<Level>(b));
}};

template <typename Level>
concept level_enum = std::is_enum_v<Level>;

}  // namespace detail
}  // namespace gordian

#endif
