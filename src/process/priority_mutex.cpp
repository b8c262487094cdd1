// SPDX-License-Identifier: Apache-2.0
#include "process/priority_mutex.h"

#include "process/glibc_layout.h"

#include <algorithm>
#include <set>

namespace gordian::process {
namespace {

constexpr uint32_t kFutexTidMask = 0x3fffffff;  // linux/futex.h
// Those that a function must leave as they were.
constexpr int kPreserved[] = {kRegisterRbx, kRegisterRbp, 12, 13, 14, 15};

bool is_taken_priority_mutex(uint64_t address, const MemoryReader& memory,
                             const std::function<bool(uint32_t)>& is_thread) {
  if (address % 8 != 0 || address < 4096) return false;
  const auto kind = memory.read_word(address + GlibcLayout::kMutexKind, 4);
  const auto owner = memory.read_word(address, 4);
  if (!kind || !owner || (*kind & GlibcLayout::kMutexPriority) == 0 ||
      *kind > GlibcLayout::kMutexKindMax)
    return false;
  const auto tid = static_cast<uint32_t>(*owner & kFutexTidMask);
  // Another process may have a shared one.
  return tid != 0 && ((*kind & GlibcLayout::kMutexShared) != 0 || is_thread(tid));
}

}  // namespace

PriorityMutex find_priority_mutex(const PriorityWait& wait, const MemoryReader& memory,
                                  const std::function<bool(uint32_t own_tid)>& is_thread) {
  PriorityMutex result;
  std::set<uint64_t> in_registers;
  result.registers_known = true;
  for (const UnwoundFrame& frame : wait.inner_frames) {
    for (const int number : kPreserved) {
      const std::optional<uint64_t> value = frame.registers.get(number);
      result.registers_known &= value.has_value();
      if (!value) continue;
      // The compiler may have kept the address of a field.
      for (const uint64_t field :
           {uint64_t{0}, uint64_t{GlibcLayout::kMutexOwner}, uint64_t{GlibcLayout::kMutexKind}})
        if (is_taken_priority_mutex(*value - field, memory, is_thread))
          in_registers.insert(*value - field);
    }
  }
  if (wait.argument && is_taken_priority_mutex(*wait.argument, memory, is_thread)) {
    result.address = *wait.argument;
    result.certain = in_registers.contains(result.address);
  } else if (in_registers.size() == 1) {
    result.address = *in_registers.begin();
  }
  return result;
}

}  // namespace gordian::process
