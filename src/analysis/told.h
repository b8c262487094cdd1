// SPDX-License-Identifier: Apache-2.0
// What the user was told already: the same bug is told once, live or as a hazard at the end.
#pragma once

#include "model/finding.h"

#include <cstdint>
#include <set>
#include <string>
#include <utility>

namespace gordian::analysis {

// Findings come with their fingerprints filled in.
class Told {
 public:
  // The finding is told, whatever was told before.
  void add(const model::Finding& finding);

  // Is the hazard none of these? Then it counts as told from now on:
  //   - one with the fingerprint of something told: same locks by name, same functions, and so the
  //     same bug in another instance. (Refuted patterns are told each with its own reason.)
  //   - a knot that happened, perhaps as a part of a larger one. What could be named differs
  //   between
  //     a live finding and the history, so fingerprints may differ, but threads and locks do not;
  //   - a lock left behind at a thread's end that another was told to wait for.
  // Give the strong ones first.
  bool is_news(const model::Finding& hazard);

 private:
  // What a knot is made of in this run: threads, and the addresses they want.
  using Parts = std::set<std::pair<int, uint64_t>>;

  static Parts parts_of(const model::Finding& finding);
  [[nodiscard]] bool has_happened(const Parts& parts) const;
  [[nodiscard]] bool is_orphan(const model::Finding& hazard) const;

  std::set<std::string> fingerprints_;
  std::set<Parts> knots_;
  std::set<uint64_t> orphans_;  // addresses of locks whose owner is gone
};

}  // namespace gordian::analysis
