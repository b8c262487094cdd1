// SPDX-License-Identifier: Apache-2.0
// Which files are mapped where, for whoever turns addresses into names after the process is gone.
#pragma once

#include <stdint.h>

namespace gordian::runtime {

// Logs every object loaded now. Lock-free, from the loader's list.
void log_modules();

// Logs the object that contains `pc` unless it is known: plug-ins come by dlopen, which we never
// hook. Slow paths only.
void note_module_of(uint64_t pc);

// Is any object loaded that was not when log_modules() ran? Lock-free: asks only whether something
// follows what was last then, and that stays loaded for good.
bool objects_were_added();

// Does `code` lie in a shared library whose file name begins so? Lock-free.
bool is_in_library(const void* code, const char* file_name);

// Does the address lie in a known object? A variable there is everybody's from the start.
bool is_in_module(uint64_t address);

}  // namespace gordian::runtime
