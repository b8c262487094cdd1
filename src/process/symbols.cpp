// SPDX-License-Identifier: Apache-2.0
#include "process/symbols.h"

#include "base/text.h"
#include "process/debug_info.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

namespace gordian::process {
namespace {

constexpr size_t kMaxInlined = 64;
constexpr size_t kMaxText = 4096;

std::string text_of(const char* text) {
  return text ? std::string(text, strnlen(text, kMaxText)) : std::string();
}

std::string with_offset(const std::string& name, uint64_t offset) {
  if (offset == 0) return name;
  char text[32];
  std::snprintf(text, sizeof text, "+0x%lx", offset);
  return name + text;
}

struct Place {
  std::string file;
  int line = 0;
};

Place line_of(Dwfl_Module* module, uint64_t pc) {
  Place place;
  Dwfl_Line* line = module ? dwfl_module_getsrc(module, pc) : nullptr;
  if (line)
    place.file = text_of(dwfl_lineinfo(line, nullptr, &place.line, nullptr, nullptr, nullptr));
  return place;
}

// The same where a compiler wrote no table of address ranges, by which libdwfl goes.
Place line_of(Scopes& scopes, uint64_t pc) {
  Place place;
  Dwarf_Line* const line = dwarf_getsrc_die(&scopes.unit, pc - scopes.bias);
  if (line == nullptr || dwarf_lineno(line, &place.line) != 0) return {};
  place.file = text_of(dwarf_linesrc(line, nullptr, nullptr));
  return place;
}

// Where an inlined function was called from.
Place call_place(Dwarf_Die& unit, Dwarf_Die& inlined) {
  Place place;
  const std::optional<uint64_t> index = die_number(inlined, DW_AT_call_file);
  const std::optional<uint64_t> line = die_number(inlined, DW_AT_call_line);
  Dwarf_Files* files = nullptr;
  size_t count = 0;
  if (index && dwarf_getsrcfiles(&unit, &files, &count) == 0 && *index < count)
    place.file = text_of(dwarf_filesrc(files, *index, nullptr, nullptr));
  if (line && *line <= INT32_MAX) place.line = static_cast<int>(*line);
  return place;
}

}  // namespace

Symbols::Symbols(int pid, std::vector<Module> modules)
    : info_(std::make_unique<DebugInfo>(pid, std::move(modules))) {}
Symbols::~Symbols() = default;
Symbols::Symbols(Symbols&&) noexcept = default;
Symbols& Symbols::operator=(Symbols&&) noexcept = default;

const std::vector<Module>& Symbols::modules() const { return info_->modules(); }
void Symbols::update_modules(std::vector<Module> modules) {
  info_->update_modules(std::move(modules));
}
DebugInfo& Symbols::debug_info() const { return *info_; }

std::optional<Symbol> Symbols::symbol_at(uint64_t address) const {
  const std::optional<ElfSymbol> found = info_->find_symbol(address);
  if (!found) return std::nullopt;
  return Symbol{.name = readable_name(found->name),
                .start = found->start,
                .size = found->size,
                .is_object = found->is_object};
}

std::string Symbols::symbol_text(uint64_t address) const {
  const std::optional<Symbol> symbol = symbol_at(address);
  return symbol ? with_offset(symbol->name, address - symbol->start) : std::string();
}

std::vector<model::Frame> Symbols::resolve(uint64_t pc, bool is_return_address) const {
  const uint64_t at = is_return_address && pc != 0 ? pc - 1 : pc;
  std::vector<model::Frame> frames;
  model::Frame frame;
  frame.pc = pc;
  frame.is_return_address = is_return_address;
  const Module* module = info_->find_module(pc);
  if (module) {
    frame.module = module->path;
    frame.module_offset = pc - module->bias;
  }
  // Nobody reads the lines of libc, but its debug information takes a quarter of a second to
  // unpack.
  const bool words_matter = module != nullptr && !is_plumbing("", module->path);
  Place place;
  std::optional<Scopes> scopes;
  if (words_matter) {
    place = line_of(info_->find_dwfl(at), at);
    scopes = info_->find_scopes(at);
    if (place.file.empty() && scopes) place = line_of(*scopes, at);
  }
  // A line without a function around it is one of assembly, or a wrong one.
  if (!scopes || (scopes->dies.empty() && dwarf_srclang(&scopes->unit) != DW_LANG_Mips_Assembler))
    place = {};
  for (size_t i = scopes ? scopes->dies.size() : 0; i-- > 0 && frames.size() < kMaxInlined;) {
    Dwarf_Die& die = scopes->dies[i];
    const int tag = dwarf_tag(&die);
    if (tag != DW_TAG_subprogram && tag != DW_TAG_inlined_subroutine) continue;
    frame.inlined = tag == DW_TAG_inlined_subroutine;
    frame.function = info_->function_name(die);
    frame.file = place.file;
    frame.line = place.line;
    frame.plumbing =
        is_plumbing(frame.function, frame.module) || is_system_header(declaration_file(die));
    frames.push_back(frame);
    if (!frame.inlined) break;
    place = call_place(scopes->unit, die);
  }
  if (frames.empty() || frames.back().inlined) {
    frame.inlined = false;
    frame.file = place.file;
    frame.line = place.line;
    const std::optional<ElfSymbol> symbol =
        words_matter ? info_->find_symbol_everywhere(at) : info_->find_symbol(at);
    frame.function = symbol ? readable_name(symbol->name) : std::string();
    frame.plumbing = is_plumbing(frame.function, frame.module);
    frames.push_back(frame);
  }
  return frames;
}

void Symbols::resolve(model::Stack& stack) const {
  std::vector<model::Frame> resolved;
  for (model::Frame& frame : stack.frames) {
    if (!frame.function.empty() || frame.inlined) {
      resolved.push_back(std::move(frame));
      continue;
    }
    for (model::Frame& words : resolve(frame.pc, frame.is_return_address)) {
      words.sp = frame.sp;
      words.cfa = frame.cfa;
      resolved.push_back(std::move(words));
    }
  }
  stack.frames = std::move(resolved);
}

std::string Symbols::describe_site(uint64_t return_address) const {
  // The nearest function a user wrote; without one, the innermost.
  const std::vector<model::Frame> frames = resolve(return_address, true);
  auto found = std::find_if(frames.begin(), frames.end(),
                            [](const model::Frame& frame) { return !frame.plumbing; });
  if (found == frames.end()) found = frames.begin();
  if (!found->file.empty() && found->line > 0) {
    std::string text(base_name(found->file));
    text += ":" + std::to_string(found->line);
    if (!found->function.empty()) text += " in " + found->function;
    return text;
  }
  if (!found->function.empty()) return symbol_text(return_address);
  if (!found->module.empty())
    return with_offset(std::string(base_name(found->module)), found->module_offset);
  return {};
}

}  // namespace gordian::process
