// SPDX-License-Identifier: Apache-2.0
#include "runtime/real_functions.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <string.h>

namespace gordian::runtime {

constinit RealFunctions real{};

namespace {

// What one loaded object says about its symbols.
struct SymbolTable {
  const ElfW(Sym) * symbols = nullptr;
  const char* strings = nullptr;
  const uint32_t* gnu_hash = nullptr;
  const ElfW(Half) * versions = nullptr;
  const ElfW(Verdef) * version_definitions = nullptr;
  size_t version_count = 0;
};

// glibc relocates the pointers of a writable dynamic section in place; those of the vDSO stay
// offsets, and it has nothing for us.
SymbolTable read_symbol_table(const link_map* object) {
  SymbolTable table;
  if (object->l_ld == nullptr) return table;
  auto address = [object](ElfW(Addr) value) {
    return value < object->l_addr ? value + object->l_addr : value;
  };
  for (const ElfW(Dyn)* entry = object->l_ld; entry->d_tag != DT_NULL; ++entry) {
    const ElfW(Addr) value = address(entry->d_un.d_ptr);
    switch (entry->d_tag) {
      case DT_SYMTAB:
        table.symbols = reinterpret_cast<const ElfW(Sym)*>(value);
        break;
      case DT_STRTAB:
        table.strings = reinterpret_cast<const char*>(value);
        break;
      case DT_GNU_HASH:
        table.gnu_hash = reinterpret_cast<const uint32_t*>(value);
        break;
      case DT_VERSYM:
        table.versions = reinterpret_cast<const ElfW(Half)*>(value);
        break;
      case DT_VERDEF:
        table.version_definitions = reinterpret_cast<const ElfW(Verdef)*>(value);
        break;
      case DT_VERDEFNUM:
        table.version_count = entry->d_un.d_val;
        break;
      default:
        break;
    }
  }
  return table;
}

const char* version_name(const SymbolTable& table, unsigned index) {
  const ElfW(Verdef)* definition = table.version_definitions;
  for (size_t i = 0; definition != nullptr && i < table.version_count; ++i) {
    const char* base = reinterpret_cast<const char*>(definition);
    if ((definition->vd_ndx & 0x7fff) == index) {
      const auto* name = reinterpret_cast<const ElfW(Verdaux)*>(base + definition->vd_aux);
      return table.strings + name->vda_name;
    }
    definition = reinterpret_cast<const ElfW(Verdef)*>(base + definition->vd_next);
  }
  return "";
}

bool has_version(const SymbolTable& table, uint32_t symbol, const char* version) {
  if (table.versions == nullptr) return true;
  const unsigned index = table.versions[symbol];
  if (version[0] == '\0') return (index & 0x8000) == 0;  // hidden: an old, non-default version
  const char* name = version_name(table, index & 0x7fff);
  // Version 1 is "none": such a definition (another interposer's) answers every request.
  return (index & 0x7fff) <= 1 || strcmp(name, version) == 0;
}

void* find_in(const link_map* object, const char* name, const char* version) {
  const SymbolTable table = read_symbol_table(object);
  if (table.symbols == nullptr || table.strings == nullptr || table.gnu_hash == nullptr) {
    return nullptr;
  }
  uint32_t hash = 5381;
  for (const char* c = name; *c != '\0'; ++c) hash = hash * 33 + static_cast<unsigned char>(*c);

  const uint32_t bucket_count = table.gnu_hash[0];
  const uint32_t first_symbol = table.gnu_hash[1];
  const uint32_t bloom_words = table.gnu_hash[2];
  const auto* bloom = reinterpret_cast<const ElfW(Addr)*>(table.gnu_hash + 4);
  const auto* buckets = reinterpret_cast<const uint32_t*>(bloom + bloom_words);
  const uint32_t* chains = buckets + bucket_count;
  if (bucket_count == 0) return nullptr;

  uint32_t symbol = buckets[hash % bucket_count];
  if (symbol < first_symbol) return nullptr;
  for (;; ++symbol) {
    const uint32_t other = chains[symbol - first_symbol];
    const ElfW(Sym)& entry = table.symbols[symbol];
    const unsigned type = ELF64_ST_TYPE(entry.st_info);
    if ((other | 1) == (hash | 1) && entry.st_shndx != SHN_UNDEF &&
        (type == STT_FUNC || type == STT_NOTYPE || type == STT_OBJECT) &&
        strcmp(table.strings + entry.st_name, name) == 0 && has_version(table, symbol, version)) {
      return reinterpret_cast<void*>(object->l_addr + entry.st_value);
    }
    if ((other & 1) != 0) return nullptr;
  }
}

// Lock-free, unlike dl_iterate_phdr.
const link_map* own_object() {
  dl_find_object found{};
  if (_dl_find_object(reinterpret_cast<void*>(&find_next_symbol), &found) != 0) return nullptr;
  return found.dlfo_link_map;
}

}  // namespace

void* find_next_symbol(const char* name, const char* version) {
  const link_map* own = own_object();
  if (own == nullptr) return nullptr;
  for (const link_map* object = own->l_next; object != nullptr; object = object->l_next) {
    if (void* found = find_in(object, name, version)) return found;
  }
  // Loaded late, by dlopen: everything stands before us.
  return find_first_symbol(name, version);
}

void* find_first_symbol(const char* name, const char* version) {
  const link_map* own = own_object();
  if (own == nullptr) return nullptr;
  const link_map* first = own;
  while (first->l_prev != nullptr) first = first->l_prev;
  for (const link_map* object = first; object != nullptr; object = object->l_next) {
    if (object == own) continue;
    if (void* found = find_in(object, name, version)) return found;
  }
  return nullptr;
}

bool find_real_functions() {
  bool complete = true;
#define GORDIAN_FIND(name, version, type)                                \
  real.name = reinterpret_cast<type*>(find_next_symbol(#name, version)); \
  complete = complete && real.name != nullptr;
  GORDIAN_REAL_FUNCTIONS(GORDIAN_FIND)
#undef GORDIAN_FIND
  return complete;
}

}  // namespace gordian::runtime
