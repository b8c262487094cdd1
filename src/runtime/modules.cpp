// SPDX-License-Identifier: Apache-2.0
#include "runtime/modules.h"

#include "format/memory.h"
#include "runtime/log.h"
#include "runtime/recording.h"
#include "runtime/system_calls.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <string.h>

namespace gordian::runtime {

namespace {

// Ranges that are logged. A plug-in that is loaded where an unloaded one lay is not noticed.
struct Range {
  uint64_t start, end;
};
constexpr uint32_t kMaxRanges = 1024;
constinit Range ranges[kMaxRanges] = {};
constinit uint32_t range_count = 0;

constinit const link_map* last_at_start = nullptr;

struct ObjectNotes {
  const uint8_t* build_id;
  uint32_t build_id_size;
  uint32_t memory;  // kModule* of format/recording.h
};

void read_note(const ElfW(Nhdr) & head, const uint8_t* name, const uint8_t* text,
               ObjectNotes& notes) {
  if (head.n_type == NT_GNU_BUILD_ID && head.n_namesz == 4 && memcmp(name, "GNU", 4) == 0) {
    notes.build_id = text;
    notes.build_id_size = head.n_descsz;
  }
  uint32_t word = 0;
  if (head.n_type != format::kObjectNoteType || head.n_namesz != sizeof format::kObjectNoteName ||
      memcmp(name, format::kObjectNoteName, sizeof format::kObjectNoteName) != 0 ||
      head.n_descsz < sizeof word) {
    return;
  }
  memcpy(&word, text, sizeof word);
  notes.memory |= format::kModuleTellsMemory;
  if (word != format::kObjectIsWhole) notes.memory |= format::kModuleHasHoles;
  if (word == format::kObjectCallsUnfollowed) notes.memory |= format::kModuleCallsUnfollowed;
}

ObjectNotes read_notes(const uint8_t* image, uint64_t bias) {
  ObjectNotes notes{};
  const auto* file = reinterpret_cast<const ElfW(Ehdr)*>(image);
  if (memcmp(file->e_ident, ELFMAG, SELFMAG) != 0) return notes;
  const auto* headers = reinterpret_cast<const ElfW(Phdr)*>(image + file->e_phoff);
  for (unsigned i = 0; i < file->e_phnum; ++i) {
    // Those of 8 bytes alignment are other ones (properties).
    if (headers[i].p_type != PT_NOTE || headers[i].p_align > 4) continue;
    const auto* note = reinterpret_cast<const uint8_t*>(bias + headers[i].p_vaddr);
    const uint8_t* end = note + headers[i].p_memsz;
    while (note + sizeof(ElfW(Nhdr)) <= end) {
      const auto* head = reinterpret_cast<const ElfW(Nhdr)*>(note);
      const uint8_t* name = note + sizeof(ElfW(Nhdr));
      const uint8_t* text = name + ((head->n_namesz + 3) & ~3U);
      read_note(*head, name, text, notes);
      note = text + ((head->n_descsz + 3) & ~3U);
    }
  }
  return notes;
}

// The loader does not name the program itself, and a judge may come only after a short program has
// ended: so its file is looked up here.
constinit char program_path[4096] = {};

const char* path_of(const link_map* object) {
  if (object->l_name != nullptr && *object->l_name != '\0') return object->l_name;
  if (object->l_prev != nullptr) return "";
  const long size = raw_call(SYS_readlink, reinterpret_cast<long>("/proc/self/exe"),
                             reinterpret_cast<long>(program_path), sizeof program_path - 1);
  program_path[size > 0 ? size : 0] = '\0';
  return program_path;
}

void log_module(const dl_find_object& found) {
  const auto start = reinterpret_cast<uint64_t>(found.dlfo_map_start);
  const auto end = reinterpret_cast<uint64_t>(found.dlfo_map_end);
  // ORDER: pairs with is_in_module().
  const uint32_t index = __atomic_fetch_add(&range_count, 1, __ATOMIC_ACQ_REL);
  if (index >= kMaxRanges) {
    __atomic_store_n(&range_count, kMaxRanges, __ATOMIC_RELAXED);
    return;
  }
  ranges[index].start = start;
  ranges[index].end = end;

  const link_map* object = found.dlfo_link_map;
  const char* path = path_of(object);
  const size_t path_size = strnlen(path, 4096);
  auto* record = begin_record<format::ModuleRecord>(format::RecordType::Module, 0, path_size);
  if (record == nullptr) return;
  record->start = start;
  record->end = end;
  record->bias = object->l_addr;
  const ObjectNotes notes =
      read_notes(static_cast<const uint8_t*>(found.dlfo_map_start), object->l_addr);
  const uint32_t id_size =
      notes.build_id_size < sizeof record->build_id ? notes.build_id_size : sizeof record->build_id;
  if (id_size > 0) memcpy(record->build_id, notes.build_id, id_size);
  record->build_id_size = static_cast<uint8_t>(id_size);
  record->path_size = static_cast<uint16_t>(path_size);
  memcpy(record->path, path, path_size);
  commit(record);
  if (!is_recording()) return;
  format::ModuleBody module{.start = start,
                            .end = end,
                            .bias = object->l_addr,
                            .build_id_size = record->build_id_size,
                            .build_id = {},
                            .path_size = static_cast<uint32_t>(path_size < 3000 ? path_size : 0),
                            .flags = notes.memory};
  memcpy(module.build_id, record->build_id, sizeof module.build_id);
  record_module(module, path);
}

bool find_object(const void* address, dl_find_object& found) {
  return _dl_find_object(const_cast<void*>(address), &found) == 0 && found.dlfo_link_map != nullptr;
}

}  // namespace

void log_modules() {
  range_count = 0;
  dl_find_object found{};
  if (!find_object(reinterpret_cast<void*>(&log_modules), found)) return;
  const link_map* object = found.dlfo_link_map;
  while (object->l_prev != nullptr) object = object->l_prev;
  for (; object != nullptr; object = object->l_next) {
    last_at_start = object;
    if (object->l_ld != nullptr && find_object(object->l_ld, found)) log_module(found);
  }
}

bool objects_were_added() {
  return last_at_start != nullptr &&
         __atomic_load_n(&last_at_start->l_next, __ATOMIC_RELAXED) != nullptr;
}

bool is_in_library(const void* code, const char* file_name) {
  dl_find_object found{};
  if (!find_object(code, found)) return false;
  const char* base = found.dlfo_link_map->l_name;
  for (const char* at = base; *at != '\0'; ++at) {
    if (*at == '/') base = at + 1;
  }
  return strncmp(base, file_name, strlen(file_name)) == 0;
}

bool is_in_module(uint64_t address) {
  // ORDER: a range counts once its number does; an unfinished one has end 0 and matches nothing.
  const uint32_t known = __atomic_load_n(&range_count, __ATOMIC_ACQUIRE);
  for (uint32_t i = 0; i < known && i < kMaxRanges; ++i) {
    if (address >= ranges[i].start && address < ranges[i].end) return true;
  }
  return false;
}

void note_module_of(uint64_t pc) {
  if (is_in_module(pc)) return;
  dl_find_object found{};
  if (find_object(reinterpret_cast<void*>(pc), found)) log_module(found);
}

}  // namespace gordian::runtime
