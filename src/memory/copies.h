// SPDX-License-Identifier: Apache-2.0
// Bytes that are copied and filled: by libc, and so that it is told.
#pragma once

#include <stddef.h>

namespace gordian::memory {

// libc's memcpy, memmove and memset.
void* plain_copy(void* to, const void* from, size_t size);
void* plain_move(void* to, const void* from, size_t size);
void* plain_fill(void* to, int byte, size_t size);

// Copies as memmove does. Who reads the bytes where they go must come after who wrote them where
// they come from: so they are read, then it is looked up who wrote them, and only then they are put
// where they go.
void copy_told(void* to, const void* from, size_t size);
void fill_told(void* to, int byte, size_t size);

}  // namespace gordian::memory
