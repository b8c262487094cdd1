// SPDX-License-Identifier: Apache-2.0
#include "process/taken_locks.h"

#include "process/call_site.h"
#include "process/debug_info.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <optional>
#include <span>
#include <string_view>

namespace gordian::process {
namespace {

constexpr uint64_t kMaxFunction = 64 << 10;
constexpr size_t kMaxFunctions = 64;
constexpr int kRdi = 7;  // as instructions number them
constexpr int kRsi = 6;
constexpr int kMaxLoads = 4;
constexpr size_t kReach = 40;  // bytes before a call in which its argument is made

struct Unlocker {
  std::string_view name;
  WaitTarget target;
};
constexpr Unlocker kUnlockers[] = {
    {"pthread_mutex_unlock", WaitTarget::Mutex},
    {"mtx_unlock", WaitTarget::Mutex},
    {"pthread_rwlock_unlock", WaitTarget::WriteLock},
    {"pthread_spin_unlock", WaitTarget::Spin},
    {"cxa_guard_release", WaitTarget::Guard},
    {"g_mutex_unlock", WaitTarget::GlibMutex},
    {"g_once_init_leave", WaitTarget::GlibOnce},
    {"g_once_init_leave_pointer", WaitTarget::GlibOnce},
    {"g_bit_unlock", WaitTarget::GlibBit},
    {"g_pointer_bit_unlock", WaitTarget::GlibBit},
    {"g_rec_mutex_unlock", WaitTarget::RecMutex},
    {"g_rw_lock_reader_unlock", WaitTarget::GlibReadLock},
    {"g_rw_lock_writer_unlock", WaitTarget::GlibWriteLock},
};
constexpr Unlocker kTriers[] = {
    {"pthread_mutex_trylock", WaitTarget::Mutex},
    {"pthread_rwlock_tryrdlock", WaitTarget::ReadLock},
    {"pthread_rwlock_trywrlock", WaitTarget::WriteLock},
    {"pthread_spin_trylock", WaitTarget::Spin},
    {"g_mutex_trylock", WaitTarget::GlibMutex},
};

bool is_lock(WaitTarget target) {
  switch (target) {
    case WaitTarget::Condition:
    case WaitTarget::Semaphore:
    case WaitTarget::Barrier:
    case WaitTarget::Join:
    case WaitTarget::Future:
    case WaitTarget::GlibCondition:
    case WaitTarget::GlibQueue:
      return false;
    default:
      return true;
  }
}

template <size_t kSize>
std::optional<WaitTarget> find_in(const Unlocker (&table)[kSize], std::string_view name) {
  const auto* const found = std::find_if(std::begin(table), std::end(table),
                                         [&](const Unlocker& entry) { return entry.name == name; });
  if (found == std::end(table)) return std::nullopt;
  return found->target;
}

// From the numbers in instructions to DWARF's.
int dwarf_number(int number) {
  constexpr int kNumbers[] = {0, 2, 1, 3, 7, 6, 4, 5};
  return number < 8 ? kNumbers[number] : number;
}

bool is_preserved(int number) {  // across calls, by the ABI
  return number == 3 || number == 4 || number == 5 || number >= 12;
}

// The value a register had before the instruction at `end`, by the few forms in which compilers
// make an address. Wrong guesses are possible (bytes in the middle of an instruction may look like
// one); nobody believes a value that is not the address of the lock asked for.
class Evaluator {
 public:
  Evaluator(std::span<const uint8_t> code, uint64_t start, const RegisterSet& registers,
            const MemoryReader& memory)
      : code_(code), start_(start), registers_(registers), memory_(memory) {}

  [[nodiscard]] std::optional<uint64_t> value(int number, size_t end, int depth = 0) const {
    if (depth > kMaxLoads) return std::nullopt;
    const size_t first = end > kReach ? end - kReach : 0;
    for (size_t at = end; at-- > first;) {
      if (const auto found = written_at(number, at, end, depth)) return found;
    }
    if (!is_preserved(number)) return std::nullopt;
    return registers_.get(dwarf_number(number));
  }

 private:
  [[nodiscard]] uint8_t byte(size_t at) const { return at < code_.size() ? code_[at] : 0; }
  [[nodiscard]] int64_t displacement(size_t at, size_t size) const {
    if (at + size > code_.size()) return 0;
    if (size == 1) return static_cast<int8_t>(code_[at]);
    int32_t value = 0;
    std::memcpy(&value, code_.data() + at, sizeof value);
    return value;
  }

  // An instruction at `at` that ends before `end` and writes the register.
  [[nodiscard]] std::optional<uint64_t> written_at(int number, size_t at, size_t end,
                                                   int depth) const {
    const uint8_t prefix = byte(at);
    // mov $imm32, %edi
    if (number < 8 && prefix == 0xb8 + number && at + 5 <= end)
      return static_cast<uint32_t>(displacement(at + 1, 4));
    if ((prefix & 0xf8) != 0x48) return std::nullopt;  // REX.W
    const int reg_high = (prefix & 4) != 0 ? 8 : 0;
    const int rm_high = (prefix & 1) != 0 ? 8 : 0;
    const uint8_t opcode = byte(at + 1);
    const uint8_t modrm = byte(at + 2);
    const int mode = modrm >> 6;
    const int reg = (modrm >> 3 & 7) + reg_high;
    const int rm = (modrm & 7) + rm_high;
    if (opcode == 0x89 && mode == 3 && rm == number && at + 3 <= end)
      return value(reg, at, depth + 1);
    if (opcode == 0x83 && mode == 3 && (modrm & 0x38) == 0 && rm == number && at + 4 <= end)
      return sum(value(number, at, depth + 1), displacement(at + 3, 1));
    if (opcode == 0x05 && number == 0 && at + 6 <= end)
      return sum(value(0, at, depth + 1), displacement(at + 2, 4));
    if (opcode == 0x81 && mode == 3 && (modrm & 0x38) == 0 && rm == number && at + 7 <= end)
      return sum(value(number, at, depth + 1), displacement(at + 3, 4));
    if ((opcode != 0x8b && opcode != 0x8d) || reg != number) return std::nullopt;
    if (mode == 3) return opcode == 0x8b && at + 3 <= end ? value(rm, at, depth + 1) : std::nullopt;
    const auto address = operand(at, end, mode, rm, depth);
    if (!address || opcode == 0x8d) return address;
    return memory_.read_word(*address);
  }

  [[nodiscard]] std::optional<uint64_t> operand(size_t at, size_t end, int mode, int rm,
                                                int depth) const {
    if (mode == 0 && (rm & 7) == 5) {  // disp32(%rip)
      if (at + 7 > end) return std::nullopt;
      return start_ + at + 7 + static_cast<uint64_t>(displacement(at + 3, 4));
    }
    size_t next = at + 3;
    if ((rm & 7) == 4) {  // a SIB byte: only the plain (%rsp) form
      if (byte(next) != 0x24) return std::nullopt;
      ++next;
    }
    const size_t size = mode == 1 ? 1 : mode == 2 ? 4 : 0;
    if (next + size > end) return std::nullopt;
    const int64_t offset = size == 0 ? 0 : displacement(next, size);
    const bool is_stack = rm == 4 || rm == 5;
    const auto base = is_stack ? registers_.get(dwarf_number(rm)) : value(rm, at, depth + 1);
    return sum(base, offset);
  }

  static std::optional<uint64_t> sum(std::optional<uint64_t> base, int64_t offset) {
    if (!base) return std::nullopt;
    return *base + static_cast<uint64_t>(offset);
  }

  std::span<const uint8_t> code_;
  uint64_t start_;
  const RegisterSet& registers_;
  const MemoryReader& memory_;
};

}  // namespace

const TakenLocks::Code& TakenLocks::code_at(uint64_t pc) {
  const auto [known, is_new] = starts_.try_emplace(pc, 0);
  if (is_new) {
    const auto symbol = symbols_.debug_info().find_symbol_everywhere(pc);
    known->second = symbol && symbol->size != 0 && !symbol->is_object ? symbol->start : pc;
    const auto [place, is_new_code] = codes_.try_emplace(known->second);
    if (is_new_code && known->second != pc) {
      Code& code = place->second;
      code.start = symbol->start;
      code.bytes.resize(std::min(symbol->size, kMaxFunction));
      if (!memory_.read(code.start, std::as_writable_bytes(std::span(code.bytes))))
        code.bytes.clear();
      find_calls(code);
    }
  }
  return codes_[known->second];
}

void TakenLocks::find_calls(Code& code) {
  for (size_t at = 0; at + 5 <= code.bytes.size(); ++at) {
    size_t size = 0;
    if (code.bytes[at] == 0xe8) size = 5;
    if (code.bytes[at] == 0xff && code.bytes[at + 1] == 0x15) size = 6;
    if (size == 0 || at + size > code.bytes.size()) continue;
    const uint64_t site = code.start + at + size;
    const auto symbol = called_function(symbols_, memory_, site);
    if (!symbol) continue;
    const std::string_view name = plain_name(*symbol);
    if (const auto target = find_in(kUnlockers, name)) {
      code.calls.push_back({.site = site, .target = *target, .unlocks = true});
      continue;
    }
    auto taken = find_wait_target(name);
    if (!taken || !is_lock(*taken)) taken = find_in(kTriers, name);
    if (taken) code.calls.push_back({.site = site, .target = *taken});
  }
}

std::optional<uint64_t> TakenLocks::argument(const UnwoundFrame& frame) {
  return argument_in(kRdi, frame);
}

std::optional<uint64_t> TakenLocks::second_argument(const UnwoundFrame& frame) {
  return argument_in(kRsi, frame);
}

std::optional<uint64_t> TakenLocks::argument_in(int number, const UnwoundFrame& frame) {
  const Code& code = code_at(frame.lookup_pc());
  if (code.bytes.empty() || frame.pc < code.start + 5) return std::nullopt;
  return Evaluator(code.bytes, code.start, frame.registers, memory_)
      .value(number, frame.pc - code.start - 5);
}

std::vector<TakenLock> TakenLocks::find(const UnwoundStack& stack) {
  std::vector<TakenLock> taken;
  for (size_t i = 1; i < std::min(stack.frames.size(), kMaxFunctions); ++i) {
    const UnwoundFrame& frame = stack.frames[i];
    const Module* const module = symbols_.debug_info().find_module(frame.pc);
    if (module == nullptr || is_plumbing("", module->path)) continue;
    const Code& code = code_at(frame.lookup_pc());
    const Evaluator evaluator(code.bytes, code.start, frame.registers, memory_);
    const auto argument = [&](const Call& call) {
      // The call itself is five bytes or six; no instruction that makes an argument lies in it.
      const size_t end = call.site - code.start;
      return evaluator.value(kRdi, end >= 5 ? end - 5 : 0);
    };
    std::vector<TakenLock> here;
    for (const Call& call : code.calls) {
      if (call.site >= frame.pc) break;
      const auto address = argument(call);
      if (!address) continue;
      if (!call.unlocks) {
        here.push_back({.address = *address, .target = call.target, .frame = i, .site = call.site});
        continue;
      }
      for (TakenLock& lock : here) lock.doubtful |= lock.address == *address;
    }
    std::reverse(here.begin(), here.end());
    taken.insert(taken.end(), here.begin(), here.end());
  }
  return taken;
}

}  // namespace gordian::process
