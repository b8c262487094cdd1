// SPDX-License-Identifier: Apache-2.0
// The knot as an ASCII drawing: who waits for whom, down the page and back to the top.
#pragma once

#include "report/labels.h"

#include <string>
#include <vector>

namespace gordian::report {

// Threads of the knot that want the same thing from the same owners: one node of the drawing.
struct KnotGroup {
  std::vector<model::ThreadId> threads;
  std::vector<model::ThreadId> owners;  // within the knot
};

// Groups in the order of the knot. If `is_ring`, each group's owners are the next group, and the
// last group's owners are the first.
struct KnotShape {
  std::vector<KnotGroup> groups;
  bool is_ring = false;
};

KnotShape shape_of(const Labels& labels);

// Lines, each beginning with two blanks and ending with a newline. Empty if nothing is waited for.
//
//   ,-> "left"
//   |      wants b, held by
//   |   "right"
//   |      wants a, held by
//   '-- "left"
std::string draw_knot(const Labels& labels);

// How a thread's wait leads to its owners: ", held by", ", which only these could signal:".
std::string relation(const Labels& labels, const model::FindingThread& thread);

}  // namespace gordian::report
