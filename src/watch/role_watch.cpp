// SPDX-License-Identifier: Apache-2.0
#include "watch/role_watch.h"

#include "base/text.h"

#include <algorithm>
#include <set>
#include <utility>

namespace gordian::watch {
RoleWatch::RoleWatch(SteerPlan plan) : plan_(std::move(plan)), roles_(plan_.roles.size()) {}

std::vector<CodePlace> RoleWatch::places() const {
  std::vector<CodePlace> places;
  for (const SteerRole& role : plan_.roles) {
    places.push_back(role.request);
    places.insert(places.end(), role.holds.begin(), role.holds.end());
  }
  return places;
}

std::vector<size_t> RoleWatch::arrive(const SteeredThread& thread) {
  std::vector<size_t> played;
  size_t at = 0;
  for (size_t role = 0; role < plan_.roles.size(); ++role) {
    const size_t holds = plan_.roles[role].holds.size();
    const bool is_there = at < sites_.size() && sites_[at] != 0 && sites_[at] == thread.site;
    bool plays = is_there;
    for (size_t i = 1; plays && i <= holds; ++i) {
      plays = std::any_of(thread.holds.begin(), thread.holds.end(),
                          [&](const SteeredHold& hold) { return hold.site == sites_[at + i]; });
    }
    if (plays) played.push_back(role);
    roles_[role].came += plays ? 1 : 0;
    roles_[role].came_without += is_there && !plays ? 1 : 0;
    at += 1 + holds;
  }
  return played;
}

void RoleWatch::stand(const std::vector<std::vector<size_t>>& threads) {
  std::set<size_t> played;
  for (const std::vector<size_t>& roles : threads) played.insert(roles.begin(), roles.end());
  together_ = std::max(together_, std::min(played.size(), threads.size()));
}

std::string RoleWatch::missing(size_t role, uint64_t site) const {
  const SteerRole& one = plan_.roles[role];
  if (site == 0) {
    return one.request.words + " was not there: " +
           (one.request.module.empty() ? "its module"
                                       : std::string(base_name(one.request.module))) +
           " was not loaded";
  }
  std::string text = "no thread came to " + one.request.words;
  if (one.holds.empty()) return text;
  text += " with what " + one.thread + " holds there";
  if (roles_[role].came_without > 0)
    text += " (" + count_of(roles_[role].came_without, "time") + " one came without it)";
  return text;
}

std::string RoleWatch::divergence() const {
  std::string others;
  std::string never;
  size_t at = 0;
  for (size_t role = 0; role < roles_.size(); ++role) {
    if (roles_[role].came == 0) {
      never += (never.empty() ? "" : "; ") + missing(role, at < sites_.size() ? sites_[at] : 0);
    } else {
      others += (others.empty() ? "" : ", ") + plan_.roles[role].thread + " came " +
                count_of(roles_[role].came, "time");
    }
    at += 1 + plan_.roles[role].holds.size();
  }
  if (!never.empty()) return others.empty() ? never : never + "; " + others;
  if (together_ < roles_.size()) return "its threads never stood there at the same time: " + others;
  return "its threads stood there at the same time, and went on: " + others;
}

}  // namespace gordian::watch
