// SPDX-License-Identifier: Apache-2.0
// The report as text for people.
//
// A command prints headline() the moment a finding is certain, then story() once stacks and names
// are there, and at the end hazards() and closing(). Every line is safe for a terminal, and the
// whole is bounded: stacks, long names and long lists are cut, and say so.
#pragma once

#include "model/finding.h"
#include "report/report.h"

#include <cstddef>
#include <string>
#include <vector>

namespace gordian::report {

struct TextOptions {
  bool color = false;         // the caller knows whether it writes to a terminal
  bool show_refuted = false;  // --refuted
  bool numbered = false;      // findings_text(): above each its place in the report
  size_t first_number = 1;
  std::string folder = {};  // source files below it are shown relative to it; empty: as they are
};

// One line with its newline:
//   DEADLOCK: 2 threads, 2 locks: "http-worker" and "admin" (pid 4711, janus)
// Needs no stacks and copes without names.
std::string headline(const model::Finding& finding, const TextOptions& options = {});

// What follows the headline: threads in order, drawing, victims, advice, assumptions, details; an
// empty line before and after it.
std::string story(const model::Finding& finding, const TextOptions& options = {});

// Headline and story of one finding.
std::string to_text(const model::Finding& finding, const TextOptions& options = {});

// Headlines and stories of all findings of the report that are to be shown, weak ones last. Refuted
// ones only if asked for.
std::string findings_text(const Report& report, const TextOptions& options = {});

// Sentences: what the look at recorded runs left out, and why.
std::vector<std::string> what_is_missing(const TraceTotals& trace);

// The last lines of a run, each beginning with "gordian: ": what was found, what was watched, what
// was dropped, which suppressions were used or not, which processes could not be watched.
std::string closing(const Report& report, const TextOptions& options = {});

}  // namespace gordian::report
