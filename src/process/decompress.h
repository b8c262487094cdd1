// SPDX-License-Identifier: Apache-2.0
// Core files as crash collectors keep them: zstd, lz4 (frames), xz.
#pragma once

#include "base/file.h"
#include "base/result.h"

#include <cstdint>
#include <string>

namespace gordian::process {

struct Decompressed {
  FileDescriptor fd;
  std::string damage = {};  // "cut off: ..."; empty: whole
};

// The most a core may unpack to. Zeros cost nothing: the copy has holes.
inline constexpr uint64_t kMaxUnpacked = uint64_t{64} << 30;

// A file that is not compressed comes back as it is; any other as a copy without a name, which goes
// with its descriptor. Never fills a disk by more than half of what was free. What is cut off or
// damaged is unpacked as far as it goes.
Result<Decompressed> decompress(FileDescriptor fd, uint64_t max_bytes = kMaxUnpacked);

}  // namespace gordian::process
