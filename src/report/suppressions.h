// SPDX-License-Identifier: Apache-2.0
// --suppress FILE: findings the user knows and does not want to see; docs/suppressions.md.
//
//   lock:rooms_mutex*        # known since 1.2, fixed in 2.0  until=2027-03-31
//   function:legacy_*        # third-party, reported upstream
//   file:*/vendor/*          # not ours
//   library:libvendor.so*    # not ours
//   fingerprint:0123456789abcdef  # false alarm, see ticket 12
#pragma once

#include "base/result.h"
#include "model/finding.h"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace gordian::report {

enum class PatternKind : uint8_t { Lock, Function, File, Library, Fingerprint };

struct Suppression {
  PatternKind kind = PatternKind::Lock;
  std::string glob;
  std::string reason;
  std::optional<std::chrono::year_month_day> until;  // the last day it holds
  std::string where;                                 // "FILE:LINE"
  uint64_t used = 0;
};

class Suppressions {
 public:
  // `name` is what errors and listings call the file. The first bad line is the error.
  static Result<Suppressions> parse(std::string_view text, std::string_view name);
  static Result<Suppressions> read(const std::string& path);

  // The rule that covers the finding on that day, and counts its use; null: none.
  const Suppression* match(const model::Finding& finding, std::chrono::year_month_day today);

  // One sentence for each rule that matched nothing or has expired.
  [[nodiscard]] std::vector<std::string> unused(std::chrono::year_month_day today) const;

  [[nodiscard]] const std::vector<Suppression>& rules() const { return rules_; }

 private:
  std::vector<Suppression> rules_;
};

// "lock:rooms_mutex*", as it stands in the file.
std::string to_text(const Suppression& rule);

// `*` any text, `?` one character, everything else itself. The whole text must match.
bool glob_matches(std::string_view glob, std::string_view text);

}  // namespace gordian::report
