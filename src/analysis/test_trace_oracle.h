// SPDX-License-Identifier: Apache-2.0
// The naive answer: runs the steps of a small trace in every order that threads and locks allow,
// and looks for circles of blocked threads in every state. It shares no code and no idea with
// prediction.
#pragma once

#include "model/trace.h"

#include <cstdint>
#include <set>
#include <string>
#include <vector>

namespace gordian::analysis {

// A deadlock whoever its threads are: of each what it wants where, and what it holds from where.
std::string deadlock_name(std::vector<std::string> threads_in_circle);
std::string thread_part(bool is_join, uint32_t wanted, bool shared, uint32_t site,
                        const std::vector<std::string>& held);
std::string held_part(uint32_t lock, bool shared, uint32_t site);

struct OracleAnswer {
  std::set<std::string> deadlocks;  // names of all that some order reaches
  std::set<std::string> minimal;    // of these, without those that contain a shorter circle
  bool gave_up = false;             // more states than allowed
};

// With `keep_sections` only orders count in which sections of one lock keep the recorded order.
OracleAnswer every_deadlock(const std::vector<model::TraceEvent>& events, size_t max_states,
                            bool keep_sections = false);

}  // namespace gordian::analysis
