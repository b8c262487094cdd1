// SPDX-License-Identifier: Apache-2.0
// Boards of several processes at one instant -> the snapshot the solver reads.
//
// The snapshot is what the cards say, at face value. A card may lag behind its thread, so no wait
// is definite here: watch/evidence decides that, and applies it to the result.
#pragma once

#include "model/snapshot.h"
#include "trace/board_reader.h"

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

namespace gordian::trace {

// What makes an object in shared memory one object in several processes.
struct SharedIdentity {
  uint64_t device = 0, inode = 0, offset = 0;
  // NOLINTNEXTLINE(modernize-use-nullptr): that 0 is the compiler's own.
  auto operator<=>(const SharedIdentity&) const = default;
};

struct ProcessBoard {
  model::Process process;  // `id` is filled in
  BoardReader* board = nullptr;
  // Where a process-shared object really lies; nullopt: unknown, so it is taken for private.
  std::function<std::optional<SharedIdentity>(uint64_t address)> shared_identity;
  // Card tids (as the process sees them) -> tids as we see them. Unset: the same.
  std::function<int(uint32_t tid)> outer_tid;
};

// A condition wait has two phases, and its card cannot tell which: until the signal, and then for
// the mutex. Asked for every condition wait; true: it waits for the mutex.
using ReacquiresMutex = std::function<bool(size_t process, uint32_t card, const format::WaitWord&)>;

struct ThreadOrigin {
  size_t process = 0;
  uint32_t card = 0;
  uint32_t card_tid = 0;  // in the process's own pid namespace
  uint32_t flags = 0;     // format::kCard*
  uint64_t tid_word = 0;
  uint64_t stack_high = 0;
  bool has_wait = false;
  format::WaitWord wait{};
};

struct BoardSnapshot {
  model::Snapshot snapshot;
  std::vector<ThreadOrigin> origins;  // parallel to snapshot.threads
};

// Torn and recycled cards are left out or come without a wait. Costs one read of every card in use
// that holds or waits.
BoardSnapshot read_snapshot(std::span<const ProcessBoard> boards,
                            const ReacquiresMutex& reacquires = {});

model::ResourceKind resource_kind(format::Kind kind);
// What an annotation says of an object that was announced as `kind`: its words, never whether
// somebody holds it.
void apply_description(const format::DescriptionRecord& description, model::Resource& resource);
bool is_condition(format::Kind kind);
bool is_file_lock(format::Kind kind);

}  // namespace gordian::trace
