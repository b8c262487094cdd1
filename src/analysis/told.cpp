// SPDX-License-Identifier: Apache-2.0
#include "analysis/told.h"

#include <algorithm>

namespace gordian::analysis {

using model::Finding;
using model::FindingKind;
using model::Resource;

void Told::add(const Finding& finding) {
  fingerprints_.insert(finding.fingerprint);
  if (Parts parts = parts_of(finding); !parts.empty()) knots_.insert(std::move(parts));
  if (finding.kind != FindingKind::Orphan) return;
  for (const Resource& resource : finding.resources) orphans_.insert(resource.address);
}

bool Told::is_news(const Finding& hazard) {
  const bool is_refuted = hazard.verdict == model::Verdict::Refuted;
  if (fingerprints_.count(hazard.fingerprint) != 0) return false;
  if (has_happened(parts_of(hazard)) || is_orphan(hazard)) return false;
  if (!is_refuted) fingerprints_.insert(hazard.fingerprint);
  return true;
}

Told::Parts Told::parts_of(const Finding& finding) {
  Parts parts;
  for (const model::FindingThread& thread : finding.threads) {
    if (thread.role != model::Role::Knot || !thread.wants) continue;
    for (const Resource& resource : finding.resources) {
      if (resource.id == thread.wants->resource) parts.insert({thread.tid, resource.address});
    }
  }
  return parts;
}

bool Told::has_happened(const Parts& parts) const {
  return !parts.empty() && std::any_of(knots_.begin(), knots_.end(), [&](const Parts& knot) {
    return std::includes(knot.begin(), knot.end(), parts.begin(), parts.end());
  });
}

bool Told::is_orphan(const Finding& hazard) const {
  return hazard.kind == FindingKind::HeldAtExit &&
         std::all_of(hazard.resources.begin(), hazard.resources.end(),
                     [this](const Resource& lock) { return orphans_.count(lock.address) != 0; });
}

}  // namespace gordian::analysis
