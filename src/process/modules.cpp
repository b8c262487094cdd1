// SPDX-License-Identifier: Apache-2.0
#include "process/modules.h"

#include "process/live.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <elf.h>
#include <fcntl.h>
#include <gelf.h>
#include <libelf.h>
#include <memory>
#include <optional>
#include <span>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace gordian::process {
namespace {

constexpr size_t kMaxProgramHeaders = 512;
constexpr size_t kMaxNotes = 64 << 10;
constexpr size_t kMaxVdso = 64 << 10;
constexpr uint64_t kPageBytes = 4096;

bool read_at(int fd, uint64_t offset, void* to, size_t size) {
  return pread(fd, to, size, static_cast<off_t>(offset)) == static_cast<ssize_t>(size);
}

bool is_understood(const Elf64_Ehdr& header) {
  return std::memcmp(header.e_ident, ELFMAG, SELFMAG) == 0 &&
         header.e_ident[EI_CLASS] == ELFCLASS64 && header.e_ident[EI_DATA] == ELFDATA2LSB &&
         header.e_phentsize == sizeof(Elf64_Phdr) && header.e_phnum <= kMaxProgramHeaders;
}

std::vector<Elf64_Phdr> read_program_headers(int fd) {
  Elf64_Ehdr header;
  if (!read_at(fd, 0, &header, sizeof header) || !is_understood(header)) return {};
  std::vector<Elf64_Phdr> headers(header.e_phnum);
  if (!read_at(fd, header.e_phoff, headers.data(), headers.size() * sizeof(Elf64_Phdr)))
    headers.clear();
  return headers;
}

std::string find_build_id(std::span<const char> notes) {
  for (size_t at = 0; at + sizeof(Elf64_Nhdr) <= notes.size();) {
    Elf64_Nhdr note;
    std::memcpy(&note, notes.data() + at, sizeof note);
    at += sizeof note;
    const uint64_t name_size = (uint64_t{note.n_namesz} + 3) & ~uint64_t{3};
    const uint64_t desc_size = (uint64_t{note.n_descsz} + 3) & ~uint64_t{3};
    if (name_size > notes.size() - at || desc_size > notes.size() - at - name_size) break;
    if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 &&
        std::memcmp(notes.data() + at, "GNU", 4) == 0)
      return {notes.data() + at + name_size, note.n_descsz};
    at += name_size + desc_size;
  }
  return {};
}

// Everything of one file in a process, in address order.
struct MappedFile {
  uint64_t device, inode;
  std::string path;
  bool deleted;
  uint64_t start, end;
  uint64_t first_offset;
  bool has_code;
};

std::vector<MappedFile> group_by_file(const std::vector<Mapping>& mappings) {
  std::vector<MappedFile> files;
  for (const Mapping& mapping : mappings) {
    if (mapping.inode == 0 || mapping.path.empty() || mapping.path[0] != '/') continue;
    // A second copy of a file (dlmopen) starts again at offset 0.
    if (!files.empty() && files.back().device == mapping.device &&
        files.back().inode == mapping.inode && mapping.offset != 0) {
      files.back().end = mapping.end;
      files.back().has_code |= mapping.executable;
      continue;
    }
    files.push_back({mapping.device, mapping.inode, mapping.path, mapping.deleted, mapping.start,
                     mapping.end, mapping.offset, mapping.executable});
  }
  // The zero-filled end of the data has no file: it belongs to the object before it. It is where
  // uninitialised mutexes live.
  std::erase_if(files, [](const MappedFile& file) { return !file.has_code; });
  for (MappedFile& file : files) {
    const auto behind = std::lower_bound(
        mappings.begin(), mappings.end(), file.end,
        [](const Mapping& mapping, uint64_t address) { return mapping.start < address; });
    for (auto next = behind; next != mappings.end() && next->start == file.end &&
                             next->inode == 0 && next->path.empty() && next->writable;
         ++next)
      file.end = next->end;
  }
  return files;
}

Result<FileDescriptor> open_file(const std::string& path) {
  FileDescriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd) return Error::from_errno(path);
  struct stat status;
  if (fstat(fd.get(), &status) != 0 || !S_ISREG(status.st_mode))
    return Error("not a regular file").in(path);
  return fd;
}

// The vdso is in no file: a copy of its memory, in one.
Result<FileDescriptor> copy_vdso(const Module& module, int pid) {
  const size_t size = std::min<uint64_t>(module.end - module.start, kMaxVdso);
  std::vector<std::byte> bytes(size);
  if (!ProcessMemory(pid).read(module.start, bytes)) return Error("cannot read the vdso");
  FileDescriptor fd(memfd_create("gordian-vdso", MFD_CLOEXEC));
  if (!fd) return Error::from_errno("memfd_create");
  GORDIAN_TRY(, write_all(fd.get(), {reinterpret_cast<const char*>(bytes.data()), size}));
  return fd;
}

std::string map_files_path(int pid, uint64_t start, uint64_t end) {
  char text[96];
  std::snprintf(text, sizeof text, "/proc/%d/map_files/%lx-%lx", pid, start, end);
  return text;
}

// Where the file of a module may be found, best first.
std::vector<std::string> list_roads(const Module& module, int pid,
                                    const std::vector<Mapping>& mappings) {
  if (!module.file.empty()) return {module.file};
  std::vector<std::string> roads;
  const std::string proc = "/proc/" + std::to_string(pid);
  if (pid != 0 && module.path.empty()) {
    roads.push_back(proc + "/exe");
  } else if (pid != 0) {
    roads.push_back(proc + "/root" + module.path);
    for (const Mapping& mapping : mappings) {
      if (mapping.start < module.start || mapping.end > module.end || mapping.inode == 0) continue;
      // Deleted or replaced: the path leads to nothing, or to another file.
      if (mapping.deleted) roads.clear();
      roads.push_back(map_files_path(pid, mapping.start, mapping.end));
      if (mapping.path == read_exe(pid)) roads.push_back(proc + "/exe");
      break;
    }
  }
  if (!module.path.empty()) roads.push_back(module.path);
  return roads;
}

Result<FileDescriptor> open_mapped(const Module& module, int pid,
                                   const std::vector<Mapping>& mappings) {
  if (module.path == "[vdso]" && pid != 0) return copy_vdso(module, pid);
  if (module.file.empty() && !module.path.empty() && module.path[0] == '[')
    return Error("no file").in(module.path);

  std::optional<Error> first_error;
  for (const std::string& road : list_roads(module, pid, mappings)) {
    Result<FileDescriptor> fd = open_file(road);
    if (fd && !module.build_id.empty() && read_build_id(fd->get()) != module.build_id)
      fd = Error("not the file that was loaded: another build-id").in(road);
    if (fd) return fd;
    if (!first_error) first_error = std::move(fd).error();
  }
  if (!first_error) return Error("the file of the program is not known");
  return *std::move(first_error);
}

}  // namespace

std::string read_build_id(int fd) {
  for (const Elf64_Phdr& header : read_program_headers(fd)) {
    if (header.p_type != PT_NOTE || header.p_filesz > kMaxNotes) continue;
    std::vector<char> notes(header.p_filesz);
    if (!read_at(fd, header.p_offset, notes.data(), notes.size())) continue;
    std::string id = find_build_id(notes);
    if (!id.empty()) return id;
  }
  return {};
}

std::optional<LoadedElf> read_loaded_elf(const MemoryReader& memory, uint64_t start) {
  Elf64_Ehdr header;
  if (!memory.read(start, std::as_writable_bytes(std::span(&header, 1))) || !is_understood(header))
    return std::nullopt;
  std::vector<Elf64_Phdr> headers(header.e_phnum);
  if (!memory.read(start + header.e_phoff, std::as_writable_bytes(std::span(headers))))
    return std::nullopt;
  LoadedElf loaded;
  const auto first = std::find_if(headers.begin(), headers.end(),
                                  [](const Elf64_Phdr& part) { return part.p_type == PT_LOAD; });
  if (first == headers.end() || first->p_offset >= kPageBytes) return std::nullopt;
  loaded.bias = start - (first->p_vaddr & ~(kPageBytes - 1));
  for (const Elf64_Phdr& part : headers) {
    if (part.p_type == PT_LOAD)
      loaded.end = std::max(loaded.end, loaded.bias + part.p_vaddr + part.p_memsz);
    if (part.p_type != PT_NOTE || part.p_filesz > kMaxNotes || !loaded.build_id.empty()) continue;
    std::vector<char> notes(part.p_filesz);
    if (memory.read(loaded.bias + part.p_vaddr, std::as_writable_bytes(std::span(notes))))
      loaded.build_id = find_build_id(notes);
  }
  if (loaded.end <= start) return std::nullopt;
  return loaded;
}

std::vector<ConstantPart> read_constant_parts(int fd) {
  std::vector<ConstantPart> parts;
  for (const Elf64_Phdr& header : read_program_headers(fd))
    if (header.p_type == PT_LOAD && (header.p_flags & PF_W) == 0)
      parts.push_back(
          {.address = header.p_vaddr, .size = header.p_filesz, .offset = header.p_offset});
  return parts;
}

std::optional<std::vector<std::string>> read_imports(int fd) {
  elf_version(EV_CURRENT);
  const std::unique_ptr<Elf, decltype(&elf_end)> elf(elf_begin(fd, ELF_C_READ_MMAP, nullptr),
                                                     &elf_end);
  if (!elf) return std::nullopt;
  Elf_Scn* section = nullptr;
  while ((section = elf_nextscn(elf.get(), section)) != nullptr) {
    GElf_Shdr header;
    if (gelf_getshdr(section, &header) == nullptr || header.sh_type != SHT_DYNSYM ||
        header.sh_entsize == 0)
      continue;
    Elf_Data* data = elf_getdata(section, nullptr);
    if (data == nullptr) return std::nullopt;
    std::vector<std::string> imports;
    const size_t count = data->d_size / header.sh_entsize;
    for (size_t i = 1; i < count; ++i) {
      GElf_Sym symbol;
      if (gelf_getsym(data, static_cast<int>(i), &symbol) == nullptr) return std::nullopt;
      if (symbol.st_shndx != SHN_UNDEF) continue;
      const char* name = elf_strptr(elf.get(), header.sh_link, symbol.st_name);
      if (name != nullptr) imports.emplace_back(name, strnlen(name, 4096));
    }
    return imports;
  }
  return std::nullopt;
}

Result<std::vector<Module>> read_modules(int pid) {
  GORDIAN_TRY(const std::vector<Mapping> mappings, read_maps(pid));
  std::vector<Module> modules;
  for (const MappedFile& file : group_by_file(mappings)) {
    Module module{.start = file.start, .end = file.end, .bias = file.start, .path = file.path};
    const Result<FileDescriptor> fd = open_mapped(module, pid, mappings);
    if (!fd) {
      modules.push_back(std::move(module));
      continue;
    }
    const std::vector<Elf64_Phdr> headers = read_program_headers(fd->get());
    const auto first = std::find_if(headers.begin(), headers.end(), [&](const Elf64_Phdr& header) {
      return header.p_type == PT_LOAD && (header.p_offset & ~uint64_t{4095}) == file.first_offset;
    });
    if (first == headers.end()) continue;  // a data file with an executable mapping, or no ELF
    module.bias = file.start - (first->p_vaddr & ~uint64_t{4095});
    module.build_id = read_build_id(fd->get());
    modules.push_back(std::move(module));
  }
  for (const Mapping& mapping : mappings)
    if (mapping.path == "[vdso]")
      modules.push_back({.start = mapping.start,
                         .end = mapping.end,
                         .bias = mapping.start,
                         .path = mapping.path});
  return tidy_modules(std::move(modules));
}

std::vector<Module> tidy_modules(std::vector<Module> modules) {
  std::vector<Module> kept;
  for (size_t i = modules.size(); i-- > 0;) {
    Module& module = modules[i];
    if (module.end <= module.start) continue;
    const auto behind =
        std::lower_bound(kept.begin(), kept.end(), module.start,
                         [](const Module& other, uint64_t start) { return other.end <= start; });
    if (behind != kept.end() && behind->start < module.end) continue;
    kept.insert(behind, std::move(module));
  }
  return kept;
}

const Module* find_module(const std::vector<Module>& modules, uint64_t address) {
  const auto found =
      std::upper_bound(modules.begin(), modules.end(), address,
                       [](uint64_t at, const Module& module) { return at < module.end; });
  return found != modules.end() && found->contains(address) ? &*found : nullptr;
}

Result<FileDescriptor> open_module(const Module& module, int pid) {
  // With a build-id the right file proves itself, and the maps need not be read.
  if (pid != 0 && !module.path.empty() && !module.build_id.empty()) {
    Result<FileDescriptor> fd = open_file("/proc/" + std::to_string(pid) + "/root" + module.path);
    if (fd && read_build_id(fd->get()) == module.build_id) return fd;
  }
  std::vector<Mapping> mappings;
  if (pid != 0) mappings = read_maps(pid).value_or(mappings);
  return open_mapped(module, pid, mappings);
}

}  // namespace gordian::process
