// SPDX-License-Identifier: Apache-2.0
// One word or sentence for each value of the model's enumerations.
#pragma once

#include "model/finding.h"
#include "report/labels.h"

#include <string>
#include <string_view>
#include <vector>

namespace gordian::report {

// The words of JSON and of fingerprints: part of schema 1, never changed, only added to.
std::string_view verdict_word(model::Verdict verdict);          // "deadlock"
std::string_view finding_kind_word(model::FindingKind kind);    // "lock-order"
std::string_view resource_kind_word(model::ResourceKind kind);  // "glib-mutex"
std::string_view mode_word(model::Mode mode);                   // "shared"
std::string_view role_word(model::Role role);                   // "knot"

// Words for people: "GMutex", "function-local static".
std::string_view resource_kind_label(model::ResourceKind kind);

// A lock in the everyday sense, taken and given back by a thread (as opposed to signals and joins).
bool is_lock(model::ResourceKind kind);

// Can be held shared, so that its mode is worth a word.
bool has_modes(model::ResourceKind kind);

// Sentences. Empty for ReasonCode::None without detail.
std::string reason_sentence(const model::Finding& finding, const Labels& labels);
std::vector<std::string> assumption_sentences(const model::Finding& finding);

}  // namespace gordian::report
