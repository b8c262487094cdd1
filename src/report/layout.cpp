// SPDX-License-Identifier: Apache-2.0
#include "report/layout.h"

#include "base/text.h"
#include "report/labels.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <vector>

namespace gordian::report {

using model::Frame;
using model::Stack;

namespace {

constexpr size_t kWidth = 98;
constexpr size_t kMaxFramesTop = 20;
constexpr size_t kMaxFramesBottom = 4;
constexpr size_t kFunctionColumn = 44;

// What a reader sees of it; combining and wide characters are rare enough here.
size_t width_of(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

// ".../src/plugins/room.c": the part of a long path that tells files apart.
std::string short_path(std::string_view path, const std::string& folder) {
  constexpr size_t kMax = 48;
  const bool is_below = folder.size() > 1 && path.size() > folder.size() + 1 &&
                        path.starts_with(folder) && path[folder.size()] == '/';
  if (is_below) path.remove_prefix(folder.size() + 1);
  if (path.size() <= kMax) return clean(path, kMax);
  size_t at = path.size();
  for (int components = 0; components < 3 && at > 0; ++components) {
    const size_t slash = path.rfind('/', at - 1);
    if (slash == std::string_view::npos || path.size() - slash > kMax) break;
    at = slash;
  }
  if (at == path.size()) return clean(path, kMax);
  return "..." + clean(path.substr(at), kMax);
}

std::string frame_function(const Frame& frame) {
  if (!frame.function.empty())
    return clean(frame.file.empty() ? frame.function : short_function(frame.function), 100);
  if (frame.module.empty()) return "??";
  std::array<char, 24> offset{};
  std::snprintf(offset.data(), offset.size(), "+0x%llx",
                static_cast<unsigned long long>(frame.module_offset));
  return clean(base_name(frame.module), 60) + offset.data();
}

std::string frame_place(const Frame& frame, const std::string& folder) {
  std::string place;
  if (!frame.file.empty()) {
    // "kinds/../support/thread.h", as compilers write it.
    place = short_path(std::filesystem::path(frame.file).lexically_normal().string(), folder);
    if (frame.line > 0) place += ":" + std::to_string(frame.line);
  } else if (!frame.function.empty() && !frame.module.empty()) {
    place = "(" + clean(base_name(frame.module), 60) + ")";
  }
  if (frame.inlined) place += place.empty() ? "[inlined]" : " [inlined]";
  return place;
}

bool same_frame(const Frame& a, const Frame& b) {
  return a.function == b.function && a.file == b.file && a.line == b.line &&
         (a.pc == b.pc || !a.function.empty());
}

}  // namespace

std::string styled(Style style, const std::string& text, const TextOptions& options) {
  if (!options.color || style == Style::Plain) return text;
  constexpr std::array<const char*, 6> kCodes = {"", "1;31", "1;33", "32", "1", "2"};
  return "\x1b[" + std::string(kCodes.at(static_cast<size_t>(style))) + "m" + text + "\x1b[0m";
}

std::string wrapped(std::string_view text, const std::string& first, const std::string& indent) {
  std::string out = first;
  size_t column = width_of(first);
  bool line_is_empty = true;
  while (!text.empty()) {
    const size_t blank = std::min(text.find(' '), text.size());
    const std::string_view word = text.substr(0, blank);
    if (!line_is_empty && column + 1 + width_of(word) > kWidth) {
      out += "\n" + indent;
      column = indent.size();
      line_is_empty = true;
    }
    if (!line_is_empty) {
      out += ' ';
      ++column;
    }
    out += word;
    column += width_of(word);
    line_is_empty = false;
    text.remove_prefix(std::min(blank + 1, text.size()));
  }
  return out + "\n";
}

size_t common_tail(const Stack& a, const Stack& b) {
  constexpr size_t kWorthIt = 3;
  size_t count = 0;
  size_t lines = 0;
  while (count < a.frames.size() && count < b.frames.size()) {
    const Frame& frame = a.frames[a.frames.size() - 1 - count];
    if (!same_frame(frame, b.frames[b.frames.size() - 1 - count])) break;
    if (!is_folded(frame)) ++lines;
    ++count;
  }
  return lines < kWorthIt ? 0 : count;
}

std::string stack_text(const Stack& stack, const TextOptions& options, size_t skip) {
  const std::string indent = "      ";
  if (stack.frames.empty())
    return indent + (stack.note.empty() ? "an unknown place" : clean(stack.note, 200)) + "\n";

  struct Line {
    std::string function;  // empty: `place` is a remark
    std::string place;
  };
  std::vector<Line> lines;
  const bool all_plumbing = std::all_of(stack.frames.begin(), stack.frames.end(), is_folded);
  size_t folded = 0;
  for (const Frame& frame : stack.frames) {
    if (&frame - stack.frames.data() >= static_cast<ptrdiff_t>(stack.frames.size() - skip)) break;
    if (is_folded(frame) && !all_plumbing) {
      ++folded;
      continue;
    }
    // Above the first frame of the program's own, the lock call itself needs no mention.
    if (folded > 0 && !lines.empty())
      lines.push_back({"", "[" + count_of(folded, "frame") + " of std:: folded]"});
    folded = 0;
    lines.push_back({frame_function(frame), frame_place(frame, options.folder)});
  }
  const bool rest_below = skip > 0;

  if (lines.size() > kMaxFramesTop + kMaxFramesBottom + 1) {
    const size_t cut = lines.size() - kMaxFramesTop - kMaxFramesBottom;
    const auto first = lines.begin() + kMaxFramesTop;
    lines.erase(first, first + static_cast<ptrdiff_t>(cut));
    lines.insert(lines.begin() + kMaxFramesTop, {"", "[" + count_of(cut, "more frame") + "]"});
  }
  size_t column = 0;
  for (const Line& line : lines)
    if (width_of(line.function) <= kFunctionColumn)
      column = std::max(column, width_of(line.function));

  std::string out;
  for (const Line& line : lines) {
    out += indent;
    if (line.function.empty()) {
      out += line.place + "\n";
      continue;
    }
    out += line.function;
    if (!line.place.empty()) {
      const size_t width = width_of(line.function);
      out += std::string((column > width ? column - width : 0) + 2, ' ') + line.place;
    }
    out += "\n";
  }
  if (rest_below) out += indent + "... and further out the same frames as below\n";
  if (!stack.note.empty()) out += indent + "[" + clean(stack.note, 200) + "]\n";
  return out;
}

}  // namespace gordian::report
