// SPDX-License-Identifier: Apache-2.0
// The arguments of printf and scanf that are memory of the program, by their format.
//
// Arguments named by number (%1$s) are not followed: then the recording says that something was
// missed.
#pragma once

#include <stdarg.h>

namespace gordian::memory {

// What printf reads (%s) and writes (%n). Before or after it.
void tell_printed(const char* format, va_list arguments);

// What scanf writes. Once before it (`done` < 0): all whose size the format says. Once after it,
// with its result: texts, whose lengths are known only then.
void tell_scanned(const char* format, va_list arguments, int done);

}  // namespace gordian::memory
