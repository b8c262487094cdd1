// SPDX-License-Identifier: Apache-2.0
#include "process/call_site.h"

#include "process/debug_info.h"
#include "process/unwind.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <span>
#include <vector>

namespace gordian::process {
namespace {

template <size_t kSize>
using Bytes = std::array<uint8_t, kSize>;

template <size_t kSize>
bool read_code(const MemoryReader& memory, uint64_t address, Bytes<kSize>& code) {
  return memory.read(address, std::as_writable_bytes(std::span(code)));
}

uint64_t relative(const uint8_t* displacement, uint64_t next) {
  int32_t value = 0;
  std::memcpy(&value, displacement, sizeof value);
  return next + static_cast<uint64_t>(int64_t{value});
}

// A PLT stub is a jump through a slot, perhaps behind endbr64 and with a bnd prefix:
//   [f3 0f 1e fa] [f2] ff 25 disp32
std::optional<uint64_t> follow_stub(const MemoryReader& memory, uint64_t address) {
  Bytes<11> code{};
  if (!read_code(memory, address, code)) return std::nullopt;
  size_t at = 0;
  constexpr uint8_t kEndbr[] = {0xf3, 0x0f, 0x1e, 0xfa};
  if (std::memcmp(code.data(), kEndbr, sizeof kEndbr) == 0) at = sizeof kEndbr;
  if (code[at] == 0xf2) ++at;
  if (at + 6 > code.size() || code[at] != 0xff || code[at + 1] != 0x25) return std::nullopt;
  return memory.read_word(relative(code.data() + at + 2, address + at + 6));
}

}  // namespace

std::optional<uint64_t> call_target(const MemoryReader& memory, uint64_t return_address) {
  Bytes<6> code{};
  if (return_address < code.size() || !read_code(memory, return_address - code.size(), code))
    return std::nullopt;
  // call *slot(%rip), as -fno-plt makes it
  if (code[0] == 0xff && code[1] == 0x15)
    return memory.read_word(relative(code.data() + 2, return_address));
  if (code[1] != 0xe8) return std::nullopt;
  const uint64_t target = relative(code.data() + 2, return_address);
  const std::optional<uint64_t> behind = follow_stub(memory, target);
  return behind ? behind : target;
}

bool is_half_of(const Symbols& symbols, const MemoryReader& memory, const ElfSymbol& function,
                uint64_t pc) {
  constexpr uint64_t kMaxCode = 1024;
  constexpr uint64_t kMaxHalf = 8192;
  if (function.size < 5) return false;
  std::vector<uint8_t> code(std::min(function.size, kMaxCode));
  if (!memory.read(function.start, std::as_writable_bytes(std::span(code)))) return false;
  // Any byte could begin an instruction; that four others lead by chance to where a function begins
  // is not to be feared.
  for (size_t at = 0; at + 5 <= code.size(); ++at) {
    const bool jumps =
        code[at] == 0xe9 || (at > 0 && code[at - 1] == 0x0f && (code[at] & 0xf0) == 0x80);
    if (!jumps) continue;
    const uint64_t target = relative(code.data() + at + 1, function.start + at + 5);
    if (target <= pc && pc - target < kMaxHalf && is_same_code(symbols, target, pc)) return true;
  }
  return false;
}

std::optional<std::string> called_function(const Symbols& symbols, const MemoryReader& memory,
                                           uint64_t return_address) {
  const std::optional<uint64_t> target = call_target(memory, return_address);
  if (!target) return std::nullopt;
  const std::optional<ElfSymbol> symbol = symbols.debug_info().find_symbol(*target);
  if (!symbol || symbol->start != *target) return std::nullopt;
  return symbol->name;
}

}  // namespace gordian::process
