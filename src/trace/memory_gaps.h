// SPDX-License-Identifier: Apache-2.0
// Whether a recording of a program that `gordian cc` built has all the reads and writes that
// matter.
#pragma once

#include "trace/recording_facts.h"

#include <string>

namespace gordian::trace {

// What of the program's reads and writes is not in the recording, in words, for a sentence
// "...: MISSED"; empty: nothing. Knows only what the first reading has found.
//
// libc, libm, libstdc++, libgcc and the loader are trusted: they are built otherwise in every
// program, and what they read and write for it is told by hooks. Any other object has to tell it
// itself.
std::string missed_memory(const RecordingFacts& facts);

}  // namespace gordian::trace
