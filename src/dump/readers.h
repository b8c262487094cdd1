// SPDX-License-Identifier: Apache-2.0
// One reader for each family of formats. All take cleaned text and keep views into it.
#pragma once

#include "dump/dump.h"

#include <memory>
#include <string>
#include <vector>

namespace gordian::dump {

using Text = std::shared_ptr<const std::string>;

// gdb's bt, thread apply all bt (full) and info threads, gstack, eu-stack, systemd's core dump
// entries, lldb's bt all.
std::vector<Dump> read_native(const Text& text);

// A Go program's own goroutine dump: SIGQUIT, a panic, pprof with debug=2.
std::vector<Dump> read_go(const Text& text);

// jstack, jcmd Thread.print, SIGQUIT, and ThreadInfo's own form.
std::vector<Dump> read_java(const Text& text);

// faulthandler and py-spy dump.
std::vector<Dump> read_python(const Text& text);

}  // namespace gordian::dump
