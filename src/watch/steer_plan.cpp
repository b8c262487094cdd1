// SPDX-License-Identifier: Apache-2.0
#include "watch/steer_plan.h"

#include "base/text.h"

#include <algorithm>
#include <string>

namespace gordian::watch {
namespace {

// Where the call stands that returns to `site`: the module from the frame of the call itself, the
// words from the first frame that people know.
std::optional<CodePlace> place_of(const model::Stack& stack, uint64_t site) {
  auto frame = std::find_if(stack.frames.begin(), stack.frames.end(),
                            [&](const model::Frame& one) { return one.pc == site; });
  if (frame == stack.frames.end() || frame->module.empty()) return std::nullopt;
  CodePlace place{.module = frame->module, .offset = frame->module_offset};
  const auto own = std::find_if(frame, stack.frames.end(), [](const model::Frame& one) {
    return !one.plumbing && !one.function.empty();
  });
  if (own != stack.frames.end()) {
    place.words = own->function;
    if (!own->file.empty())
      place.words +=
          " (" + std::string(base_name(own->file)) + ":" + std::to_string(own->line) + ")";
  } else {
    place.words = std::string(base_name(place.module)) + "+" + std::to_string(place.offset);
  }
  return place;
}

// A thread "holds" the end of itself, and a signal until it gives it: the card shows neither.
bool shows_on_card(const model::Finding& finding, const model::FindingHold& hold) {
  const auto resource =
      std::find_if(finding.resources.begin(), finding.resources.end(),
                   [&](const model::Resource& one) { return one.id == hold.resource; });
  return resource != finding.resources.end() && model::is_owned(resource->kind) &&
         resource->kind != model::ResourceKind::Thread;
}

}  // namespace

Result<SteerPlan> plan_of(const model::Finding& finding) {
  SteerPlan plan;
  size_t number = 0;
  for (const model::FindingThread& thread : finding.threads) {
    ++number;
    if (thread.role != model::Role::Knot) continue;
    if (!thread.wants) return Error("thread \"" + thread.name + "\" waits for nothing in it");
    const std::optional<CodePlace> request = place_of(thread.wants->stack, thread.wants->site);
    if (!request) {
      return Error("it does not say in which module thread \"" + thread.name + "\" asks",
                   "findings of gordian run --json say it, those of traces do not");
    }
    // As reports call one without a name.
    SteerRole role{
        .thread = thread.name.empty() ? "T" + std::to_string(number) : "\"" + thread.name + "\"",
        .request = *request};
    for (const model::FindingHold& hold : thread.holds) {
      if (!shows_on_card(finding, hold)) continue;
      const std::optional<CodePlace> place = place_of(hold.stack, hold.site);
      if (place) role.holds.push_back(*place);
    }
    plan.roles.push_back(std::move(role));
  }
  if (plan.roles.size() < 2) return Error("one thread alone does it, in any order of events");
  return plan;
}

}  // namespace gordian::watch
