// SPDX-License-Identifier: Apache-2.0
#include "process/type_path.h"

#include "process/debug_info.h"

#include <algorithm>
#include <string_view>

namespace gordian::process {
namespace {

constexpr int kMaxPeels = 32;
constexpr int kMaxPathDepth = 24;
constexpr size_t kMaxMembers = 2000;
constexpr size_t kMaxSteps = 50000;
constexpr uint64_t kMaxElements = 64;
constexpr uint64_t kMaxVectorElements = 1024;

// The lock ends the path here; what is inside it is nobody's business.
constexpr std::string_view kLockTypes[] = {
    "pthread_mutex_t",
    "pthread_rwlock_t",
    "pthread_cond_t",
    "pthread_spinlock_t",
    "pthread_barrier_t",
    "pthread_once_t",
    "sem_t",
    "mtx_t",
    "cnd_t",
    "once_flag",
    "GMutex",
    "GRecMutex",
    "GRWLock",
    "GCond",
    "GOnce",
    "_GMutex",
    "_GRecMutex",
    "_GRWLock",
    "_GCond",
    "_GOnce",
    "GStaticMutex",
    "GStaticRecMutex",
    "GStaticRWLock",
    // of gordian/sync.h
    "lock_identity",
    "queue_side",
};

// Objects that hold a lock for somebody: their member is called _M_device, the lock has a better
// name.
constexpr std::string_view kHolderTypes[] = {
    "lock_guard<", "unique_lock<", "scoped_lock<", "shared_lock<", "defer_lock_t",
};

bool is_aggregate(int tag) {
  return tag == DW_TAG_structure_type || tag == DW_TAG_class_type || tag == DW_TAG_union_type;
}

// Locks that are nothing but a number.
bool may_be_scalar(model::ResourceKind kind) {
  switch (kind) {
    case model::ResourceKind::Mutex:
    case model::ResourceKind::RwLock:
    case model::ResourceKind::Condition:
    case model::ResourceKind::Semaphore:
    case model::ResourceKind::Barrier:
      return false;
    default:
      return true;
  }
}

bool is_reserved(std::string_view name) { return name.starts_with("_M_"); }

// Of gordian::bounded_queue: its two sides are one queue to everybody else.
bool is_reserved(const PathPart& part) {
  return part.name.empty() || is_reserved(part.name) || part.owner.starts_with("bounded_queue");
}

std::string short_type_name(std::string name) {
  name = readable_name(name);
  const size_t arguments = name.find('<');
  if (arguments != std::string::npos && name.size() > 40)
    name = name.substr(0, arguments) + "<...>";
  return name;
}

// Calls `visit` with each member and base that has a place in the object.
void each_member(Dwarf_Die& type,
                 const std::function<bool(Dwarf_Die& member, uint64_t offset)>& visit) {
  Dwarf_Die member;
  if (dwarf_child(&type, &member) != 0) return;
  size_t count = 0;
  do {
    const int tag = dwarf_tag(&member);
    if (tag != DW_TAG_member && tag != DW_TAG_inheritance) continue;
    if (die_has_flag(member, DW_AT_external) || die_has_flag(member, DW_AT_declaration)) continue;
    // A union's members have no offset; a virtual base has an expression, which is not a number.
    Dwarf_Attribute attribute;
    Dwarf_Word offset = 0;
    if (dwarf_attr(&member, DW_AT_data_member_location, &attribute) != nullptr &&
        dwarf_formudata(&attribute, &offset) != 0)
      continue;
    if (!visit(member, offset)) return;
  } while (++count < kMaxMembers && dwarf_siblingof(&member, &member) == 0);
}

// The lengths of an array's dimensions; an unknown one ends the list.
std::vector<uint64_t> array_dimensions(Dwarf_Die& array) {
  std::vector<uint64_t> dimensions;
  Dwarf_Die child;
  if (dwarf_child(&array, &child) != 0) return dimensions;
  do {
    if (dwarf_tag(&child) != DW_TAG_subrange_type) continue;
    if (const auto count = die_number(child, DW_AT_count))
      dimensions.push_back(*count);
    else if (const auto upper = die_number(child, DW_AT_upper_bound))
      dimensions.push_back(*upper + 1);
    else
      break;
  } while (dimensions.size() < 8 && dwarf_siblingof(&child, &child) == 0);
  return dimensions;
}

void push_indices(uint64_t index, const std::vector<uint64_t>& dimensions, TypePath& path) {
  std::vector<uint64_t> indices;
  for (size_t i = dimensions.size(); i-- > 1;) {
    const uint64_t length = std::max<uint64_t>(dimensions[i], 1);
    indices.push_back(index % length);
    index /= length;
  }
  indices.push_back(index);
  for (size_t i = indices.size(); i-- > 0;)
    path.push_back({.kind = PathPart::Kind::Index, .name = {}, .owner = {}, .index = indices[i]});
}

PathPart member_part(Dwarf_Die& member, const PeeledType& owner) {
  return {.kind = PathPart::Kind::Member,
          .name = die_name(member),
          .owner = short_type_name(owner.name),
          .index = 0};
}

Location memory_at(uint64_t address) {
  Location location;
  location.add(LocationPiece::Kind::Memory, kWholeVariable, address);
  return location;
}

}  // namespace

std::optional<PeeledType> peel_type(Dwarf_Die type) {
  PeeledType peeled{.die = type, .name = {}};
  for (int i = 0; i < kMaxPeels; ++i) {
    switch (dwarf_tag(&peeled.die)) {
      case DW_TAG_typedef:
      case DW_TAG_const_type:
      case DW_TAG_volatile_type:
      case DW_TAG_restrict_type:
      case DW_TAG_atomic_type: {
        if (dwarf_tag(&peeled.die) == DW_TAG_typedef) {
          peeled.name = die_name(peeled.die);
          for (const std::string_view lock : kLockTypes)
            if (peeled.name == lock) return peeled;
        }
        const std::optional<Dwarf_Die> inner = die_reference(peeled.die, DW_AT_type);
        if (!inner) return std::nullopt;  // void
        peeled.die = *inner;
        break;
      }
      default: {
        // With -fdebug-types-section the unit has only a mark; the type stands in a unit of its
        // own.
        if (dwarf_hasattr(&peeled.die, DW_AT_signature)) {
          std::optional<Dwarf_Die> whole = die_reference(peeled.die, DW_AT_signature);
          if (whole && dwarf_tag(&peeled.die) == dwarf_tag(&*whole) && i + 1 < kMaxPeels) {
            const bool again = whole->addr == peeled.die.addr;
            peeled.die = *whole;
            if (!again) continue;
          }
        }
        const std::string own = die_name(peeled.die);
        if (!own.empty()) peeled.name = own;
        return peeled;
      }
    }
  }
  return std::nullopt;
}

std::optional<uint64_t> type_size(Dwarf_Die type) {
  Dwarf_Word size = 0;
  const std::optional<PeeledType> peeled = peel_type(type);
  if (!peeled) return std::nullopt;
  type = peeled->die;
  if (dwarf_aggregate_size(&type, &size) != 0) return std::nullopt;
  return size;
}

std::optional<PathName> render_path(const std::string& variable, const TypePath& path) {
  using Kind = PathPart::Kind;
  std::string text = variable;
  std::string owner;
  const char* join = ".";
  bool closure = variable == "__closure";
  bool is_this = variable == "this";
  bool named = false;
  for (size_t i = 0; i < path.size(); ++i) {
    const PathPart& part = path[i];
    switch (part.kind) {
      case Kind::Pointer:
        join = "->";
        break;
      case Kind::Reference:
        join = ".";
        break;
      case Kind::Index:
        if (text == "this") return std::nullopt;
        text += "[" + std::to_string(part.index) + "]";
        join = ".";
        break;
      case Kind::Member:
        if (is_reserved(part)) break;
        if (closure) {
          // A lambda's captures: the compiler puts __ before the name.
          text = part.name.starts_with("__") ? part.name.substr(2) : part.name;
          closure = false;
          is_this = text == "this";
          join = ".";
          break;
        }
        if (is_this) {
          const bool further = std::any_of(
              path.begin() + static_cast<ptrdiff_t>(i) + 1, path.end(), [](const PathPart& later) {
                return later.kind == Kind::Pointer || later.kind == Kind::Reference;
              });
          text = further || part.owner.empty() ? part.name : part.owner + "::" + part.name;
          is_this = false;
        } else {
          text += join + part.name;
        }
        owner = part.owner;
        named = true;
        join = ".";
        break;
    }
  }
  const bool by_pointer = std::any_of(path.begin(), path.end(), [](const PathPart& part) {
    return part.kind == Kind::Pointer || part.kind == Kind::Reference;
  });
  // A variable that is the lock or the array of locks itself names it well; one that only points to
  // it does not, unless it is a captured one.
  const bool captured = variable == "__closure" && !closure && !is_this;
  if (!named && by_pointer && !captured) return std::nullopt;
  if (is_this || closure) return std::nullopt;
  return PathName{.name = std::move(text), .owner_type = std::move(owner)};
}

bool PathSearch::out_of_budget() { return ++steps_ > kMaxSteps || !budget_.spend(); }

bool PathSearch::is_lock_here(const PeeledType& type, uint64_t offset) const {
  if (offset != 0) return false;
  Dwarf_Die die = type.die;
  const int tag = dwarf_tag(&die);
  for (const std::string_view lock : kLockTypes)
    if (type.name == lock) return true;
  return may_be_scalar(kind_) &&
         (tag == DW_TAG_base_type || tag == DW_TAG_enumeration_type || tag == DW_TAG_pointer_type);
}

bool PathSearch::descend(const Dwarf_Die& type, uint64_t offset, TypePath& path, int depth) {
  if (depth > kMaxPathDepth || out_of_budget()) return false;
  std::optional<PeeledType> peeled = peel_type(type);
  if (!peeled) return false;
  if (is_lock_here(*peeled, offset)) return true;
  const int tag = dwarf_tag(&peeled->die);
  const size_t length = path.size();
  if (tag == DW_TAG_array_type) {
    const std::optional<Dwarf_Die> element = die_reference(peeled->die, DW_AT_type);
    const std::optional<uint64_t> size = element ? type_size(*element) : std::nullopt;
    if (!size || *size == 0) return false;
    push_indices(offset / *size, array_dimensions(peeled->die), path);
    if (descend(*element, offset % *size, path, depth + 1)) return true;
    path.resize(length);
    return false;
  }
  if (!is_aggregate(tag)) return false;
  bool found = false;
  each_member(peeled->die, [&](Dwarf_Die& member, uint64_t at) {
    const std::optional<Dwarf_Die> member_type = die_reference(member, DW_AT_type);
    const std::optional<uint64_t> size = member_type ? type_size(*member_type) : std::nullopt;
    if (!size || offset < at || offset - at >= *size) return true;
    if (dwarf_tag(&member) == DW_TAG_member) path.push_back(member_part(member, *peeled));
    found = descend(*member_type, offset - at, path, depth + 1);
    if (!found) path.resize(length);
    return !found;
  });
  return found;
}

std::optional<TypePath> PathSearch::find(const Dwarf_Die& type, const Location& location,
                                         int max_pointers) {
  TypePath path;
  if (!visit(type, location, 0, max_pointers, path, 0)) return std::nullopt;
  return path;
}

bool PathSearch::visit(const Dwarf_Die& type, const Location& object, uint64_t offset,
                       int pointers_left, TypePath& path, int depth) {
  if (depth > kMaxPathDepth || out_of_budget()) return false;
  const std::optional<PeeledType> peeled = peel_type(type);
  if (!peeled) return false;
  for (const std::string_view holder : kHolderTypes)
    if (peeled->name.starts_with(holder)) return false;
  Dwarf_Die die = peeled->die;
  const int tag = dwarf_tag(&die);
  if (const std::optional<uint64_t> address = object.address_of(offset)) {
    const std::optional<uint64_t> size = type_size(die);
    if (size && target_ >= *address && target_ - *address < *size)
      return descend(type, target_ - *address, path);
  }
  switch (tag) {
    case DW_TAG_structure_type:
    case DW_TAG_class_type:
    case DW_TAG_union_type:
      return visit_vector(*peeled, object, offset, pointers_left, path, depth) ||
             visit_members(*peeled, object, offset, pointers_left, path, depth);
    case DW_TAG_array_type:
      return visit_array(*peeled, object, offset, pointers_left, path, depth);
    case DW_TAG_pointer_type:
    case DW_TAG_reference_type:
    case DW_TAG_rvalue_reference_type:
      return visit_pointer(*peeled, object, offset, pointers_left, path, depth);
    default:
      return false;
  }
}

bool PathSearch::visit_members(const PeeledType& type, const Location& object, uint64_t offset,
                               int pointers_left, TypePath& path, int depth) {
  Dwarf_Die die = type.die;
  const size_t length = path.size();
  bool found = false;
  each_member(die, [&](Dwarf_Die& member, uint64_t at) {
    const std::optional<Dwarf_Die> member_type = die_reference(member, DW_AT_type);
    if (!member_type) return true;
    if (dwarf_tag(&member) == DW_TAG_member) path.push_back(member_part(member, type));
    found = visit(*member_type, object, offset + at, pointers_left, path, depth + 1);
    if (!found) path.resize(length);
    return !found && steps_ <= kMaxSteps && !budget_.is_over();
  });
  return found;
}

bool PathSearch::visit_array(const PeeledType& type, const Location& object, uint64_t offset,
                             int pointers_left, TypePath& path, int depth) {
  Dwarf_Die die = type.die;
  const std::optional<Dwarf_Die> element = die_reference(die, DW_AT_type);
  const std::optional<uint64_t> size = element ? type_size(*element) : std::nullopt;
  const std::vector<uint64_t> dimensions = array_dimensions(die);
  if (!size || *size == 0 || dimensions.empty()) return false;
  // Arrays of numbers and text lead nowhere.
  const std::optional<PeeledType> peeled = peel_type(*element);
  Dwarf_Die element_die = peeled ? peeled->die : *element;
  if (dwarf_tag(&element_die) == DW_TAG_base_type) return false;
  uint64_t count = 1;
  for (const uint64_t length : dimensions)
    count = length != 0 && count > kMaxElements / length ? kMaxElements : count * length;
  const size_t length = path.size();
  for (uint64_t i = 0; i < std::min(count, kMaxElements); ++i) {
    push_indices(i, dimensions, path);
    if (visit(*element, object, offset + i * *size, pointers_left, path, depth + 1)) return true;
    path.resize(length);
  }
  return false;
}

bool PathSearch::visit_pointer(const PeeledType& type, const Location& object, uint64_t offset,
                               int pointers_left, TypePath& path, int depth) {
  if (pointers_left <= 0 || !budget_.spend(kPointerSteps)) return false;
  Dwarf_Die die = type.die;
  const std::optional<uint64_t> value = object.read_word(memory_, offset, 8);
  const std::optional<Dwarf_Die> target = die_reference(die, DW_AT_type);
  if (!value || *value == 0 || !target) return false;
  const size_t length = path.size();
  const bool reference = dwarf_tag(&die) != DW_TAG_pointer_type;
  path.push_back({.kind = reference ? PathPart::Kind::Reference : PathPart::Kind::Pointer,
                  .name = {},
                  .owner = {},
                  .index = 0});
  if (visit(*target, memory_at(*value), 0, pointers_left - 1, path, depth + 1)) return true;
  path.resize(length);
  return false;
}

// std::vector and what is built like it: a pointer to the first element and one behind the last.
bool PathSearch::visit_vector(const PeeledType& type, const Location& object, uint64_t offset,
                              int pointers_left, TypePath& path, int depth) {
  if (pointers_left <= 0) return false;
  std::optional<uint64_t> start;
  std::optional<uint64_t> finish;
  std::optional<Dwarf_Die> element;
  Dwarf_Die die = type.die;
  each_member(die, [&](Dwarf_Die& member, uint64_t at) {
    const std::string name = die_name(member);
    if (!budget_.spend()) return false;
    if (name == "_M_start") {
      budget_.spend(kPointerSteps);
      start = object.read_word(memory_, offset + at, 8);
      const std::optional<Dwarf_Die> pointer_type = die_reference(member, DW_AT_type);
      std::optional<PeeledType> pointer = pointer_type ? peel_type(*pointer_type) : std::nullopt;
      if (pointer && dwarf_tag(&pointer->die) == DW_TAG_pointer_type)
        element = die_reference(pointer->die, DW_AT_type);
    } else if (name == "_M_finish") {
      budget_.spend(kPointerSteps);
      finish = object.read_word(memory_, offset + at, 8);
    }
    return !(start && finish);
  });
  const uint64_t size = element ? type_size(*element).value_or(0) : 0;
  if (!start || !finish || size == 0 || *finish <= *start) return false;
  const size_t length = path.size();
  if (target_ >= *start && target_ < *finish) {
    path.push_back({.kind = PathPart::Kind::Index,
                    .name = {},
                    .owner = {},
                    .index = (target_ - *start) / size});
    if (descend(*element, (target_ - *start) % size, path)) return true;
    path.resize(length);
    return false;
  }
  const uint64_t count = std::min((*finish - *start) / size, kMaxVectorElements);
  for (uint64_t i = 0; i < count; ++i) {
    path.push_back({.kind = PathPart::Kind::Index, .name = {}, .owner = {}, .index = i});
    if (visit(*element, memory_at(*start + i * size), 0, pointers_left - 1, path, depth + 1))
      return true;
    path.resize(length);
  }
  return false;
}

}  // namespace gordian::process
