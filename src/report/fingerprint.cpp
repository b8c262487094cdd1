// SPDX-License-Identifier: Apache-2.0
#include "report/fingerprint.h"

#include "report/labels.h"
#include "report/lock_class.h"
#include "report/words.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <set>
#include <string_view>

namespace gordian::report {

using model::Finding;
using model::FindingHold;
using model::FindingKind;
using model::FindingThread;
using model::Resource;
using model::ResourceId;
using model::ResourceKind;
using model::Role;

namespace {

std::string lock_text(const Labels& labels, ResourceId id) {
  const Resource* resource = labels.find_resource(id);
  if (resource == nullptr) return "?";
  std::string text(resource_kind_word(resource->kind));
  // A thread's name is often numbered ("worker-17"); the function that joins it says enough.
  if (resource->kind == ResourceKind::Thread) return text;
  if (!resource->name.empty()) {
    // A member is found through one variable or another: "h->mutex" and "handle->mutex" are both
    // Handle's mutex.
    return text + " " + without_addresses(member_name(*resource));
  }
  return text + " " + without_addresses(without_numbers_after_colons(resource->class_name));
}

// A source without stacks has words of its own for its places.
std::string function_text(const model::Stack& stack, const std::string& place) {
  const model::Frame* frame = first_own_frame(stack);
  if (frame == nullptr && !place.empty()) return place;
  return frame == nullptr || frame->function.empty() ? "?" : short_function(frame->function);
}

// FNV-1a: stable for ever, on every machine; this is a name and keeps nobody out.
uint64_t hash_of(std::string_view text) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) {
    hash ^= static_cast<unsigned char>(c);
    hash *= 0x100000001b3;
  }
  return hash;
}

}  // namespace

namespace {

// Sets: neither the order of threads nor their number is part of the name.
std::set<std::string> facts_of(const Finding& finding) {
  const Labels labels(finding);
  std::set<std::string> facts;
  for (const FindingThread* thread : labels.threads()) {
    if (thread->role != Role::Knot) continue;
    std::set<std::string> holds;
    for (const FindingHold& hold : thread->holds)
      if (labels.is_wanted_in_knot(hold.resource) || finding.kind == FindingKind::HeldAtExit)
        holds.insert("holds " + lock_text(labels, hold.resource) + " " +
                     std::string(mode_word(hold.mode)) + " in " +
                     function_text(hold.stack, hold.place));
    std::string fact;
    for (const std::string& hold : holds) fact += hold + "; ";
    if (thread->wants)
      fact += "wants " + lock_text(labels, thread->wants->resource) + " " +
              std::string(mode_word(thread->wants->mode)) + " in " +
              function_text(thread->wants->stack, thread->wants->place);
    facts.insert(fact);
  }
  return facts;
}

std::set<std::string> functions_of(const Finding& finding) {
  std::set<std::string> functions;
  for (const FindingThread& thread : finding.threads) {
    if (thread.role != Role::Knot) continue;
    for (const FindingHold& hold : thread.holds)
      functions.insert(function_text(hold.stack, hold.place));
    if (thread.wants) functions.insert(function_text(thread.wants->stack, thread.wants->place));
  }
  functions.erase("?");
  return functions;
}

}  // namespace

std::string fingerprint_text(const Finding& finding) {
  std::string text = std::string(finding_kind_word(finding.kind)) + "\n";
  for (const std::string& fact : facts_of(finding)) text += fact + "\n";
  return text;
}

std::string fingerprint(const Finding& finding) {
  std::array<char, 17> digits{};
  std::snprintf(digits.data(), digits.size(), "%016llx",
                static_cast<unsigned long long>(hash_of(fingerprint_text(finding))));
  return digits.data();
}

bool share_a_function(const Finding& one, const Finding& other) {
  const std::set<std::string> ours = functions_of(one);
  const std::set<std::string> theirs = functions_of(other);
  if (ours.empty() || theirs.empty()) return true;
  return std::any_of(ours.begin(), ours.end(),
                     [&](const std::string& name) { return theirs.contains(name); });
}

}  // namespace gordian::report
