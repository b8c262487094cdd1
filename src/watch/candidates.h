// SPDX-License-Identifier: Apache-2.0
// Whose evidence an examination needs: the cards taken at their word.
#pragma once

#include "watch/case.h"
#include "watch/told_waits.h"

#include <chrono>

namespace gordian::watch {

struct Candidates {
  Tasks owned;  // of knots of owners, as far as the cards tell; told before all else
  Tasks all;
  Tasks idle;  // as far as the cards tell; see idle_threads.h
};

// `stall_after` as of --stall; zero: off. Leaves in the case what the cards say.
Candidates find_candidates(Case& current, const ToldWaits& told,
                           std::chrono::nanoseconds stall_after);

}  // namespace gordian::watch
