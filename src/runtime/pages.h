// SPDX-License-Identifier: Apache-2.0
// Sizes of memory mappings.
#pragma once

#include <stdint.h>

namespace gordian::runtime {

constexpr uint64_t kPage = 4096;

constexpr uint64_t page_up(uint64_t size) { return (size + kPage - 1) & ~(kPage - 1); }
constexpr uint64_t page_down(uint64_t address) { return address & ~(kPage - 1); }

}  // namespace gordian::runtime
