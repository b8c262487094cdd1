// SPDX-License-Identifier: Apache-2.0
#include "base/text.h"
#include "dump/lines.h"
#include "dump/readers.h"

#include <optional>
#include <set>
#include <utility>

namespace gordian::dump {

namespace {

// faulthandler: "Current thread 0x00007f12 [name] (most recent call first):", a thread's ident.
// py-spy: "Thread 1234 (idle): "MainThread"", a native id.
std::optional<Thread> parse_thread_line(std::string_view line) {
  Cursor cursor(line);
  if (!cursor.skip("Thread ") && !cursor.skip("Current thread ")) return std::nullopt;
  Thread thread;
  thread.dialect = Dialect::Python;
  if (const auto ident = cursor.address()) {
    thread.pthread = *ident;
    if (cursor.rest().find("(most recent call first)") == std::string_view::npos)
      return std::nullopt;
    cursor.skip_blanks();
    if (cursor.skip("[")) thread.name = cursor.until("]");
    return thread;
  }
  const auto tid = cursor.number();
  if (!tid || !cursor.skip(" (")) return std::nullopt;
  thread.tid = *tid;
  thread.state = cursor.until(")");
  if (thread.state != "idle" && !thread.state.starts_with("active")) return std::nullopt;
  if (cursor.skip(": \"")) thread.name = cursor.until("\"");
  return thread;
}

// File "/usr/lib/python3.11/threading.py", line 320 in wait
std::optional<Frame> parse_faulthandler(std::string_view line) {
  Cursor cursor(line);
  if (!cursor.skip("File \"")) return std::nullopt;
  Frame frame;
  frame.file = cursor.until("\"");
  if (!cursor.skip(", line ")) return std::nullopt;
  const auto number = cursor.number();
  if (number && *number < 100'000'000) frame.line = static_cast<int>(*number);
  if (!cursor.skip(" in ")) return std::nullopt;
  frame.function = cursor.rest();
  return frame;
}

// wait (threading.py:320)
std::optional<Frame> parse_py_spy(std::string_view line) {
  if (!line.ends_with(')')) return std::nullopt;
  const size_t open = line.rfind(" (");
  const size_t colon = line.rfind(':');
  if (open == std::string_view::npos || colon == std::string_view::npos || colon < open)
    return std::nullopt;
  Frame frame;
  frame.function = line.substr(0, open);
  frame.file = line.substr(open + 2, colon - open - 2);
  Cursor digits(line.substr(colon + 1));
  const auto number = digits.number();
  if (!number || *number > 100'000'000 || digits.rest() != ")") return std::nullopt;
  frame.line = static_cast<int>(*number);
  return frame;
}

}  // namespace

std::vector<Dump> read_python(const Text& text) {
  std::vector<Dump> dumps;
  std::set<std::pair<int64_t, uint64_t>> seen;
  bool in_thread = false;
  size_t frames = 0;
  std::string_view rest = *text;
  while (!rest.empty()) {
    const std::string_view line = trimmed(take_line(rest));
    if (line.empty()) continue;
    if (std::optional<Thread> thread = parse_thread_line(line)) {
      if (dumps.empty() || seen.contains({thread->tid, thread->pthread})) {
        Dump dump;
        dump.dialect = Dialect::Python;
        dump.text = text;
        dumps.push_back(std::move(dump));
        seen.clear();
      }
      in_thread = dumps.back().threads.size() < kMaxThreads;
      if (!in_thread) {
        dumps.back().cut = true;
        continue;
      }
      seen.insert({thread->tid, thread->pthread});
      dumps.back().threads.push_back(std::move(*thread));
      continue;
    }
    if (!in_thread) continue;
    Thread& thread = dumps.back().threads.back();
    std::optional<Frame> frame = parse_faulthandler(line);
    if (!frame && thread.pthread == 0) frame = parse_py_spy(line);
    if (!frame) continue;
    if (++frames > kMaxFrames) {
      dumps.back().cut = true;
    } else {
      thread.frames.push_back(*frame);
    }
  }
  return dumps;
}

}  // namespace gordian::dump
