// SPDX-License-Identifier: Apache-2.0
#include "report/drawing.h"

#include "report/words.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

namespace gordian::report {

using model::FindingThread;
using model::Mode;
using model::Resource;
using model::ResourceId;
using model::ResourceKind;
using model::Role;
using model::ThreadId;

namespace {

// More rows than this are no picture any more.
constexpr size_t kMaxGroups = 24;

std::vector<ThreadId> owners_in_knot(const Labels& labels, const FindingThread& thread) {
  std::vector<ThreadId> owners;
  for (const ThreadId id : labels.owners(thread))
    if (const FindingThread* owner = labels.find_thread(id);
        owner != nullptr && owner->role == Role::Knot)
      owners.push_back(id);
  std::sort(owners.begin(), owners.end());
  owners.erase(std::unique(owners.begin(), owners.end()), owners.end());
  // That a thread could wake itself is true of every signal and explains nothing.
  if (owners.size() > 1) std::erase(owners, thread.id);
  return owners;
}

// The group that is exactly these threads; `groups.size()` if there is none.
size_t find_group(const std::vector<KnotGroup>& groups, const std::map<ThreadId, size_t>& group_of,
                  const std::vector<ThreadId>& threads) {
  if (threads.empty()) return groups.size();
  const auto first = group_of.find(threads.front());
  if (first == group_of.end() || groups[first->second].threads.size() != threads.size())
    return groups.size();
  const bool all_in = std::all_of(threads.begin(), threads.end(), [&](ThreadId id) {
    const auto it = group_of.find(id);
    return it != group_of.end() && it->second == first->second;
  });
  return all_in ? first->second : groups.size();
}

}  // namespace

KnotShape shape_of(const Labels& labels) {
  KnotShape shape;
  std::map<std::tuple<ResourceId, Mode, std::vector<ThreadId>>, size_t> index;
  std::map<ThreadId, size_t> group_of;
  for (const FindingThread* next : labels.threads()) {
    const FindingThread& thread = *next;
    if (thread.role != Role::Knot || !thread.wants) continue;
    const std::vector<ThreadId> owners = owners_in_knot(labels, thread);
    const auto key = std::make_tuple(thread.wants->resource, thread.wants->mode, owners);
    const size_t group = index.try_emplace(key, shape.groups.size()).first->second;
    if (group == shape.groups.size()) shape.groups.push_back({{}, owners});
    shape.groups[group].threads.push_back(thread.id);
    group_of[thread.id] = group;
  }

  // Walk from the first group; a ring comes back to it after having seen all the others.
  std::vector<KnotGroup> walked;
  size_t at = 0;
  while (at < shape.groups.size() && walked.size() < shape.groups.size()) {
    walked.push_back(shape.groups[at]);
    at = find_group(shape.groups, group_of, shape.groups[at].owners);
    if (at == 0) break;
  }
  shape.is_ring = at == 0 && !shape.groups.empty() && walked.size() == shape.groups.size();
  if (shape.is_ring) shape.groups = std::move(walked);
  return shape;
}

std::string relation(const Labels& labels, const FindingThread& thread) {
  const Resource* resource = labels.find_resource(thread.wants->resource);
  if (resource == nullptr) return ", held by";
  const model::Verdict verdict = labels.finding().verdict;
  const bool may_happen = verdict == model::Verdict::Possible || verdict == model::Verdict::Refuted;
  // In a stall somebody else could, too.
  const std::string could = may_happen                         ? ", which is "
                            : verdict == model::Verdict::Stall ? ", which could be "
                                                               : ", which could only be ";
  switch (resource->kind) {
    case ResourceKind::Thread:
      return "";
    case ResourceKind::Condition:
    case ResourceKind::GlibCond:
      return could + "signalled by";
    case ResourceKind::Semaphore:
      return could + "posted by";
    case ResourceKind::Barrier:
      return could + "reached by";
    case ResourceKind::Future:
      return could + "fulfilled by";
    case ResourceKind::Futex:
      return could + "woken by";
    case ResourceKind::Worker:
      return ", which is";
    case ResourceKind::GlibQueue:
      return could + "fed by";
    case ResourceKind::Queue:
    case ResourceKind::Pipe:
      return could + "served by";
    case ResourceKind::Child:
      return could + "ended by";
    case ResourceKind::Channel:
      return could + "emptied by";
    case ResourceKind::Once:
    case ResourceKind::GlibOnce:
    case ResourceKind::Guard:
      return ", which is being run by";
    default:
      break;
  }
  if (resource->semaphore_like) return could + "released by";
  if (thread.wants->mode == Mode::Shared) {
    // A reader behind a waiting writer: its owner does not hold the lock, it only asked first.
    for (const ThreadId id : labels.owners(thread)) {
      const FindingThread* owner = labels.find_thread(id);
      const bool holds =
          std::any_of(owner->holds.begin(), owner->holds.end(), [&](const auto& hold) {
            return hold.resource == thread.wants->resource && hold.mode == Mode::Exclusive;
          });
      if (!holds && owner->wants && owner->wants->resource == thread.wants->resource &&
          owner->wants->mode == Mode::Exclusive)
        return ", behind the waiting writer";
    }
  }
  return ", held by";
}

std::string draw_knot(const Labels& labels) {
  const KnotShape shape = shape_of(labels);
  if (shape.groups.empty()) return {};
  std::string out;
  const size_t shown = std::min(shape.groups.size(), kMaxGroups);
  for (size_t i = 0; i < shown; ++i) {
    const KnotGroup& group = shape.groups[i];
    const FindingThread& first = *labels.find_thread(group.threads.front());
    const bool plural = group.threads.size() > 1;
    const std::string wants = labels.wants(*first.wants, plural) + relation(labels, first);
    if (shape.is_ring) {
      out += std::string(i == 0 ? "  ,-> " : "  |   ") + labels.threads(group.threads) + "\n";
      out += "  |      " + wants + "\n";
    } else {
      const Resource* resource = labels.find_resource(first.wants->resource);
      std::string owners = labels.threads(group.owners);
      const bool says_itself = resource != nullptr && resource->kind == ResourceKind::Thread;
      if (says_itself && !resource->owner_gone) {
        owners.clear();
      } else if (owners.empty())
        owners = resource != nullptr && resource->owner_gone ? "a thread that no longer exists"
                                                             : "nobody who is known";
      out += "  " + labels.threads(group.threads) + "\n";
      out += "     " + wants + (owners.empty() ? "" : " " + owners) + "\n";
    }
  }
  if (shown < shape.groups.size())
    out += std::string(shape.is_ring ? "  |   " : "  ") + "... and " +
           std::to_string(shape.groups.size() - shown) + " more\n";
  if (shape.is_ring) out += "  '-- " + labels.threads(shape.groups.front().threads) + "\n";
  return out;
}

}  // namespace gordian::report
