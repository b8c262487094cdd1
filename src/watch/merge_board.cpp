// SPDX-License-Identifier: Apache-2.0
#include "watch/merge_board.h"

#include "trace/board_snapshot.h"
#include "watch/board_source.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <utility>

namespace gordian::watch {
namespace {

using model::ResourceKind;

bool names_its_holder(ResourceKind kind, model::Mode mode) {
  switch (kind) {
    case ResourceKind::Mutex:
    case ResourceKind::GlibRecMutex:
      return true;
    case ResourceKind::RwLock:
    case ResourceKind::GlibRwLock:
      return mode == model::Mode::Exclusive;
    default:
      return false;
  }
}

void merge(process::DecodedWaits& decoded, size_t process, int pid,
           Result<std::unique_ptr<trace::BoardBytes>> bytes) {
  if (!bytes) return;
  Result<trace::BoardReader> reader = trace::BoardReader::open(std::move(*bytes));
  if (!reader) {
    decoded.notes.push_back("the records of process " + std::to_string(pid) +
                            " are not used: " + reader.error().message);
    return;
  }
  trace::ProcessBoard source;
  source.process.pid = pid;
  source.board = &*reader;
  const trace::BoardSnapshot board = trace::read_snapshot({&source, 1});

  model::Snapshot& snapshot = decoded.snapshot;
  std::map<std::pair<ResourceKind, uint64_t>, model::ResourceId> known;
  for (const model::Resource& resource : snapshot.resources) {
    if (index_of(resource.process) == process)
      known.emplace(std::pair(resource.kind, resource.address), resource.id);
  }
  std::map<uint32_t, size_t> threads;
  for (size_t i = 0; i < decoded.threads.size(); ++i) {
    if (decoded.threads[i].process == process) threads[decoded.threads[i].own_tid] = i;
  }
  for (size_t i = 0; i < board.snapshot.threads.size(); ++i) {
    const model::Thread& card = board.snapshot.threads[i];
    const auto place = threads.find(board.origins[i].card_tid);
    if (place == threads.end()) continue;
    model::Thread& thread = snapshot.threads[place->second];
    thread.uid = card.uid;
    thread.inexact = card.inexact;
    thread.start_routine = card.start_routine;
    for (const model::Hold& held : card.holds) {
      const model::Resource& from = board.snapshot.resources[index_of(held.resource)];
      const auto found = known.find({from.kind, from.address});
      if (found == known.end()) continue;
      model::Resource& resource = snapshot.resources[index_of(found->second)];
      if (resource.name.empty()) resource.name = from.name;
      resource.semaphore_like |= from.semaphore_like;
      const auto own =
          std::find_if(thread.holds.begin(), thread.holds.end(),
                       [&](const model::Hold& hold) { return hold.resource == found->second; });
      if (own != thread.holds.end()) {
        own->site = held.site;
        own->frame = held.frame;
      } else if (!names_its_holder(from.kind, held.mode)) {
        model::Hold hold = held;
        hold.resource = found->second;
        thread.holds.push_back(hold);
      }
    }
    if (!thread.wait || !card.wait || thread.wait->timed) continue;
    const model::Resource& from = board.snapshot.resources[index_of(card.wait->resource)];
    const model::Resource& wanted = snapshot.resources[index_of(thread.wait->resource)];
    if (from.kind != wanted.kind || from.address != wanted.address) continue;
    thread.wait->site = card.wait->site;
    thread.wait->frame = card.wait->frame;
    thread.wait->registers = card.wait->registers;
    thread.wait->has_registers = card.wait->has_registers;
    thread.wait->since = card.wait->since;
  }
}

}  // namespace

void merge_board(process::DecodedWaits& decoded, size_t process, int pid) {
  merge(decoded, process, pid, find_board(pid));
}

void merge_board(process::DecodedWaits& decoded, const process::CoreFile& core) {
  merge(decoded, 0, core.pid(), find_board(core));
  for (model::Thread& thread : decoded.snapshot.threads) {
    if (!thread.wait) continue;
    // The core has all registers, and no clock.
    thread.wait->has_registers = false;
    thread.wait->since = std::chrono::nanoseconds(0);
  }
}

}  // namespace gordian::watch
