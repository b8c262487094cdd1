// SPDX-License-Identifier: Apache-2.0
// fork: the child's one thread keeps what it holds, on a board of the child's own.
//
// Through atfork handlers, not hooks: daemon() and forkpty() call fork inside libc. Ours are the
// first registered, so `prepare` runs last before the fork and `child` runs before any of the
// program's. A raw clone or _Fork runs none; its first hook sees the wiped page and starts over.
#pragma once

namespace gordian::runtime {

// Registers the handlers. Once per process tree.
void watch_forks();

}  // namespace gordian::runtime
