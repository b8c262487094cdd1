// SPDX-License-Identifier: Apache-2.0
#include "process/debug_info.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <unistd.h>

namespace gordian::process {
namespace {

constexpr size_t kMaxUnits = 200000;
constexpr size_t kMaxSiblings = 2000000;
constexpr int kMaxNesting = 64;
constexpr size_t kMaxRemembered = 10000;
constexpr std::chrono::milliseconds kNetworkTime{2000};

using Clock = std::chrono::steady_clock;

// debuginfod asks the network, so it has a clock of its own; one for all modules of all processes.
Clock::time_point& network_deadline() {
  static Clock::time_point deadline{};
  return deadline;
}

int stop_when_late(debuginfod_client*, long, long) { return Clock::now() > network_deadline(); }

// libdwfl loads the client with dlopen when DEBUGINFOD_URLS is set; without it nothing happens
// here.
bool prepare_network(Dwfl* dwfl) {
  const char* urls = std::getenv("DEBUGINFOD_URLS");
  if (urls == nullptr || *urls == '\0') return false;
  if (network_deadline() == Clock::time_point{}) network_deadline() = Clock::now() + kNetworkTime;
  if (Clock::now() > network_deadline()) return false;
  debuginfod_client* client = dwfl_get_debuginfod_client(dwfl);
  void* library = dlopen("libdebuginfod.so.1", RTLD_LAZY | RTLD_NOLOAD);
  if (client == nullptr || library == nullptr) return false;
  using SetProgress = void (*)(debuginfod_client*, int (*)(debuginfod_client*, long, long));
  const auto set_progress =
      reinterpret_cast<SetProgress>(dlsym(library, "debuginfod_set_progressfn"));
  if (set_progress == nullptr) return false;
  set_progress(client, stop_when_late);
  return true;
}

// Local files first. The standard search ends with debuginfod: it is entered only with a clock set,
// and otherwise with the variable that arms it out of sight.
int find_debuginfo(Dwfl_Module* module, void** userdata, const char* name, Dwarf_Addr base,
                   const char* file, const char* link, GElf_Word crc, char** found) {
  const int fd = dwfl_build_id_find_debuginfo(module, userdata, name, base, file, link, crc, found);
  if (fd >= 0) return fd;
  Dwfl* dwfl = static_cast<Dwfl*>(*userdata);
  const char* urls = std::getenv("DEBUGINFOD_URLS");
  const std::string saved = urls ? urls : "";
  const bool hide = !saved.empty() && !prepare_network(dwfl);
  if (hide) unsetenv("DEBUGINFOD_URLS");
  const int result =
      dwfl_standard_find_debuginfo(module, userdata, name, base, file, link, crc, found);
  if (hide) setenv("DEBUGINFOD_URLS", saved.c_str(), 1);
  return result;
}

int find_no_elf(Dwfl_Module*, void**, const char*, Dwarf_Addr, char**, Elf**) { return -1; }

const Dwfl_Callbacks kCallbacks = {
    .find_elf = find_no_elf,
    .find_debuginfo = find_debuginfo,
    .section_address = dwfl_offline_section_address,
    .debuginfo_path = nullptr,
};

// Better is larger: functions and objects before labels, global before local.
int rank_of(const GElf_Sym& symbol) {
  const int type = GELF_ST_TYPE(symbol.st_info);
  const int kind = type == STT_FUNC || type == STT_OBJECT || type == STT_GNU_IFUNC ? 8 : 0;
  const int bind = GELF_ST_BIND(symbol.st_info);
  const int reach = bind == STB_GLOBAL ? 2 : bind == STB_WEAK ? 1 : 0;
  return (symbol.st_size != 0 ? 16 : 0) + kind + reach;
}

void scan_table(Elf* elf, Elf_Scn* section, const GElf_Shdr& header, uint64_t address,
                std::optional<ElfSymbol>& best, int& best_rank) {
  Elf_Data* data = elf_getdata(section, nullptr);
  if (data == nullptr || header.sh_entsize == 0) return;
  const size_t count = data->d_size / header.sh_entsize;
  for (size_t i = 1; i < count; ++i) {
    GElf_Sym symbol;
    if (gelf_getsym(data, static_cast<int>(i), &symbol) == nullptr) break;
    const int type = GELF_ST_TYPE(symbol.st_info);
    if (symbol.st_shndx == SHN_UNDEF || type == STT_SECTION || type == STT_FILE ||
        type == STT_TLS || symbol.st_value > address)
      continue;
    const uint64_t offset = address - symbol.st_value;
    // A label without a size reaches only as far as the next symbol of any kind would, which a
    // single pass cannot know; so only exact hits and short distances in code count.
    if (symbol.st_size != 0 ? offset >= symbol.st_size : offset > 4096 || type == STT_OBJECT)
      continue;
    int rank = rank_of(symbol);
    const bool nearer = best && symbol.st_value > best->start;
    if (best && (rank < best_rank || (rank == best_rank && !nearer))) continue;
    const char* name = elf_strptr(elf, header.sh_link, symbol.st_name);
    if (name == nullptr || *name == '\0') continue;
    best = ElfSymbol{.name = std::string(name, strnlen(name, 4096)),
                     .start = symbol.st_value,
                     .size = symbol.st_size,
                     .is_object = type == STT_OBJECT};
    best_rank = rank;
  }
}

std::optional<ElfSymbol> scan_tables(Elf* elf, uint64_t address) {
  std::optional<ElfSymbol> best;
  int best_rank = -1;
  Elf_Scn* section = nullptr;
  while ((section = elf_nextscn(elf, section)) != nullptr) {
    GElf_Shdr header;
    if (gelf_getshdr(section, &header) == nullptr) continue;
    if (header.sh_type == SHT_SYMTAB || header.sh_type == SHT_DYNSYM)
      scan_table(elf, section, header, address, best, best_rank);
  }
  return best;
}

std::vector<std::optional<ElfSymbol>> find_in_tables(Elf* elf,
                                                     std::span<const std::string_view> names) {
  std::vector<std::optional<ElfSymbol>> found(names.size());
  std::unordered_map<std::string_view, size_t> open;
  for (size_t i = 0; i < names.size(); ++i) open.emplace(names[i], i);
  Elf_Scn* section = nullptr;
  while ((section = elf_nextscn(elf, section)) != nullptr) {
    GElf_Shdr header;
    if (gelf_getshdr(section, &header) == nullptr || header.sh_entsize == 0) continue;
    if (header.sh_type != SHT_SYMTAB && header.sh_type != SHT_DYNSYM) continue;
    Elf_Data* data = elf_getdata(section, nullptr);
    if (data == nullptr) continue;
    const size_t count = data->d_size / header.sh_entsize;
    for (size_t i = 1; i < count && !open.empty(); ++i) {
      GElf_Sym symbol;
      if (gelf_getsym(data, static_cast<int>(i), &symbol) == nullptr) break;
      if (symbol.st_shndx == SHN_UNDEF) continue;
      const char* text = elf_strptr(elf, header.sh_link, symbol.st_name);
      const auto name = text != nullptr ? open.find(text) : open.end();
      if (name == open.end()) continue;
      found[name->second] = ElfSymbol{.name = std::string(name->first),
                                      .start = symbol.st_value,
                                      .size = symbol.st_size,
                                      .is_object = GELF_ST_TYPE(symbol.st_info) == STT_OBJECT};
      open.erase(name);
    }
  }
  return found;
}

// Goes down from `parent` to the function that contains `pc`, pushing what is inside it.
bool descend(Dwarf_Die& parent, uint64_t pc, int depth, size_t& steps,
             std::vector<Dwarf_Die>& scopes) {
  if (depth > kMaxNesting) return false;
  Dwarf_Die child;
  if (dwarf_child(&parent, &child) != 0) return false;
  do {
    if (++steps > kMaxSiblings) return false;
    switch (dwarf_tag(&child)) {
      case DW_TAG_subprogram:
      case DW_TAG_inlined_subroutine:
      case DW_TAG_lexical_block:
      case DW_TAG_try_block:
      case DW_TAG_catch_block:
        if (dwarf_haspc(&child, pc) == 1) {
          // The body of a function that is local to another is found below, and is the one meant.
          if (dwarf_tag(&child) == DW_TAG_subprogram) scopes.clear();
          scopes.push_back(child);
          descend(child, pc, depth + 1, steps, scopes);
          return true;
        }
        break;
      case DW_TAG_namespace:
      case DW_TAG_class_type:
      case DW_TAG_structure_type:
        if (descend(child, pc, depth + 1, steps, scopes)) return true;
        break;
      default:
        break;
    }
  } while (dwarf_siblingof(&child, &child) == 0);
  return false;
}

// With -gsplit-dwarf a unit of the program is a skeleton; what it says stands in another file.
Dwarf_Die flesh_out(const Dwarf_Die& unit) {
  uint8_t type = 0;
  Dwarf_Die inner;
  if (dwarf_cu_info(unit.cu, nullptr, &type, nullptr, &inner, nullptr, nullptr, nullptr) == 0 &&
      type == DW_UT_skeleton && dwarf_tag(&inner) != DW_TAG_invalid)
    return inner;
  return unit;
}

}  // namespace

// One Dwfl per module: they are opened one by one, and a broken file spoils only itself.
struct DebugInfo::Loaded {
  Dwfl* dwfl = nullptr;
  Dwfl_Module* module = nullptr;

  ~Loaded() {
    if (dwfl) dwfl_end(dwfl);
  }
};

DebugInfo::DebugInfo(int pid, std::vector<Module> modules)
    : pid_(pid), modules_(tidy_modules(std::move(modules))) {}

DebugInfo::~DebugInfo() = default;

void DebugInfo::update_modules(std::vector<Module> modules) {
  modules = tidy_modules(std::move(modules));
  // What is gone or has been replaced at its place is forgotten.
  for (const Module& old : modules_) {
    const Module* now = process::find_module(modules, old.start);
    const bool same = now && now->start == old.start && now->bias == old.bias &&
                      now->path == old.path && now->build_id == old.build_id;
    if (same) continue;
    loaded_.erase(old.start);
    scopes_.clear();
    frame_rules_.clear();
    function_names_.clear();
  }
  modules_ = std::move(modules);
}

const Module* DebugInfo::find_module(uint64_t address) const {
  return process::find_module(modules_, address);
}

DebugInfo::Loaded* DebugInfo::load(uint64_t address) {
  const Module* module = find_module(address);
  if (module == nullptr) return nullptr;
  std::unique_ptr<Loaded>& slot = loaded_[module->start];
  if (slot) return slot->module ? slot.get() : nullptr;
  slot = std::make_unique<Loaded>();
  Result<FileDescriptor> fd = open_module(*module, pid_);
  if (!fd) return nullptr;
  slot->dwfl = dwfl_begin(&kCallbacks);
  if (slot->dwfl == nullptr) return nullptr;
  dwfl_report_begin(slot->dwfl);
  const char* path = module->path.empty() ? "program" : module->path.c_str();
  // On success the Dwfl owns the descriptor.
  slot->module = dwfl_report_elf(slot->dwfl, path, path, fd->get(), module->bias, true);
  if (slot->module) fd->release();
  dwfl_report_end(slot->dwfl, nullptr, nullptr);
  if (slot->module) {
    void** userdata = nullptr;
    dwfl_module_info(slot->module, &userdata, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr);
    if (userdata) *userdata = slot->dwfl;
  }
  return slot->module ? slot.get() : nullptr;
}

Dwfl_Module* DebugInfo::find_dwfl(uint64_t address) {
  const Loaded* loaded = load(address);
  return loaded ? loaded->module : nullptr;
}

std::optional<ElfSymbol> DebugInfo::find_symbol(uint64_t address) {
  const Loaded* loaded = load(address);
  if (loaded == nullptr) return std::nullopt;
  GElf_Addr bias = 0;
  Elf* elf = dwfl_module_getelf(loaded->module, &bias);
  if (elf == nullptr) return std::nullopt;
  std::optional<ElfSymbol> symbol = scan_tables(elf, address - bias);
  if (symbol) symbol->start += bias;
  return symbol;
}

std::optional<ElfSymbol> DebugInfo::find_symbol_everywhere(uint64_t address) {
  std::optional<ElfSymbol> own = find_symbol(address);
  if (own) return own;
  Dwfl_Module* module = find_dwfl(address);
  if (module == nullptr) return std::nullopt;
  GElf_Off offset = 0;
  GElf_Sym symbol;
  const char* name =
      dwfl_module_addrinfo(module, address, &offset, &symbol, nullptr, nullptr, nullptr);
  if (name == nullptr) return std::nullopt;
  return ElfSymbol{.name = std::string(name, strnlen(name, 4096)),
                   .start = address - offset,
                   .size = symbol.st_size,
                   .is_object = GELF_ST_TYPE(symbol.st_info) == STT_OBJECT};
}

std::vector<std::optional<ElfSymbol>> DebugInfo::find_named(
    uint64_t address, std::span<const std::string_view> names) {
  const Loaded* loaded = load(address);
  GElf_Addr bias = 0;
  Elf* elf = loaded ? dwfl_module_getelf(loaded->module, &bias) : nullptr;
  if (elf == nullptr) return std::vector<std::optional<ElfSymbol>>(names.size());
  std::vector<std::optional<ElfSymbol>> found = find_in_tables(elf, names);
  for (std::optional<ElfSymbol>& symbol : found)
    if (symbol) symbol->start += bias;
  return found;
}

std::optional<uint64_t> DebugInfo::find_address(uint64_t address, std::string_view name) {
  const std::optional<ElfSymbol> symbol = find_named(address, {&name, 1}).front();
  if (!symbol) return std::nullopt;
  return symbol->start;
}

std::string_view DebugInfo::file_bytes(uint64_t address) {
  const Loaded* loaded = load(address);
  if (loaded == nullptr) return {};
  GElf_Addr bias = 0;
  Elf* elf = dwfl_module_getelf(loaded->module, &bias);
  size_t size = 0;
  const char* bytes = elf ? elf_rawfile(elf, &size) : nullptr;
  return bytes ? std::string_view(bytes, size) : std::string_view();
}

std::optional<CallFrameInfo> DebugInfo::find_cfi(uint64_t pc) {
  Dwfl_Module* module = find_dwfl(pc);
  if (module == nullptr) return std::nullopt;
  CallFrameInfo info;
  info.cfi = dwfl_module_eh_cfi(module, &info.bias);
  if (info.cfi == nullptr) info.cfi = dwfl_module_dwarf_cfi(module, &info.bias);
  if (info.cfi == nullptr) return std::nullopt;
  return info;
}

Dwarf_Frame* DebugInfo::find_frame_rules(uint64_t pc) {
  const auto known = frame_rules_.find(pc);
  if (known != frame_rules_.end()) return known->second.get();
  if (frame_rules_.size() >= kMaxRemembered) frame_rules_.clear();
  Dwarf_Frame* rules = nullptr;
  const std::optional<CallFrameInfo> cfi = find_cfi(pc);
  if (cfi && dwarf_cfi_addrframe(cfi->cfi, pc - cfi->bias, &rules) != 0) rules = nullptr;
  return frame_rules_.emplace(pc, FrameRules(rules, &std::free)).first->second.get();
}

Dwarf* DebugInfo::find_dwarf(uint64_t address, uint64_t* bias) {
  Dwfl_Module* module = find_dwfl(address);
  return module ? dwfl_module_getdwarf(module, bias) : nullptr;
}

void DebugInfo::each_unit(uint64_t address,
                          const std::function<bool(Dwarf_Die&, uint64_t bias)>& visit) {
  Dwfl_Module* module = find_dwfl(address);
  if (module == nullptr) return;
  Dwarf_Addr bias = 0;
  Dwarf_Die* unit = nullptr;
  for (size_t i = 0; i < kMaxUnits && (unit = dwfl_module_nextcu(module, unit, &bias)); ++i) {
    Dwarf_Die whole = flesh_out(*unit);
    if (!visit(whole, bias)) return;
  }
}

std::optional<Scopes> DebugInfo::find_scopes(uint64_t pc) {
  const auto known = scopes_.find(pc);
  if (known != scopes_.end()) return known->second;
  if (scopes_.size() >= kMaxRemembered) scopes_.clear();
  return scopes_[pc] = search_scopes(pc);
}

std::optional<Scopes> DebugInfo::search_scopes(uint64_t pc) {
  Dwfl_Module* module = find_dwfl(pc);
  if (module == nullptr) return std::nullopt;
  Dwarf_Addr bias = 0;
  Dwarf_Die* unit = dwfl_module_addrdie(module, pc, &bias);
  // Not every compiler writes the table of address ranges.
  for (size_t i = 0; unit == nullptr || dwarf_haspc(unit, pc - bias) != 1; ++i)
    if (i >= kMaxUnits ||
        (unit = dwfl_module_nextcu(module, i == 0 ? nullptr : unit, &bias)) == nullptr)
      return std::nullopt;
  Scopes scopes;
  scopes.unit = flesh_out(*unit);
  scopes.bias = bias;
  size_t steps = 0;
  descend(scopes.unit, pc - bias, 0, steps, scopes.dies);
  return scopes;
}

bool is_system_header(std::string_view file) {
  return file.find("/include/c++/") != std::string_view::npos ||
         file.find("/c++/v1/") != std::string_view::npos ||
         file.find("include/gordian/") != std::string_view::npos ||
         file.starts_with("/usr/include/glib-2.0/");
}

std::string die_name(Dwarf_Die& die) {
  Dwarf_Attribute attribute;
  const char* name = dwarf_formstring(dwarf_attr_integrate(&die, DW_AT_name, &attribute));
  return name ? std::string(name, strnlen(name, 4096)) : std::string();
}

std::optional<Dwarf_Die> die_reference(Dwarf_Die& die, unsigned attribute_name) {
  Dwarf_Attribute attribute;
  Dwarf_Die target;
  if (dwarf_attr_integrate(&die, attribute_name, &attribute) == nullptr ||
      dwarf_formref_die(&attribute, &target) == nullptr)
    return std::nullopt;
  return target;
}

bool die_has_flag(Dwarf_Die& die, unsigned attribute_name) {
  Dwarf_Attribute attribute;
  bool flag = false;
  return dwarf_attr_integrate(&die, attribute_name, &attribute) != nullptr &&
         dwarf_formflag(&attribute, &flag) == 0 && flag;
}

std::optional<uint64_t> die_number(Dwarf_Die& die, unsigned attribute_name) {
  Dwarf_Attribute attribute;
  Dwarf_Word number = 0;
  if (dwarf_attr_integrate(&die, attribute_name, &attribute) == nullptr ||
      dwarf_formudata(&attribute, &number) != 0)
    return std::nullopt;
  return number;
}

// Not dwarf_decl_file(): it asserts that the unit has a table of files, and not every one has.
std::string declaration_file(Dwarf_Die& die) {
  Dwarf_Attribute attribute;
  Dwarf_Word index = 0;
  Dwarf_Die unit;
  Dwarf_Files* files = nullptr;
  size_t count = 0;
  if (dwarf_attr_integrate(&die, DW_AT_decl_file, &attribute) == nullptr ||
      dwarf_formudata(&attribute, &index) != 0 ||
      dwarf_cu_die(attribute.cu, &unit, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr) ==
          nullptr ||
      dwarf_getsrcfiles(&unit, &files, &count) != 0 || index >= count)
    return {};
  const char* file = dwarf_filesrc(files, index, nullptr, nullptr);
  return file ? std::string(file, strnlen(file, 4096)) : std::string();
}

namespace {

std::string search_function_name(Dwarf_Die& die) {
  for (const unsigned name : {DW_AT_linkage_name, DW_AT_MIPS_linkage_name}) {
    Dwarf_Attribute attribute;
    const char* text = dwarf_formstring(dwarf_attr_integrate(&die, name, &attribute));
    if (text) return readable_name(std::string(text, strnlen(text, 8192)));
  }
  std::string plain = die_name(die);
  // Constructors and their like have a linkage name only where they are compiled. The class and
  // its namespaces stand around the declaration.
  Dwarf_Die declaration = die;
  for (int i = 0; i < 4; ++i) {
    Dwarf_Attribute attribute;
    Dwarf_Die target;
    const bool further = (dwarf_attr(&declaration, DW_AT_abstract_origin, &attribute) ||
                          dwarf_attr(&declaration, DW_AT_specification, &attribute)) &&
                         dwarf_formref_die(&attribute, &target);
    if (!further) break;
    declaration = target;
  }
  Dwarf_Die* parents = nullptr;
  const int count = dwarf_getscopes_die(&declaration, &parents);
  for (int i = 1; i < count && i < kMaxNesting; ++i) {
    const int tag = dwarf_tag(&parents[i]);
    const bool names = tag == DW_TAG_namespace || tag == DW_TAG_class_type ||
                       tag == DW_TAG_structure_type || tag == DW_TAG_union_type;
    const std::string outer = names ? die_name(parents[i]) : std::string();
    if (!outer.empty() && outer.size() + plain.size() < 4096)
      plain.insert(0, "::").insert(0, outer);
  }
  if (count > 0) std::free(parents);
  return readable_name(plain);
}

}  // namespace

std::string DebugInfo::function_name(Dwarf_Die& die) {
  const auto known = function_names_.find(die.addr);
  if (known != function_names_.end()) return known->second;
  if (function_names_.size() >= kMaxRemembered) function_names_.clear();
  return function_names_[die.addr] = search_function_name(die);
}

}  // namespace gordian::process
