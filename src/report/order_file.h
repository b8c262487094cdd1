// SPDX-License-Identifier: Apache-2.0
// A lock order as text, kept in its user's repository; docs/order.md.
//
//   [order]
//   Bank::mutex -> Account::mutex      # a bank is locked before its accounts
//   * -> Logger::mutex                 # anything may be held while something is logged
//   [any]
//   Cache::mutex <-> Index::mutex      # never both in two threads, see ticket 12
//
// Lines that are there are never moved or changed: what is added goes to its place in the sorted
// order, so that comments survive and differences are small.
#pragma once

#include "base/result.h"
#include "model/lock_order.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace gordian::report {

inline constexpr size_t kMaxOrderBytes = 4 << 20;
inline constexpr size_t kMaxOrderLines = 20'000;
inline constexpr size_t kMaxWildcardLines = 256;

class OrderFile {
 public:
  // An empty one, as the first `learn` begins it.
  explicit OrderFile(const std::string& name);

  // `name` is what messages call the file. The first bad line is the error, with its number.
  static Result<OrderFile> parse(std::string_view text, const std::string& name);
  static Result<OrderFile> read(const std::string& path);

  [[nodiscard]] const model::LockOrder& order() const { return order_; }
  [[nodiscard]] std::string text() const;

  // Names, not patterns.
  void add(const std::string& before, const std::string& after);

 private:
  enum class Section : uint8_t { None, Order, Any };
  struct Line {
    std::string text;         // without its end
    size_t section = 0;       // which title it stands under; 0: none yet
    bool is_pair = false;     // of an [order] section
    bool is_comment = false;  // a whole line of it
    std::string before = {}, after = {};
  };
  OrderFile() = default;
  Result<void> parse_line(Line& line);
  Result<void> parse_title(std::string_view line);

  model::LockOrder order_;
  std::vector<Line> lines_;
  Section section_ = Section::None;
  size_t sections_ = 0;
  size_t first_order_ = 0;  // which section; 0: there is no [order]
  bool has_crlf_ = false;
  size_t wildcards_ = 0;
};

// One side of a line: quoted where it must be.
std::string order_word(const std::string& name);

}  // namespace gordian::report
