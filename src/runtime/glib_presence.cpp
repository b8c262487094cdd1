// SPDX-License-Identifier: Apache-2.0
#include "runtime/glib_presence.h"

#include "runtime/hooks_glib.h"
#include "runtime/pages.h"

#include <elf.h>
#include <link.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/auxv.h>
#include <sys/mman.h>

namespace gordian::runtime {
namespace {

constinit bool arrived = false;

bool equal(const char* a, const char* b) {
  while (*a != '\0' && *a == *b) ++a, ++b;
  return *a == *b;
}

bool ends_in_libglib(const char* path) {
  const char* base = path;
  for (const char* at = path; *at != '\0'; ++at) {
    if (*at == '/') base = at + 1;
  }
  constexpr char kName[] = "libglib-2.0.so";
  for (size_t i = 0; i + 1 < sizeof kName; ++i) {
    if (base[i] != kName[i]) return false;
  }
  return true;
}

// The dynamic section of one loaded object, as far as binding needs it.
struct Dynamic {
  uintptr_t bias = 0;
  Elf64_Sym* symbols = nullptr;
  const char* names = nullptr;
  const uint32_t* gnu_hash = nullptr;
  const Elf64_Rela* rela = nullptr;
  size_t rela_count = 0;
  const Elf64_Rela* jumps = nullptr;
  size_t jump_count = 0;

  explicit Dynamic(const link_map& object) : bias(object.l_addr) {
    for (const Elf64_Dyn* entry = object.l_ld; entry != nullptr && entry->d_tag != DT_NULL;
         ++entry) {
      // glibc relocates these pointers in place, except for the vDSO.
      void* pointer = reinterpret_cast<void*>(entry->d_un.d_ptr);
      switch (entry->d_tag) {
        case DT_SYMTAB:
          symbols = static_cast<Elf64_Sym*>(pointer);
          break;
        case DT_STRTAB:
          names = static_cast<const char*>(pointer);
          break;
        case DT_GNU_HASH:
          gnu_hash = static_cast<const uint32_t*>(pointer);
          break;
        case DT_RELA:
          rela = static_cast<const Elf64_Rela*>(pointer);
          break;
        case DT_RELASZ:
          rela_count = entry->d_un.d_val / sizeof(Elf64_Rela);
          break;
        case DT_JMPREL:
          jumps = static_cast<const Elf64_Rela*>(pointer);
          break;
        case DT_PLTRELSZ:
          jump_count = entry->d_un.d_val / sizeof(Elf64_Rela);
          break;
        default:
          break;
      }
    }
    // The vDSO's are offsets still; it binds nothing anyway.
    if (reinterpret_cast<uintptr_t>(symbols) < bias) symbols = nullptr;
  }

  [[nodiscard]] bool usable() const { return symbols != nullptr && names != nullptr; }

  // Number of entries in the symbol table: the ELF file says it nowhere, the hash table implies it.
  [[nodiscard]] size_t symbol_count() const {
    if (gnu_hash == nullptr) return 0;
    const uint32_t buckets = gnu_hash[0];
    const uint32_t first = gnu_hash[1];
    const uint32_t bloom_words = gnu_hash[2];
    const uint32_t* bucket = gnu_hash + 4 + bloom_words * 2;
    const uint32_t* chain = bucket + buckets;
    uint32_t last = 0;
    for (uint32_t i = 0; i < buckets; ++i) {
      if (bucket[i] > last) last = bucket[i];
    }
    if (last < first) return first;
    while ((chain[last - first] & 1) == 0) ++last;
    return last + 1;
  }
};

const GlibStandIn* stand_in_named(const char* name) {
  if (name[0] != 'g' || name[1] != '_') return nullptr;
  for (const GlibStandIn* it = kGlibStandIns; it->name != nullptr; ++it) {
    if (equal(it->name, name)) return it;
  }
  return nullptr;
}

// Makes [start, end) writable; false when the kernel refuses.
bool unprotect(uintptr_t start, uintptr_t end) {
  start = page_down(start);
  return mprotect(reinterpret_cast<void*>(start), end - start, PROT_READ | PROT_WRITE) == 0;
}

void protect(uintptr_t start, uintptr_t end) {
  start = page_down(start);
  mprotect(reinterpret_cast<void*>(start), end - start, PROT_READ);
}

bool find_real_functions(const Dynamic& glib) {
  bool any = false;
  const size_t count = glib.symbol_count();
  for (size_t i = 0; i < count; ++i) {
    const Elf64_Sym& symbol = glib.symbols[i];
    if (symbol.st_shndx == SHN_UNDEF || symbol.st_value == 0) continue;
    const GlibStandIn* stand_in = stand_in_named(glib.names + symbol.st_name);
    if (stand_in == nullptr) continue;
    *stand_in->real = reinterpret_cast<void*>(glib.bias + symbol.st_value);
    any = true;
  }
  return any;
}

void show_our_symbols(const Dynamic& ours) {
  const size_t count = ours.symbol_count();
  const auto start = reinterpret_cast<uintptr_t>(ours.symbols);
  const auto end = reinterpret_cast<uintptr_t>(ours.symbols + count);
  if (count == 0 || !unprotect(start, end)) return;
  for (size_t i = 0; i < count; ++i) {
    Elf64_Sym& symbol = ours.symbols[i];
    if (symbol.st_shndx == SHN_UNDEF || symbol.st_value != 0) continue;
    const GlibStandIn* stand_in = stand_in_named(ours.names + symbol.st_name);
    if (stand_in == nullptr || *stand_in->real == nullptr) continue;
    symbol.st_value = reinterpret_cast<uintptr_t>(stand_in->hook) - ours.bias;
  }
  protect(start, end);
}

// The object's read-only-after-relocation range, empty if it has none. The program headers are
// found through the ELF header at the load address; a non-PIE program has none there, the kernel
// tells where its are.
struct Relro {
  uintptr_t start = 0, end = 0;
};
Relro relro_of(const Dynamic& object) {
  const Elf64_Phdr* segments = nullptr;
  size_t count = 0;
  if (object.bias == 0) {
    segments = reinterpret_cast<const Elf64_Phdr*>(getauxval(AT_PHDR));
    count = getauxval(AT_PHNUM);
  } else {
    const auto* header = reinterpret_cast<const Elf64_Ehdr*>(object.bias);
    segments = reinterpret_cast<const Elf64_Phdr*>(object.bias + header->e_phoff);
    count = header->e_phnum;
  }
  for (size_t i = 0; i < count; ++i) {
    if (segments[i].p_type != PT_GNU_RELRO) continue;
    const uintptr_t start = object.bias + segments[i].p_vaddr;
    return {page_down(start), page_down(start + segments[i].p_memsz)};
  }
  return {};
}

// Slots that hold GLib's address get ours; slots not bound yet find us by the symbol table.
void rebind(const Dynamic& object, const Elf64_Rela* relocations, size_t count, Relro relro) {
  for (size_t i = 0; i < count; ++i) {
    const auto type = ELF64_R_TYPE(relocations[i].r_info);
    if (type != R_X86_64_JUMP_SLOT && type != R_X86_64_GLOB_DAT && type != R_X86_64_64) continue;
    const Elf64_Sym& symbol = object.symbols[ELF64_R_SYM(relocations[i].r_info)];
    if (symbol.st_shndx != SHN_UNDEF) continue;
    const GlibStandIn* stand_in = stand_in_named(object.names + symbol.st_name);
    if (stand_in == nullptr || *stand_in->real == nullptr) continue;
    const uintptr_t place = object.bias + relocations[i].r_offset;
    auto* slot = reinterpret_cast<void**>(place);
    if (*slot != *stand_in->real) continue;
    const bool read_only = place >= relro.start && place < relro.end;
    if (read_only && !unprotect(place, place + sizeof(void*))) continue;
    *slot = stand_in->hook;
    if (read_only) protect(place, place + sizeof(void*));
  }
}

}  // namespace

bool glib_is_here() { return arrived; }

void glib_has_arrived() {
  if (arrived) return;
  const link_map* glib = nullptr;
  const link_map* ours = nullptr;
  const auto here = reinterpret_cast<uintptr_t>(&arrived);
  for (const link_map* object = _r_debug.r_map; object != nullptr; object = object->l_next) {
    if (ends_in_libglib(object->l_name)) glib = object;
    // The nearest load address below us is ours.
    if (object->l_addr <= here && (ours == nullptr || object->l_addr > ours->l_addr)) ours = object;
  }
  if (glib == nullptr || ours == nullptr) return;
  const Dynamic glib_dynamic(*glib);
  const Dynamic our_dynamic(*ours);
  if (!glib_dynamic.usable() || !our_dynamic.usable()) return;
  if (!find_real_functions(glib_dynamic)) return;
  arrived = true;
  show_our_symbols(our_dynamic);
  for (const link_map* object = _r_debug.r_map; object != nullptr; object = object->l_next) {
    if (object == glib || object == ours) continue;
    const Dynamic dynamic(*object);
    if (!dynamic.usable()) continue;
    const Relro relro = relro_of(dynamic);
    rebind(dynamic, dynamic.rela, dynamic.rela_count, relro);
    rebind(dynamic, dynamic.jumps, dynamic.jump_count, relro);
  }
}

}  // namespace gordian::runtime
