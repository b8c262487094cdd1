// SPDX-License-Identifier: Apache-2.0
#include "analysis/join_predictions.h"

#include <set>
#include <string>
#include <utility>

namespace gordian::analysis {

using model::Finding;
using model::FindingKind;
using model::ReasonCode;
using model::Verdict;

namespace {

// Would a prediction have found it if it could happen?
bool is_predictable(const Finding& hazard) {
  return (hazard.kind == FindingKind::LockOrder || hazard.kind == FindingKind::RwLock) &&
         hazard.reason.code != ReasonCode::SiblingThread;
}

}  // namespace

std::vector<Finding> join_predictions(std::vector<Finding> hazards, std::vector<Finding> predicted,
                                      bool whole) {
  std::set<std::string> excused;
  std::set<std::string> stay;
  for (const Finding& hazard : hazards) {
    if (hazard.verdict != Verdict::Refuted && !(whole && is_predictable(hazard)))
      stay.insert(hazard.fingerprint);
    if (hazard.reason.code == ReasonCode::Annotated) excused.insert(hazard.fingerprint);
  }
  std::vector<Finding> joined;
  std::set<std::string> told;
  for (Finding& finding : predicted) {
    const bool refuted = finding.verdict == Verdict::Refuted;
    if (excused.contains(finding.fingerprint)) continue;
    if (refuted && stay.contains(finding.fingerprint)) continue;
    told.insert(finding.fingerprint);
    joined.push_back(std::move(finding));
  }
  for (Finding& hazard : hazards) {
    if (!told.contains(hazard.fingerprint)) joined.push_back(std::move(hazard));
  }
  return joined;
}

}  // namespace gordian::analysis
