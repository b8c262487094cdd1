// SPDX-License-Identifier: Apache-2.0
#include "process/core_modules.h"

#include "base/text.h"

#include <algorithm>
#include <cstdio>
#include <elf.h>
#include <fcntl.h>
#include <set>
#include <string_view>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace gordian::process {
namespace {

constexpr size_t kMaxModules = 1 << 16;
constexpr size_t kMaxOpen = 64;
constexpr size_t kMaxVdso = 64 << 10;
constexpr size_t kMaxMissingTold = 8;

std::string hex(std::string_view bytes) {
  std::string text;
  char digits[3];
  for (const char byte : bytes) {
    std::snprintf(digits, sizeof digits, "%02x", static_cast<unsigned char>(byte));
    text += digits;
  }
  return text;
}

// Everything of one file in the core, in address order.
struct MappedFile {
  uint64_t start = 0;
  uint64_t end = 0;
  std::string path;
};

bool has_code(const CoreFile& core, const MappedFile& file) {
  const std::vector<CoreSegment>& segments = core.segments();
  // gdb leaves out what it need not write, code among it: then a file that is ELF must do.
  bool any = false;
  for (auto at = std::lower_bound(
           segments.begin(), segments.end(), file.start,
           [](const CoreSegment&segment, uint64_t start) { return segment.end() <= start; });
       at != segments.end() && at->start < file.end; ++at) {
    if (at->executable) return true;
    any = any || at->start == file.start;
  }
  return any;
}

std::vector<MappedFile> group_by_file(const CoreFile& core) {
  std::vector<MappedFile> files;
  for (const CoreMapping& mapping : core.mappings()) {
    if (mapping.path.empty() || mapping.path[0] != '/') continue;
    // A second copy of a file (dlmopen) starts again at offset 0.
    if (!files.empty() && files.back().path == mapping.path && mapping.offset != 0) {
      files.back().end = std::max(files.back().end, mapping.end);
      continue;
    }
    if (mapping.offset != 0) continue;  // a piece of a data file
    files.push_back({mapping.start, mapping.end, mapping.path});
    if (files.size() >= kMaxModules) break;
  }
  return files;
}

// The loader's own list, for a core without NT_FILE.
std::vector<MappedFile> walk_link_map(const CoreFile& core) {
  std::vector<MappedFile> files;
  const std::optional<uint64_t> headers = core.auxiliary(AT_PHDR);
  const std::optional<uint64_t> count = core.auxiliary(AT_PHNUM);
  if (!headers || !count || *count > 512) return files;
  std::vector<Elf64_Phdr> parts(*count);
  if (!core.read(*headers, std::as_writable_bytes(std::span(parts)))) return files;
  uint64_t bias = 0;
  uint64_t dynamic = 0;
  for (const Elf64_Phdr& part : parts)
    if (part.p_type == PT_PHDR) bias = *headers - part.p_vaddr;
  for (const Elf64_Phdr& part : parts)
    if (part.p_type == PT_DYNAMIC) dynamic = bias + part.p_vaddr;
  const uint64_t program = *headers & ~uint64_t{4095};
  files.push_back({program, program, {}});
  uint64_t debug = 0;
  for (int i = 0; dynamic != 0 && i < 1000; ++i, dynamic += sizeof(Elf64_Dyn)) {
    Elf64_Dyn entry = {};
    if (!core.read(dynamic, std::as_writable_bytes(std::span(&entry, 1))) || entry.d_tag == DT_NULL)
      break;
    if (entry.d_tag == DT_DEBUG) debug = entry.d_un.d_ptr;
  }
  // struct r_debug: version, first link_map. struct link_map: address, name, dynamic section, next.
  uint64_t map = debug == 0 ? 0 : core.read_word(debug + 8).value_or(0);
  std::set<uint64_t> seen;
  for (bool first = true; map != 0 && files.size() < kMaxModules && seen.insert(map).second;
       first = false) {
    const std::optional<uint64_t> address = core.read_word(map);
    const std::optional<uint64_t> name = core.read_word(map + 8);
    if (!address || !name) break;
    const std::string path = core.read_text(*name, 4096).value_or("");
    if (!first && path.starts_with('/')) files.push_back({*address, *address, path});
    map = core.read_word(map + 24).value_or(0);
  }
  return files;
}

// Where the file of a module may lie, best first. `is_given`: the user named it.
struct Road {
  std::string path;
  bool is_given = false;
};

std::vector<Road> list_roads(const Module& module, bool is_program, const CoreSearch& search) {
  std::vector<Road> roads;
  if (is_program && !search.exe.empty()) roads.push_back({search.exe, true});
  const std::string name(base_name(module.path));
  std::string by_id;
  if (module.build_id.size() > 1)
    by_id = "/usr/lib/debug/.build-id/" + hex(module.build_id.substr(0, 1)) + "/" +
            hex(module.build_id.substr(1));
  if (!search.sysroot.empty()) {
    const std::string root = search.sysroot + "/";
    roads.push_back({root + module.path, true});
    roads.push_back({root + "usr" + module.path, true});  // before and after /lib became a link
    if (module.path.starts_with("/usr/"))
      roads.push_back({root + module.path.substr(sizeof "/usr" - 1), true});
    if (!by_id.empty()) roads.push_back({root + by_id, false});
    if (!name.empty()) roads.push_back({root + name, true});
  }
  if (!module.path.empty()) roads.push_back({module.path, false});
  if (!by_id.empty()) roads.push_back({by_id, false});
  return roads;
}

FileDescriptor open_regular(const std::string& path) {
  FileDescriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  struct stat status = {};
  if (!fd || fstat(fd.get(), &status) != 0 || !S_ISREG(status.st_mode)) return FileDescriptor();
  return fd;
}

// A file of an object's own size, of which the core shows no build-id, is taken at its word only if
// its segments lie as the core has them.
bool fits(const FileDescriptor& fd, const MappedFile& file, const CoreFile& core) {
  const std::vector<ConstantPart> parts = read_constant_parts(fd.get());
  if (parts.empty() || parts.front().offset != 0) return false;
  return std::all_of(core.mappings().begin(), core.mappings().end(),
                     [&](const CoreMapping& mapping) {
                       if (mapping.start < file.start || mapping.end > file.end) return true;
                       struct stat status = {};
                       return fstat(fd.get(), &status) == 0 &&
                              mapping.offset < static_cast<uint64_t>(status.st_size);
                     });
}

class ModuleSearch {
 public:
  ModuleSearch(const CoreFile& core, const CoreSearch& search) : core_(core), search_(search) {}

  Result<CoreModules> run() {
    std::vector<MappedFile> files =
        core_.mappings().empty() ? walk_link_map(core_) : group_by_file(core_);
    for (const MappedFile& file : files) {
      GORDIAN_TRY(, add(file));
    }
    add_vdso();
    if (untold_ > 0) found_.missing.push_back("and " + std::to_string(untold_) + " more");
    found_.modules = tidy_modules(std::move(found_.modules));
    return std::move(found_);
  }

 private:
  Result<void> add(const MappedFile& file) {
    Module module{.start = file.start, .end = file.end, .bias = file.start, .path = file.path};
    const std::optional<LoadedElf> loaded = read_loaded_elf(core_, file.start);
    if (loaded) {
      module.bias = loaded->bias;
      module.end = std::max(module.end, loaded->end);
      module.build_id = loaded->build_id;
    } else if (!has_code(core_, file)) {
      return {};
    }
    const std::optional<uint64_t> entry = core_.auxiliary(AT_ENTRY);
    const bool is_program = entry && module.contains(*entry);
    std::string other;  // a file that is there, but is another one
    for (const Road& road : list_roads(module, is_program, search_)) {
      const FileDescriptor fd = open_regular(road.path);
      if (!fd) {
        if (is_program && road.path == search_.exe) return Error("cannot open").in(road.path);
        continue;
      }
      const bool same = module.build_id.empty() ? fits(fd, file, core_)
                                                : read_build_id(fd.get()) == module.build_id;
      if (same) {
        adopt(module, road.path, fd);
        break;
      }
      if (is_program && road.path == search_.exe)
        return Error("not the program of this core: another build-id",
                     module.path.empty() ? std::string() : "the core is one of " + module.path)
            .in(road.path);
      if (other.empty()) other = road.path;
    }
    // A file that is not ELF at all was mapped by the program as data.
    if (module.file.empty() && !loaded) return {};
    if (module.file.empty()) tell_missing(module, other);
    found_.modules.push_back(std::move(module));
    return {};
  }

  static void adopt(Module& module, const std::string& path, const FileDescriptor& fd) {
    module.file = path;
    if (!module.build_id.empty()) return;
    const std::vector<ConstantPart> parts = read_constant_parts(fd.get());
    if (!parts.empty()) module.bias = module.start - (parts.front().address & ~uint64_t{4095});
  }

  void tell_missing(const Module& module, const std::string& other) {
    if (found_.missing.size() >= kMaxMissingTold) {
      ++untold_;
      return;
    }
    std::string text = module.path.empty() ? "the program" : module.path;
    text += other.empty() ? " is not on this machine"
                          : " is not the file that was loaded (" + other + " is another build)";
    if (!module.build_id.empty()) text += ", build-id " + hex(module.build_id);
    found_.missing.push_back(std::move(text));
  }

  // It is in no file: a copy of its memory, in one.
  void add_vdso() {
    const std::optional<uint64_t> start = core_.auxiliary(AT_SYSINFO_EHDR);
    const CoreSegment* segment = start ? core_.find_segment(*start) : nullptr;
    if (segment == nullptr || segment->start != *start) return;
    std::vector<std::byte> bytes(std::min<uint64_t>(segment->file_size, kMaxVdso));
    if (bytes.empty() || !core_.read(*start, bytes)) return;
    FileDescriptor fd(memfd_create("gordian-vdso", MFD_CLOEXEC));
    if (!fd || !write_all(fd.get(), {reinterpret_cast<const char*>(bytes.data()), bytes.size()}))
      return;
    found_.modules.push_back({.start = *start,
                              .end = segment->end(),
                              .bias = *start,
                              .path = "[vdso]",
                              .file = "/proc/self/fd/" + std::to_string(fd.get())});
    found_.vdso = std::move(fd);
  }

  const CoreFile& core_;
  const CoreSearch& search_;
  CoreModules found_;
  size_t untold_ = 0;
};

}  // namespace

Result<CoreModules> find_core_modules(const CoreFile& core, const CoreSearch& search) {
  return ModuleSearch(core, search).run();
}

bool CoreMemory::read(uint64_t address, std::span<std::byte> to) const {
  return core_.read(address, to) || read_from_module(address, to);
}

// A part that the core holds in another way was changed after all, or cut off: what no process
// changes reads the same from the file.
bool CoreMemory::read_from_module(uint64_t address, std::span<std::byte> to) const {
  const Module* module = find_module(modules_, address);
  if (module == nullptr || module->file.empty()) return false;
  const CoreSegment* segment = core_.find_segment(address);
  if (segment != nullptr && segment->writable) return false;
  auto found = open_.find(module->start);
  if (found == open_.end()) {
    if (open_.size() >= kMaxOpen) open_.clear();
    OpenModule opened;
    Result<FileDescriptor> fd = open_module(*module, 0);
    if (fd) {
      opened.parts = read_constant_parts(fd->get());
      opened.fd = *std::move(fd);
    }
    found = open_.emplace(module->start, std::move(opened)).first;
  }
  const uint64_t at = address - module->bias;
  for (const ConstantPart& part : found->second.parts) {
    if (at < part.address || at - part.address >= part.size ||
        to.size() > part.size - (at - part.address))
      continue;
    return pread(found->second.fd.get(), to.data(), to.size(),
                 static_cast<off_t>(part.offset + (at - part.address))) ==
           static_cast<ssize_t>(to.size());
  }
  return false;
}

}  // namespace gordian::process
