// SPDX-License-Identifier: Apache-2.0
#include "report/drawing.h"

#include "report/words.h"

#include <algorithm>
#include <set>

namespace gordian::report {

using model::FindingHold;
using model::FindingThread;
using model::Mode;
using model::Resource;
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

bool same_node(const FindingThread& a, const FindingThread& b) {
  return a.wants && b.wants && a.wants->resource == b.wants->resource &&
         a.wants->mode == b.wants->mode;
}

// The group that is exactly these threads; `groups.size()` if there is none.
size_t find_group(const std::vector<KnotGroup>& groups, const std::vector<ThreadId>& threads) {
  const std::set<ThreadId> wanted(threads.begin(), threads.end());
  for (size_t i = 0; i < groups.size(); ++i)
    if (wanted == std::set<ThreadId>(groups[i].threads.begin(), groups[i].threads.end())) return i;
  return groups.size();
}

}  // namespace

KnotShape shape_of(const Labels& labels) {
  KnotShape shape;
  for (const FindingThread& thread : labels.finding().threads) {
    if (thread.role != Role::Knot || !thread.wants) continue;
    const std::vector<ThreadId> owners = owners_in_knot(labels, thread);
    bool placed = false;
    for (KnotGroup& group : shape.groups) {
      if (group.owners != owners || !same_node(thread, *labels.find_thread(group.threads.front())))
        continue;
      group.threads.push_back(thread.id);
      placed = true;
      break;
    }
    if (!placed) shape.groups.push_back({{thread.id}, owners});
  }

  // Walk from the first group; a ring comes back to it after having seen all the others.
  std::vector<KnotGroup> walked;
  size_t at = 0;
  while (at < shape.groups.size() && walked.size() < shape.groups.size()) {
    walked.push_back(shape.groups[at]);
    at = find_group(shape.groups, shape.groups[at].owners);
    if (at == 0) break;
  }
  shape.is_ring = at == 0 && !shape.groups.empty() && walked.size() == shape.groups.size();
  if (shape.is_ring) shape.groups = std::move(walked);
  return shape;
}

std::string relation(const Labels& labels, const FindingThread& thread) {
  const Resource* resource = labels.find_resource(thread.wants->resource);
  if (resource == nullptr) return ", held by";
  switch (resource->kind) {
    case ResourceKind::Thread:
      return "";
    case ResourceKind::Condition:
    case ResourceKind::GlibCond:
      return ", which could only be signalled by";
    case ResourceKind::Semaphore:
      return ", which could only be posted by";
    case ResourceKind::Barrier:
      return ", which could only be reached by";
    case ResourceKind::Future:
      return ", which could only be fulfilled by";
    case ResourceKind::Futex:
      return ", which could only be woken by";
    case ResourceKind::GlibQueue:
      return ", which could only be fed by";
    case ResourceKind::Once:
    case ResourceKind::GlibOnce:
    case ResourceKind::Guard:
      return ", which is being run by";
    default:
      break;
  }
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
      if (owners.empty())
        owners = resource != nullptr && resource->owner_gone ? "a thread that no longer exists"
                                                             : "nobody who is known";
      out += "  " + labels.threads(group.threads) + "\n";
      out += "     " + wants + " " + owners + "\n";
    }
  }
  if (shown < shape.groups.size())
    out += std::string(shape.is_ring ? "  |   " : "  ") + "... and " +
           std::to_string(shape.groups.size() - shown) + " more\n";
  if (shape.is_ring) out += "  '-- " + labels.threads(shape.groups.front().threads) + "\n";
  return out;
}

}  // namespace gordian::report
