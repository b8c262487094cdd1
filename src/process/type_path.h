// SPDX-License-Identifier: Apache-2.0
// The way from a variable to a lock, by the types of DWARF: `.member`, `[3]`, `->`.
#pragma once

#include "model/resource.h"
#include "process/dwarf_expression.h"
#include "process/memory.h"
#include "process/search_budget.h"

#include <cstdint>
#include <dwarf.h>
#include <elfutils/libdw.h>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace gordian::process {

struct PathPart {
  enum class Kind : uint8_t { Member, Index, Pointer, Reference };
  Kind kind = Kind::Member;
  std::string name;   // Member
  std::string owner;  // Member: the type that declares it
  uint64_t index = 0;
};
using TypePath = std::vector<PathPart>;

struct PathName {
  std::string name;
  std::string owner_type;
};
// "participant->streams_mutex", "Server::guard_", "conns_[3]->mutex_". Nothing when the path names
// no more than the lock itself: a `mutex` parameter says nothing of whose mutex it is.
std::optional<PathName> render_path(const std::string& variable, const TypePath& path);

struct PeeledType {
  Dwarf_Die die{};
  std::string name;  // of the last typedef, else of the type itself
};
// Without typedefs and qualifiers.
std::optional<PeeledType> peel_type(Dwarf_Die type);

// Walks over objects and the pointers in them in search of one address.
class PathSearch {
 public:
  PathSearch(uint64_t target, model::ResourceKind kind, const MemoryReader& memory,
             SearchBudget& budget)
      : target_(target), kind_(kind), memory_(memory), budget_(budget) {}

  // The way from a variable of that type at that place, following at most `max_pointers` pointers.
  std::optional<TypePath> find(const Dwarf_Die& type, const Location& location, int max_pointers);

  // The way inside one object, `offset` bytes into it.
  bool descend(const Dwarf_Die& type, uint64_t offset, TypePath& path, int depth = 0);

 private:
  bool visit(const Dwarf_Die& type, const Location& object, uint64_t offset, int pointers_left,
             TypePath& path, int depth);
  bool visit_members(const PeeledType& type, const Location& object, uint64_t offset,
                     int pointers_left, TypePath& path, int depth);
  bool visit_pointer(const PeeledType& type, const Location& object, uint64_t offset,
                     int pointers_left, TypePath& path, int depth);
  bool visit_array(const PeeledType& type, const Location& object, uint64_t offset,
                   int pointers_left, TypePath& path, int depth);
  bool visit_vector(const PeeledType& type, const Location& object, uint64_t offset,
                    int pointers_left, TypePath& path, int depth);
  [[nodiscard]] bool is_lock_here(const PeeledType& type, uint64_t offset) const;
  bool out_of_budget();

  const uint64_t target_;
  const model::ResourceKind kind_;
  const MemoryReader& memory_;
  SearchBudget& budget_;
  size_t steps_ = 0;
};

std::optional<uint64_t> type_size(Dwarf_Die type);

}  // namespace gordian::process
