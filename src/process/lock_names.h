// SPDX-License-Identifier: Apache-2.0
// Names for locks, as the source has them: `rooms_mutex`, `locks[3]`, `g_state.mutex`,
// `participant->streams_mutex`, `Server::works_concurrency_rw_lock_`.
//
// A static lock is named by its symbol and, inside an array or struct, by the type of that
// variable. Any other lock is a member of an object: the frames of the threads that hold or want it
// are searched for a variable, parameter or `this` that points to or contains the object. The name
// is taken from the nearest function a user wrote.
#pragma once

#include "model/resource.h"
#include "process/memory.h"
#include "process/search_budget.h"
#include "process/symbols.h"
#include "process/unwind.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace gordian::process {

struct LockName {
  std::string name;             // "participant->streams_mutex"
  std::string owner_type = {};  // "Participant"; empty for a lock that is no member
  bool in_raw_memory =
      false;  // the variable's type has no lock there: a buffer that is used as one
};

// A stack in which the lock was taken or is wanted. `memory` must outlive the call.
struct NamingStack {
  const UnwoundStack* stack = nullptr;
  const MemoryReader* memory = nullptr;
  uint64_t address =
      0;  // of the lock in this stack, if it is that of another thread at the same place
};

// By symbol alone: no DWARF, for the headline.
std::optional<LockName> find_static_name(const Symbols& symbols, uint64_t address);

// The searches below look at a bounded number of things each, and at no more than is left of
// `whole`.

// By symbol and by the type of the variable.
std::optional<LockName> find_static_member_name(const Symbols& symbols, uint64_t address,
                                                model::ResourceKind kind,
                                                SearchBudget* whole = nullptr);
// Through the variables of frames; the best of all.
std::optional<LockName> find_member_name(const Symbols& symbols, uint64_t address,
                                         model::ResourceKind kind,
                                         const std::vector<NamingStack>& stacks,
                                         SearchBudget* whole = nullptr);

// The program's variable that points to `target`: one of these frames, else a static one.
std::optional<std::string> find_pointer_name(const Symbols& symbols, uint64_t target,
                                             const std::vector<NamingStack>& stacks,
                                             SearchBudget* whole = nullptr);

// Fills name and class_name, best first; leaves what is already there (an annotation's name). A
// lock in a static buffer may share its address with earlier ones.
void name_resource(const Symbols& symbols, model::Resource& resource,
                   const std::vector<NamingStack>& stacks, SearchBudget* whole = nullptr);

}  // namespace gordian::process
