// SPDX-License-Identifier: Apache-2.0
#include "process/lease_wait.h"

#include "gordian/lease_words.h"

#include <cstddef>

namespace gordian::process {
namespace {

using redis::hold_words;
using redis::lease_words;
using redis::parked_words;

constexpr size_t kMaxName = 512;

template <typename Words>
bool is_at(const MemoryReader& memory, uint64_t address) {
  return memory.read_word(address + offsetof(Words, magic)) == Words::magic_number &&
         memory.read_word(address + offsetof(Words, self)) == address;
}

}  // namespace

std::optional<LeaseWait> read_lease_wait(const MemoryReader& memory, uint64_t futex) {
  if (futex % alignof(parked_words) != 0 || !is_at<parked_words>(memory, futex))
    return std::nullopt;
  LeaseWait wait;
  wait.lease = memory.read_word(futex + offsetof(parked_words, lease)).value_or(0);
  if (wait.lease == 0 || !is_at<lease_words>(memory, wait.lease)) return std::nullopt;
  wait.gives_up = memory.read_word(futex + offsetof(parked_words, gives_up), 4).value_or(1) != 0;
  const uint64_t text = memory.read_word(wait.lease + offsetof(lease_words, name)).value_or(0);
  const uint64_t size = memory.read_word(wait.lease + offsetof(lease_words, name_size)).value_or(0);
  if (text != 0 && size <= kMaxName) wait.name = memory.read_text(text, size).value_or("");
  const uint64_t hold = memory.read_word(wait.lease + offsetof(lease_words, hold)).value_or(0);
  if (hold == 0 || !is_at<hold_words>(memory, hold)) return wait;
  const auto owner = memory.read_word(hold + offsetof(hold_words, owner), 4);
  const auto elsewhere = memory.read_word(hold + offsetof(hold_words, kept_elsewhere), 4);
  if (!owner || !elsewhere) return wait;
  wait.owner = static_cast<uint32_t>(*owner);
  wait.owner_likely = *elsewhere != 0;
  return wait;
}

}  // namespace gordian::process
