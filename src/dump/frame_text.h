// SPDX-License-Identifier: Apache-2.0
// One frame of a native backtrace, from its text.
#pragma once

#include "dump/dump.h"

#include <cstdint>
#include <optional>
#include <string_view>

namespace gordian::dump {

// Whether a frame's text goes on in the next line, as gdb and mailing lists wrap it.
class FrameEnd {
 public:
  void add(std::string_view line);
  [[nodiscard]] bool is_open() const { return depth_ > 0; }

 private:
  int depth_ = 0;
};

// "3" of "#3  0x... in f (a=1)"; nothing if the line is no frame.
std::optional<int64_t> frame_number(std::string_view line);

// Everything behind the number: gdb's, eu-stack's, systemd's and lldb's way of writing.
Frame parse_frame(std::string_view text);

// The value of gdb's "name=value"; the address behind "name@entry=" too. Empty: not there.
std::string_view find_argument(std::string_view args, std::string_view name);

// Where the bracket opened at `open` closes; the end of the text if it does not. Quoted text and
// characters do not count.
size_t find_closing(std::string_view text, size_t open);

}  // namespace gordian::dump
