// SPDX-License-Identifier: Apache-2.0
// A CPython interpreter inside a process, read from outside: who has its global lock (the GIL), and
// which Python functions its threads are in.
//
// Layouts are those of CPython 3.11 (Include/internal/pycore_runtime.h, pycore_frame.h, and
// Objects/locations.md for line numbers), x86-64. They are checked against the objects found: types
// by their addresses, threads by the interpreter they belong to. Any other version is named and
// left alone.
#pragma once

#include "model/stack.h"
#include "process/memory.h"
#include "process/symbols.h"
#include "process/unwind.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace gordian::process {

struct PythonFrame {
  std::string function;  // qualified: "Cache.refresh"
  std::string file;
  int line = 0;           // 0: unknown
  bool is_entry = false;  // the outermost one of its call into the interpreter
};

class Python {
 public:
  // Nullopt: there is no interpreter. Both arguments must outlive it.
  static std::optional<Python> find(const Symbols& symbols, const MemoryReader& memory);

  // Whether its layout is one of those known here, and the objects found agree. Else nothing below
  // may be asked.
  [[nodiscard]] bool is_known() const { return known_; }
  [[nodiscard]] const std::string& version() const { return version_; }

  [[nodiscard]] uint64_t gil() const;  // address
  // Whether a thread that sleeps on this word, or stands where these frames do, is inside take_gil,
  // the function by which CPython asks for the GIL. It sleeps there for 5 ms at a time, so it may
  // be met awake.
  [[nodiscard]] bool is_gil_word(uint64_t futex) const;
  [[nodiscard]] bool is_taking_gil(const UnwoundStack& stack);
  // The thread that has it, as its own process names it; nullopt: nobody, just now.
  [[nodiscard]] std::optional<uint32_t> gil_owner() const;

  // Innermost first; empty: the thread runs no Python, or its frames do not check. The interpreter
  // keeps a record of its innermost call on the thread's own stack, which is [low, high).
  [[nodiscard]] std::vector<PythonFrame> frames(uint32_t own_tid, uint64_t low,
                                                uint64_t high) const;

  // Puts the Python functions of a thread in front of the interpreter's frames that run them.
  void add_frames(uint32_t own_tid, model::Stack& stack) const;

 private:
  Python(const Symbols& symbols, const MemoryReader& memory, uint64_t runtime)
      : symbols_(&symbols), memory_(&memory), runtime_(runtime) {}
  [[nodiscard]] bool check() const;
  [[nodiscard]] bool is_thread_state(uint64_t state) const;
  [[nodiscard]] uint64_t find_take_gil() const;
  [[nodiscard]] bool waits_on_condition(uint64_t function) const;
  [[nodiscard]] std::optional<uint64_t> find_thread_state(uint32_t own_tid) const;
  [[nodiscard]] std::optional<PythonFrame> read_frame(uint64_t frame) const;
  [[nodiscard]] std::string read_string(uint64_t object) const;
  [[nodiscard]] int line_of(uint64_t code, uint64_t instruction) const;

  const Symbols* symbols_;
  const MemoryReader* memory_;
  uint64_t runtime_;                  // _PyRuntime
  uint64_t module_ = 0;               // an address in the interpreter's file
  std::optional<uint64_t> take_gil_;  // not yet sought; 0: not found
  uint64_t code_type_ = 0;
  uint64_t string_type_ = 0;
  std::string version_;
  bool known_ = false;
};

// The line of the code unit at `index` by a 3.11 location table; 0: unknown. For tests and by hand.
int line_in_table(std::string_view table, int first_line, uint64_t index);

}  // namespace gordian::process
