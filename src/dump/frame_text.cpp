// SPDX-License-Identifier: Apache-2.0
#include "dump/frame_text.h"

#include "base/text.h"
#include "dump/lines.h"

#include <cctype>
#include <utility>

namespace gordian::dump {

namespace {

// The index behind a quoted string or character that begins at `at`; `at` + 1 if it does not end in
// its line: then it was no quote.
size_t after_quote(std::string_view text, size_t at) {
  const char quote = text[at];
  constexpr size_t kLongest = 4096;
  for (size_t i = at + 1; i < text.size() && i < at + kLongest; ++i) {
    if (text[i] == '\n') break;
    if (text[i] == '\\') {
      ++i;
    } else if (text[i] == quote) {
      return i + 1;
    }
  }
  return at + 1;
}

bool is_quote(char c) { return c == '"' || c == '\''; }

// "file.c:12", "file.c:12:5".
void parse_place(std::string_view text, Frame& frame) {
  text = trimmed(text.substr(0, text.find('\n')));
  int64_t numbers[2] = {0, 0};
  size_t found = 0;
  while (found < 2) {
    const size_t colon = text.rfind(':');
    if (colon == std::string_view::npos || colon + 1 == text.size()) break;
    Cursor digits(text.substr(colon + 1));
    const std::optional<int64_t> number = digits.number();
    if (!number || !digits.empty() || *number > 100'000'000) break;
    numbers[found++] = *number;
    text = text.substr(0, colon);
  }
  frame.file = text;
  if (found > 0) frame.line = static_cast<int>(numbers[found - 1]);
}

// " at file:line" or " from module" behind the arguments.
void parse_tail(std::string_view tail, Frame& frame) {
  Cursor cursor(tail);
  cursor.skip_blanks();
  if (cursor.skip("at ") || cursor.skip("at\n")) {
    cursor.skip_blanks();
    parse_place(cursor.rest(), frame);
    // Of a library without debug information gdb may say "at", too.
    if (frame.line == 0 && frame.file.find(".so") != std::string_view::npos)
      frame.module = std::exchange(frame.file, {});
  } else if (cursor.skip("from ") || cursor.skip("from\n")) {
    cursor.skip_blanks();
    frame.module = cursor.until("\n");
  }
}

bool begins_tail(std::string_view text) {
  text = trimmed(text);
  return text.empty() || text.starts_with("at ") || text.starts_with("at\n") ||
         text.starts_with("from ") || text.starts_with("from\n");
}

// gdb: the arguments are the last bracket behind a blank that only " at " or " from " follows.
void parse_gdb(std::string_view text, Frame& frame) {
  size_t args = std::string_view::npos, end = text.size();
  for (size_t i = 0; i < text.size();) {
    if (is_quote(text[i]) && args != std::string_view::npos) {
      i = after_quote(text, i);
    } else if (text[i] == '(') {
      const size_t close = find_closing(text, i);
      const bool is_behind_blank = i == 0 || Cursor::is_blank(text[i - 1]);
      if (is_behind_blank && (begins_tail(text.substr(close)) || close == text.size())) {
        args = i;
        end = close;
        break;
      }
      i = close;
    } else {
      ++i;
    }
  }
  if (args != std::string_view::npos) {
    frame.function = trimmed(text.substr(0, args));
    const bool is_closed = end > args + 1 && text[end - 1] == ')';
    frame.args = text.substr(args + 1, end - args - (is_closed ? 2 : 1));
    parse_tail(text.substr(end), frame);
    return;
  }
  for (const std::string_view word : {" at ", " from "}) {
    const size_t at = text.find(word);
    if (at == std::string_view::npos) continue;
    frame.function = trimmed(text.substr(0, at));
    parse_tail(text.substr(at), frame);
    return;
  }
  frame.function = trimmed(text);
}

// eu-stack: "f - module", with -s the place in the next line; systemd: "f (module + 0x12)".
void parse_plain(std::string_view text, Frame& frame) {
  const size_t newline = text.find('\n');
  std::string_view first = trimmed(text.substr(0, newline));
  if (first.ends_with(')')) {
    const size_t open = first.rfind(" (");
    const size_t plus = first.rfind(" + 0x");
    if (open != std::string_view::npos && plus != std::string_view::npos && plus > open) {
      frame.module = first.substr(open + 2, plus - open - 2);
      frame.function = trimmed(first.substr(0, open));
      return;
    }
  }
  if (first.starts_with("- ")) {  // nameless
    frame.module = trimmed(first.substr(2));
    first = {};
  } else if (const size_t dash = first.rfind(" - "); dash != std::string_view::npos) {
    frame.module = trimmed(first.substr(dash + 3));
    first = trimmed(first.substr(0, dash));
  }
  frame.function = first;
  if (newline != std::string_view::npos) parse_place(trimmed(text.substr(newline)), frame);
}

// lldb: "libc.so.6`__lll_lock_wait + 48 at lowlevellock.c:49:7".
void parse_lldb(std::string_view text, size_t tick, Frame& frame) {
  frame.module = trimmed(text.substr(0, tick));
  text = text.substr(tick + 1);
  const size_t at = text.rfind(" at ");
  if (at != std::string_view::npos) {
    parse_place(text.substr(at + 4), frame);
    text = text.substr(0, at);
  }
  const size_t plus = text.rfind(" + ");
  if (plus != std::string_view::npos) text = text.substr(0, plus);
  text = trimmed(text);
  if (text.ends_with(')')) {
    // lldb writes f(a=1) without a blank; the last bracket that reaches the end.
    for (size_t i = 0; i < text.size();) {
      if (text[i] != '(') {
        ++i;
        continue;
      }
      const size_t close = find_closing(text, i);
      if (close == text.size() && text.substr(i).find('=') != std::string_view::npos) {
        frame.args = text.substr(i + 1, close - i - 2);
        text = text.substr(0, i);
        break;
      }
      i = close;
    }
  }
  frame.function = trimmed(text);
}

}  // namespace

size_t find_closing(std::string_view text, size_t open) {
  int depth = 0;
  for (size_t i = open; i < text.size();) {
    if (is_quote(text[i])) {
      i = after_quote(text, i);
      continue;
    }
    if (text[i] == '(') ++depth;
    if (text[i] == ')' && --depth == 0) return i + 1;
    ++i;
  }
  return text.size();
}

void FrameEnd::add(std::string_view line) {
  for (size_t i = 0; i < line.size();) {
    if (is_quote(line[i]) && depth_ > 0) {
      i = after_quote(line, i);
      continue;
    }
    if (line[i] == '(') ++depth_;
    if (line[i] == ')' && depth_ > 0) --depth_;
    ++i;
  }
}

std::optional<int64_t> frame_number(std::string_view line) {
  Cursor cursor(line);
  cursor.skip_blanks();
  if (cursor.skip("* ")) cursor.skip_blanks();
  const bool is_lldb = cursor.skip("frame ");
  if (!cursor.skip("#")) return std::nullopt;
  const std::optional<int64_t> number = cursor.number();
  if (!number || *number > 10'000'000) return std::nullopt;
  if (is_lldb) return cursor.rest().starts_with(": ") ? number : std::nullopt;
  if (cursor.empty() || !Cursor::is_blank(cursor.rest().front())) return std::nullopt;
  return number;
}

Frame parse_frame(std::string_view text) {
  Frame frame;
  Cursor cursor(text);
  cursor.skip_blanks();
  if (cursor.skip("* ")) cursor.skip_blanks();
  const bool is_lldb = cursor.skip("frame ");
  if (cursor.skip("#")) cursor.number();  // a row of `info threads` has none
  cursor.skip(":");
  cursor.skip_blanks();
  bool has_pc = false;
  if (const std::optional<uint64_t> pc = cursor.address()) {
    frame.pc = *pc;
    has_pc = true;
    cursor.skip_blanks();
  }
  const size_t tick = cursor.rest().find('`');
  if (is_lldb && tick != std::string_view::npos) {
    parse_lldb(cursor.rest(), tick, frame);
  } else if (cursor.skip("in ") || cursor.skip("in\n") || !has_pc) {
    cursor.skip_blanks();
    parse_gdb(cursor.rest(), frame);
  } else {
    parse_plain(cursor.rest(), frame);
  }
  if (frame.function.starts_with("?? ") || frame.function == "??") frame.function = {};
  return frame;
}

std::string_view find_argument(std::string_view args, std::string_view name) {
  for (size_t at = args.find(name); at != std::string_view::npos; at = args.find(name, at + 1)) {
    const char before = at == 0 ? ',' : args[at - 1];
    if (before != ',' && before != ' ' && before != '\n' && before != '(') continue;
    std::string_view rest = args.substr(at + name.size());
    if (rest.starts_with("@entry=")) {
      rest.remove_prefix(7);
    } else if (rest.starts_with("=")) {
      rest.remove_prefix(1);
    } else {
      continue;
    }
    // A reference is printed as @0x...: the address counts.
    if (rest.starts_with("@")) rest.remove_prefix(1);
    return rest.substr(0, rest.find_first_of(",\n"));
  }
  return {};
}

}  // namespace gordian::dump
