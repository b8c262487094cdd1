// SPDX-License-Identifier: Apache-2.0
#include "memory/shadow.h"

#include <sys/mman.h>

namespace gordian::memory {

constinit Shadow shadow{};

bool map_shadow() {
  // Programs rarely spread over more than 1 TiB; what they do not touch costs nothing.
  for (uint32_t bits = kShadowBits; bits >= 24; bits -= 4) {
    const uint64_t size = uint64_t{1} << bits;
    void* const memory = mmap(nullptr, size, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) continue;
    madvise(memory, size, MADV_DONTDUMP);
    madvise(memory, size, MADV_NOHUGEPAGE);  // two megabytes for every word touched
    // A child has one thread, and all that its parent wrote came before.
    if (madvise(memory, size, MADV_WIPEONFORK) != 0) {
      munmap(memory, size);
      return false;
    }
    shadow.mask = (size - 1) & ~uint64_t{7};
    shadow.base = reinterpret_cast<uint64_t>(memory);
    return true;
  }
  return false;
}

}  // namespace gordian::memory
