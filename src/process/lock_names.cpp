// SPDX-License-Identifier: Apache-2.0
#include "process/lock_names.h"

#include "model/loader_lock.h"
#include "process/debug_info.h"
#include "process/frame_variables.h"
#include "process/libc_locks.h"
#include "process/search_budget.h"
#include "process/type_path.h"

#include <algorithm>
#include <cstdio>
#include <functional>
#include <set>
#include <utility>

namespace gordian::process {
namespace {

constexpr int kMaxPointers = 4;
constexpr size_t kMaxFramesSearched = 24;
constexpr size_t kMaxVariables = 2000;
constexpr size_t kMaxGlobals = 500000;
constexpr uint64_t kNameSteps = 3000000;  // of one lock

// Sizes of the locks of glibc and GLib: a symbol of that size is the lock, whatever its type.
bool is_lock_size(uint64_t size) {
  for (const uint64_t known : {4, 8, 32, 40, 48, 56})
    if (size == known) return true;
  return false;
}

bool has_address(model::ResourceKind kind) {
  switch (kind) {
    case model::ResourceKind::Thread:
    case model::ResourceKind::Pipe:
    case model::ResourceKind::Child:
    case model::ResourceKind::FileLock:
    case model::ResourceKind::Lease:
      return false;
    default:
      return true;
  }
}

std::string with_offset(const std::string& name, uint64_t offset) {
  if (model::is_loader_state(name)) return std::string(model::kLoaderLock);
  if (offset == 0) return name;
  char text[32];
  std::snprintf(text, sizeof text, "+0x%lx", offset);
  return name + text;
}

// The address of a variable that has a fixed one.
std::optional<uint64_t> fixed_address(Dwarf_Die& variable) {
  Dwarf_Attribute attribute;
  Dwarf_Op* ops = nullptr;
  size_t count = 0;
  if (dwarf_attr(&variable, DW_AT_location, &attribute) == nullptr ||
      dwarf_getlocation(&attribute, &ops, &count) != 0 || count != 1)
    return std::nullopt;
  if (ops[0].atom == DW_OP_addr) return ops[0].number;
  Dwarf_Attribute indirect;
  Dwarf_Addr address = 0;
  if (ops[0].atom == DW_OP_addrx && dwarf_getlocation_attr(&attribute, &ops[0], &indirect) == 0 &&
      dwarf_formaddr(&indirect, &address) == 0)
    return address;
  return std::nullopt;
}

// Finds a variable with a fixed place (relative to the bias of the unit).
class GlobalSearch {
 public:
  using Wanted = std::function<bool(Dwarf_Die& variable, uint64_t place)>;
  GlobalSearch(Wanted wanted, SearchBudget& budget) : wanted_(std::move(wanted)), budget_(budget) {}

  bool search(Dwarf_Die& parent, int depth = 0) {
    Dwarf_Die child;
    if (depth > 8 || dwarf_child(&parent, &child) != 0) return false;
    do {
      if (++steps_ > kMaxGlobals || !budget_.spend()) return false;
      switch (dwarf_tag(&child)) {
        case DW_TAG_variable:
          if (const auto place = fixed_address(child); place && wanted_(child, *place)) {
            found = child;
            start = *place;
            return true;
          }
          break;
        case DW_TAG_namespace:
        case DW_TAG_subprogram:
        case DW_TAG_lexical_block:
          if (search(child, depth + 1)) return true;
          break;
        default:
          break;
      }
    } while (dwarf_siblingof(&child, &child) == 0);
    return false;
  }

  Dwarf_Die found{};
  uint64_t start = 0;

 private:
  const Wanted wanted_;
  SearchBudget& budget_;
  size_t steps_ = 0;
};

bool covers(Dwarf_Die& variable, uint64_t place, uint64_t address) {
  if (address < place) return false;
  const std::optional<Dwarf_Die> type = die_reference(variable, DW_AT_type);
  const std::optional<uint64_t> size = type ? type_size(*type) : std::nullopt;
  return size && address - place < *size;
}

bool is_pointer(const std::optional<Dwarf_Die>& type) {
  const std::optional<PeeledType> peeled = type ? peel_type(*type) : std::nullopt;
  if (!peeled) return false;
  Dwarf_Die die = peeled->die;
  return dwarf_tag(&die) == DW_TAG_pointer_type;
}

// Memory nobody reads: the way inside one object needs none.
class NoMemory : public MemoryReader {
 public:
  [[nodiscard]] bool read(uint64_t, std::span<std::byte>) const override { return false; }
};

struct Candidate {
  LockName name;
  int cost = 0;
};

bool contains_word(std::string text, std::string_view word) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text.find(word) != std::string::npos;
}

// Fewer pointers first, then the nearest function. A type that only wraps a lock names it badly:
// `mutex->mutex` says nothing of whose mutex it is.
int cost_of(const FrameVariable& variable, const TypePath& path, const PathName& name) {
  int cost = std::min(variable.depth, 9);
  if (variable.name == "this") cost -= 3;  // the class's own word for it
  for (const PathPart& part : path) {
    if (part.kind == PathPart::Kind::Pointer || part.kind == PathPart::Kind::Reference) cost += 10;
    if (part.kind == PathPart::Kind::Index) cost += 2;
  }
  if (contains_word(name.owner_type, "mutex") || contains_word(name.owner_type, "lock")) cost += 15;
  if (name.owner_type.empty() && cost >= 10) cost += 15;
  return cost;
}

class MemberSearch {
 public:
  MemberSearch(const Symbols& symbols, uint64_t address, model::ResourceKind kind,
               SearchBudget* whole)
      : info_(symbols.debug_info()), address_(address), kind_(kind), budget_(kNameSteps, whole) {}

  void search(const NamingStack& naming) {
    std::vector<FrameVariable> variables;
    int depth = 0;
    const size_t count = std::min(naming.stack->frames.size(), kMaxFramesSearched);
    for (size_t i = 0; i < count && !budget_.is_over(); ++i)
      each_variable(info_, *naming.stack, i, *naming.memory, depth,
                    [&](const FrameVariable& variable) {
                      if (!variable.plumbing) variables.push_back(variable);
                      return budget_.spend(kVariableSteps) && variables.size() < kMaxVariables;
                    });
    // All the short ways of all frames before the longer ones of any.
    for (int pointers = 1; pointers <= kMaxPointers; ++pointers) {
      for (const FrameVariable& variable : variables) {
        if (budget_.is_over()) return;
        consider(variable, naming, pointers);
      }
      if (best_) return;
    }
  }

  [[nodiscard]] const std::optional<Candidate>& best() const { return best_; }

 private:
  void consider(const FrameVariable& variable, const NamingStack& naming, int pointers) {
    const uint64_t address = naming.address != 0 ? naming.address : address_;
    PathSearch search(address, kind_, *naming.memory, budget_);
    const std::optional<TypePath> path = search.find(variable.type, variable.location, pointers);
    if (!path) return;
    const std::optional<PathName> name = render_path(variable.name, *path);
    if (!name) return;
    const int cost = cost_of(variable, *path, *name);
    if (best_ && best_->cost <= cost) return;
    best_ = Candidate{.name = {.name = name->name, .owner_type = name->owner_type}, .cost = cost};
  }

  DebugInfo& info_;
  const uint64_t address_;
  const model::ResourceKind kind_;
  SearchBudget budget_;
  std::optional<Candidate> best_;
};

}  // namespace

std::optional<LockName> find_static_name(const Symbols& symbols, uint64_t address) {
  const std::optional<Symbol> symbol = symbols.symbol_at(address);
  if (!symbol || !symbol->is_object) return std::nullopt;
  return LockName{.name = with_offset(symbol->name, address - symbol->start)};
}

std::optional<LockName> find_static_member_name(const Symbols& symbols, uint64_t address,
                                                model::ResourceKind kind, SearchBudget* whole) {
  DebugInfo& info = symbols.debug_info();
  if (info.find_module(address) == nullptr) return std::nullopt;
  const std::optional<ElfSymbol> symbol = info.find_symbol_everywhere(address);
  const std::string symbol_name = symbol ? readable_name(symbol->name) : std::string();
  if (symbol && symbol->start == address && is_lock_size(symbol->size))
    return LockName{.name = symbol_name};

  std::optional<LockName> name;
  SearchBudget budget(kNameSteps, whole);
  info.each_unit(address, [&](Dwarf_Die& unit, uint64_t bias) {
    GlobalSearch globals(
        [address = address - bias](Dwarf_Die& variable, uint64_t place) {
          return covers(variable, place, address);
        },
        budget);
    if (globals.search(unit)) {
      const std::optional<Dwarf_Die> type = die_reference(globals.found, DW_AT_type);
      const NoMemory no_memory;
      PathSearch inside(address, kind, no_memory, budget);
      TypePath path;
      const std::string variable = symbol ? symbol_name : info.function_name(globals.found);
      if (type && inside.descend(*type, address - bias - globals.start, path))
        if (const std::optional<PathName> rendered = render_path(variable, path))
          name = LockName{.name = rendered->name, .owner_type = rendered->owner_type};
      if (!name) {
        name = LockName{.name = with_offset(variable, address - bias - globals.start),
                        .in_raw_memory = type.has_value()};
      }
      return false;
    }
    return !budget.is_over();
  });
  if (!name && symbol && symbol->is_object)
    name = LockName{.name = with_offset(symbol_name, address - symbol->start)};
  return name;
}

std::optional<LockName> find_member_name(const Symbols& symbols, uint64_t address,
                                         model::ResourceKind kind,
                                         const std::vector<NamingStack>& stacks,
                                         SearchBudget* whole) {
  MemberSearch search(symbols, address, kind, whole);
  for (const NamingStack& naming : stacks) search.search(naming);
  if (!search.best()) return std::nullopt;
  return search.best()->name;
}

std::optional<std::string> find_pointer_name(const Symbols& symbols, uint64_t target,
                                             const std::vector<NamingStack>& stacks,
                                             SearchBudget* whole) {
  DebugInfo& info = symbols.debug_info();
  SearchBudget budget(kNameSteps, whole);
  std::optional<std::string> name;
  for (const NamingStack& naming : stacks) {
    int depth = 0;
    const size_t count = std::min(naming.stack->frames.size(), kMaxFramesSearched);
    for (size_t i = 0; i < count && !name && !budget.is_over(); ++i) {
      each_variable(info, *naming.stack, i, *naming.memory, depth,
                    [&](const FrameVariable& variable) {
                      if (!variable.plumbing && is_pointer(variable.type) &&
                          variable.location.read_word(*naming.memory, 0, 8) == target)
                        name = variable.name;
                      return budget.spend(kVariableSteps) && !name;
                    });
    }
  }
  std::set<const Module*> seen;
  for (const NamingStack& naming : stacks) {
    for (const UnwoundFrame& frame : naming.stack->frames) {
      const Module* const module = info.find_module(frame.lookup_pc());
      if (name || module == nullptr || is_plumbing("", module->path) || !seen.insert(module).second)
        continue;
      info.each_unit(frame.lookup_pc(), [&](Dwarf_Die& unit, uint64_t bias) {
        GlobalSearch globals(
            [&](Dwarf_Die& variable, uint64_t place) {
              return budget.spend(kPointerSteps) &&
                     naming.memory->read_word(place + bias) == target &&
                     is_pointer(die_reference(variable, DW_AT_type));
            },
            budget);
        if (globals.search(unit)) name = info.function_name(globals.found);
        return !name && !budget.is_over();
      });
    }
  }
  return name;
}

void name_resource(const Symbols& symbols, model::Resource& resource,
                   const std::vector<NamingStack>& stacks, SearchBudget* whole) {
  if (!has_address(resource.kind) || resource.address == 0) return;
  if (resource.kind == model::ResourceKind::Custom && !stacks.empty()) {
    // The lock of a stream lies behind it, in memory of libc's: the program's name is the stream's.
    const auto stream = find_stream(*stacks.front().memory, resource.address);
    const auto name = stream ? find_pointer_name(symbols, *stream, stacks, whole) : std::nullopt;
    if (name) resource.name = *name + "'s lock";
    if (name || is_malloc_arena(*stacks.front().memory, resource.address)) return;
  }
  std::optional<LockName> name =
      find_static_member_name(symbols, resource.address, resource.kind, whole);
  if (!name) name = find_member_name(symbols, resource.address, resource.kind, stacks, whole);
  if (name) {
    if (name->in_raw_memory && !resource.born_by_init) resource.address_may_be_reused = true;
    // The headline may have said "g_state+0x28" meanwhile.
    const std::optional<LockName> quick = find_static_name(symbols, resource.address);
    if (resource.name.empty() || (quick && resource.name == quick->name))
      resource.name =
          model::is_loader_state(name->name) ? std::string(model::kLoaderLock) : name->name;
    if (resource.class_name.empty()) resource.class_name = name->owner_type;
  }
  if (resource.class_name.empty() && resource.name.empty() && resource.birth_site != 0) {
    const std::string site = symbols.describe_site(resource.birth_site);
    if (!site.empty())
      resource.class_name = (resource.born_by_init ? "init at " : "first locked at ") + site;
  }
}

}  // namespace gordian::process
