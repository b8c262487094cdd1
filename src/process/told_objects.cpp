// SPDX-License-Identifier: Apache-2.0
#include "process/told_objects.h"

#include "base/file.h"
#include "base/text.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <gelf.h>
#include <map>
#include <optional>
#include <set>
#include <system_error>
#include <unistd.h>

namespace gordian::process {
namespace {

constexpr std::array kOfCompiler = std::to_array<std::string_view>({
    "crt1.o",
    "Scrt1.o",
    "rcrt1.o",
    "gcrt1.o",
    "Mcrt1.o",
    "grcrt1.o",
    "crti.o",
    "crtn.o",
    "libc_nonshared.a",
    "libgcc.a",
    "libgcc_eh.a",
    "libpthread_nonshared.a",
    "libssp_nonshared.a",
    "libstdc++_nonshared.a",
});

bool has_name_of_compilers(std::string_view file) {
  const std::string_view name = base_name(file);
  return std::find(kOfCompiler.begin(), kOfCompiler.end(), name) != kOfCompiler.end() ||
         ((name.starts_with("crtbegin") || name.starts_with("crtend")) && name.ends_with(".o"));
}

// Without links and "..", so that two names of one folder are the same.
std::string plain_folder(const std::string& folder) {
  std::error_code error;
  const std::string plain =
      std::filesystem::canonical(folder.empty() ? "." : folder, error).string();
  return error ? std::string() : plain;
}

// "lib.a(member.o)" -> "lib.a", "member.o"; a plain file has no member.
struct Input {
  std::string file;
  std::string member;
};

Input split_input(const std::string& input) {
  const size_t open = input.rfind('(');
  if (open == std::string::npos || open == 0 || input.back() != ')') return {input, {}};
  return {input.substr(0, open), input.substr(open + 1, input.size() - open - 2)};
}

bool is_zero(std::string_view digits) {
  return digits.find_first_not_of('0') == std::string_view::npos;
}

// "0x1040 0x1f file" behind the name of a section, if there is any of it.
std::optional<std::string_view> gnu_contribution(std::string_view line) {
  const size_t address = line.find(" 0x");
  if (address == std::string_view::npos) return std::nullopt;
  std::string_view rest = trimmed(line.substr(address));
  const size_t space = rest.find(' ');
  if (space == std::string_view::npos) return std::nullopt;
  rest = trimmed(rest.substr(space));
  const size_t size_end = rest.find(' ');
  if (!rest.starts_with("0x") || size_end == std::string_view::npos) return std::nullopt;
  if (is_zero(rest.substr(2, size_end - 2))) return std::nullopt;
  return trimmed(rest.substr(size_end));
}

// lld: two addresses, size and alignment, and then, the further in the less it is, the name of a
// section, an input or a symbol.
struct LldLine {
  enum class Level { Section, Input, Symbol };
  bool is_empty = false;
  Level level = Level::Section;
  std::string_view text;
};

std::optional<LldLine> lld_line(std::string_view line) {
  LldLine out;
  for (int column = 0; column < 4; ++column) {
    const size_t begin = std::min(line.find_first_not_of(' '), line.size());
    const size_t end = std::min(line.find(' ', begin), line.size());
    const std::string_view digits = line.substr(begin, end - begin);
    if (digits.empty() || digits.find_first_not_of("0123456789abcdef") != std::string_view::npos)
      return std::nullopt;
    if (column == 2) out.is_empty = is_zero(digits);
    line.remove_prefix(end);
  }
  const size_t spaces = std::min(line.find_first_not_of(' '), line.size());
  constexpr size_t kInput = 9;
  if (spaces >= kInput)
    out.level = spaces == kInput ? LldLine::Level::Input : LldLine::Level::Symbol;
  out.text = line.substr(spaces);
  return out;
}

// Is it the line of one of `sections`?
bool begins_one_of(std::string_view line, const std::set<std::string>& sections) {
  return std::any_of(sections.begin(), sections.end(), [&](const std::string& name) {
    return line.starts_with(name) && (line.size() == name.size() || line[name.size()] == ' ');
  });
}

// Whether each of its sources said so: see gcc_plugin/tell_all.cpp.
bool all_are_whole(Elf_Scn* section) {
  Elf_Data* const data = elf_getdata(section, nullptr);
  if (data == nullptr || data->d_buf == nullptr || data->d_size == 0) return false;
  const std::string_view bytes(static_cast<const char*>(data->d_buf), data->d_size);
  return bytes.find_first_not_of('\1') == std::string_view::npos;
}

bool calls(Elf* elf, Elf_Scn* symbols, const GElf_Shdr& header, const char* function) {
  Elf_Data* const data = elf_getdata(symbols, nullptr);
  if (data == nullptr || header.sh_entsize == 0) return false;
  const auto count = static_cast<int>(header.sh_size / header.sh_entsize);
  for (int i = 0; i < count; ++i) {
    GElf_Sym symbol;
    if (gelf_getsym(data, i, &symbol) == nullptr || symbol.st_shndx != SHN_UNDEF) continue;
    const char* const name = elf_strptr(elf, header.sh_link, symbol.st_name);
    if (name != nullptr && std::strcmp(name, function) == 0) return true;
  }
  return false;
}

// FNV-1a, 64 bits.
uint64_t hash_of(std::string_view bytes) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : bytes) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

// What an object says of itself, and what is in it.
struct Contents {
  bool is_told = false;   // something in it calls __tsan_init
  bool has_said = false;  // a source said whether it tells all
  bool is_whole = true;   // none said that it does not
  uint64_t code = 1;      // never 0, which is an empty seal
  std::vector<uint64_t> seals;
  std::vector<off_t> seals_at;  // where in the file

  [[nodiscard]] bool tells() const {
    return is_told && has_said && is_whole &&
           std::find(seals.begin(), seals.end(), code) != seals.end();
  }
};

void read_seals(Elf_Scn* section, const GElf_Shdr& header, Contents& out) {
  Elf_Data* const data = elf_getdata(section, nullptr);
  if (data == nullptr || data->d_buf == nullptr) return;
  for (size_t at = 0; at + sizeof(uint64_t) <= data->d_size; at += sizeof(uint64_t)) {
    uint64_t seal = 0;
    std::memcpy(&seal, static_cast<const char*>(data->d_buf) + at, sizeof seal);
    out.seals.push_back(seal);
    out.seals_at.push_back(static_cast<off_t>(header.sh_offset + at));
  }
}

// In whatever order the sections are: tools that strip an object may change it.
void add_code(Elf_Scn* section, Contents& out) {
  Elf_Data* const data = elf_getdata(section, nullptr);
  if (data == nullptr || data->d_buf == nullptr || data->d_size == 0) return;
  out.code += hash_of({static_cast<const char*>(data->d_buf), data->d_size});
  if (out.code == 0) out.code = 1;
}

Contents read_contents(Elf* elf) {
  Contents out;
  size_t names = 0;
  if (elf_getshdrstrndx(elf, &names) != 0) return out;
  for (Elf_Scn* section = elf_nextscn(elf, nullptr); section != nullptr;
       section = elf_nextscn(elf, section)) {
    GElf_Shdr header;
    if (gelf_getshdr(section, &header) == nullptr) continue;
    if (header.sh_type == SHT_SYMTAB)
      out.is_told = out.is_told || calls(elf, section, header, "__tsan_init");
    if ((header.sh_flags & SHF_EXECINSTR) != 0) add_code(section, out);
    const char* const text = elf_strptr(elf, names, header.sh_name);
    const std::string_view name = text == nullptr ? "" : text;
    if (name == ".gordian.seal") read_seals(section, header, out);
    if (name != ".gordian.told") continue;
    out.has_said = true;
    out.is_whole = out.is_whole && all_are_whole(section);
  }
  return out;
}

// What of the file tells: its members, or "" for itself.
std::set<std::string> telling_members(const std::string& path) {
  std::set<std::string> members;
  const FileDescriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file || elf_version(EV_CURRENT) == EV_NONE) return members;
  Elf* const whole = elf_begin(file.get(), ELF_C_READ, nullptr);
  if (whole == nullptr) return members;
  if (elf_kind(whole) == ELF_K_AR) {
    Elf_Cmd command = ELF_C_READ;
    std::set<std::string> untold;
    while (Elf* const member = elf_begin(file.get(), command, whole)) {
      const Elf_Arhdr* const header = elf_getarhdr(member);
      if (header != nullptr && header->ar_name != nullptr && elf_kind(member) == ELF_K_ELF)
        (read_contents(member).tells() ? members : untold).insert(header->ar_name);
      command = elf_next(member);
      elf_end(member);
    }
    // Two members of one name: which of them it was the map does not say.
    for (const std::string& name : untold) members.erase(name);
  } else if (elf_kind(whole) == ELF_K_ELF && read_contents(whole).tells()) {
    members.insert("");
  }
  elf_end(whole);
  return members;
}

}  // namespace

std::set<std::string> find_code_sections(const std::string& path) {
  std::set<std::string> names;
  const FileDescriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file || elf_version(EV_CURRENT) == EV_NONE) return names;
  Elf* const elf = elf_begin(file.get(), ELF_C_READ, nullptr);
  size_t strings = 0;
  if (elf != nullptr && elf_getshdrstrndx(elf, &strings) == 0) {
    for (Elf_Scn* section = elf_nextscn(elf, nullptr); section != nullptr;
         section = elf_nextscn(elf, section)) {
      GElf_Shdr header;
      if (gelf_getshdr(section, &header) == nullptr) continue;
      if ((header.sh_flags & SHF_EXECINSTR) == 0 || header.sh_size == 0) continue;
      const char* const name = elf_strptr(elf, strings, header.sh_name);
      if (name != nullptr) names.emplace(name);
    }
  }
  elf_end(elf);
  return names;
}

std::vector<std::string> code_inputs(std::string_view map, const std::set<std::string>& sections) {
  std::set<std::string> files;
  bool in_code = false;
  while (!map.empty()) {
    const size_t end = std::min(map.find('\n'), map.size());
    const std::string_view line = map.substr(0, end);
    map.remove_prefix(std::min(end + 1, map.size()));
    if (const auto lld = lld_line(line)) {
      if (lld->level == LldLine::Level::Section) in_code = begins_one_of(lld->text, sections);
      const std::string_view file = lld->text.substr(0, lld->text.rfind(":("));
      if (in_code && lld->level == LldLine::Level::Input && !lld->is_empty && file != "<internal>")
        files.emplace(file);
      continue;
    }
    if (!line.empty() && line[0] != ' ') in_code = begins_one_of(line, sections);
    // A star: a pattern, a gap, or in maps of gold something of its own.
    if (!in_code || line.empty() || line[0] != ' ' || trimmed(line).starts_with('*')) continue;
    if (const auto file = gnu_contribution(line)) files.emplace(*file);
  }
  return {files.begin(), files.end()};
}

Result<void> seal_object(const std::string& path) {
  Contents contents;
  {
    const FileDescriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file || elf_version(EV_CURRENT) == EV_NONE) return {};
    Elf* const elf = elf_begin(file.get(), ELF_C_READ, nullptr);
    if (elf != nullptr && elf_kind(elf) == ELF_K_ELF) contents = read_contents(elf);
    elf_end(elf);
  }
  if (contents.seals_at.empty()) return {};
  const FileDescriptor file(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  for (const off_t at : contents.seals_at)
    if (!file || pwrite(file.get(), &contents.code, sizeof contents.code, at) !=
                     static_cast<ssize_t>(sizeof contents.code))
      return Error::from_errno("cannot be sealed").in(path);
  return {};
}

std::vector<std::string> find_untold(const std::vector<std::string>& inputs,
                                     const std::vector<std::string>& folders) {
  std::set<std::string> trusted;
  for (const std::string& folder : folders) trusted.insert(plain_folder(folder));
  trusted.erase(std::string());
  std::map<std::string, std::set<std::string>> known;
  std::vector<std::string> untold;
  for (const std::string& input : inputs) {
    const Input parts = split_input(input);
    if (has_name_of_compilers(parts.file) &&
        trusted.contains(plain_folder(std::filesystem::path(parts.file).parent_path().string())))
      continue;
    auto found = known.find(parts.file);
    if (found == known.end()) found = known.emplace(parts.file, telling_members(parts.file)).first;
    if (!found->second.contains(parts.member)) untold.push_back(input);
  }
  return untold;
}

}  // namespace gordian::process
