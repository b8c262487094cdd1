// SPDX-License-Identifier: Apache-2.0
// Memory that is not changed by the program's own stores alone: what it maps of files, and what it
// shares with its children. Nobody sees who reads there what, so as soon as somebody else can write
// there, something was missed.
//
// - A file that is mapped to be written to, and shared: at once.
// - Any other mapping of a file, private ones too: when a descriptor of the process may write to
//   that file, be it there already or come later, when the file is cut off by its name, or when the
//   process has children or gets some.
// - Shared memory without a file: when there are children that were made later.
//
// Other programs are not looked at: nobody can say what they do. A file that is written, closed and
// then mapped is as good as memory of the program's own, and so is what was unmapped before.
#pragma once

#include <stdint.h>

namespace gordian::memory {

// The process got a descriptor, or -1. `is_cut`: its file was emptied, whatever it is open for.
void note_descriptor(int file, bool is_cut);
// The file of that name was cut off.
void note_cut(const char* path);
// There will be a process that may write where this one reads.
void note_child();
// In a child: what its parent has mapped both may see.
void note_parent();
// A filter of system calls stands from now on: none is to be made that the program does not make.
void note_filter();
// It moves, or there will be two of it.
void note_moved(uint64_t address, uint64_t size, uint64_t new_size, int flags);

}  // namespace gordian::memory
