// SPDX-License-Identifier: Apache-2.0
// What a frame's function is, by its name alone.
#pragma once

#include "dump/dump.h"

#include <string>
#include <string_view>

namespace gordian::dump {

// "__GI___pthread_mutex_lock@@GLIBC_2.2.5" -> "pthread_mutex_lock"; "void ns::f<int>(int) const" ->
// "ns::f". Short, however long the name.
std::string plain_name(std::string_view function);

// "ns::Class" of "ns::Class::f", "pkg.(*T)" of "pkg.(*T).f.func1"; empty: a free function.
std::string_view class_of(std::string_view plain, Dialect dialect);

// Part of how a lock is taken, or of how a thread starts: libc, std::, runtime. `plain` is the
// frame's plain name.
bool is_plumbing(const Frame& frame, std::string_view plain, Dialect dialect);

// A program's own wrapper of a lock: its name says that it takes one.
bool is_lock_wrapper(std::string_view plain);

}  // namespace gordian::dump
