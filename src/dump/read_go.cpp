// SPDX-License-Identifier: Apache-2.0
#include "base/text.h"
#include "dump/frame_text.h"
#include "dump/lines.h"
#include "dump/readers.h"

#include <optional>
#include <set>
#include <utility>

namespace gordian::dump {

namespace {

// "goroutine 18 [chan send, 5 minutes]:", from 1.23 on "goroutine 18 gp=0x1 m=2 mp=0x3 [running]:".
std::optional<Thread> parse_goroutine(std::string_view line) {
  Cursor cursor(line);
  if (!cursor.skip("goroutine ")) return std::nullopt;
  const auto number = cursor.number();
  if (!number) return std::nullopt;
  const std::string_view between = cursor.until("[");
  if (between.size() > 80) return std::nullopt;
  std::string_view state = cursor.until("]");
  if (state.empty() || state.size() > 200 || !cursor.skip(":")) return std::nullopt;
  Thread thread;
  thread.dialect = Dialect::Go;
  thread.tid = *number;
  thread.name = "goroutine " + std::to_string(*number);
  const size_t comma = state.find(',');
  if (comma != std::string_view::npos) {
    Cursor age(trimmed(state.substr(comma + 1)));
    if (const auto minutes = age.number(); minutes && age.skip(" minute"))
      thread.minutes = *minutes;
    state = state.substr(0, comma);
  }
  thread.state = trimmed(state);
  return thread;
}

// "net/http.(*Server).Serve(0xc0001, {0x1, 0x2})": the last bracket holds the arguments.
std::optional<Frame> parse_go_call(std::string_view line) {
  if (!line.ends_with(')')) return std::nullopt;
  int depth = 0;
  for (size_t i = line.size(); i-- > 0;) {
    if (line[i] == ')') ++depth;
    if (line[i] != '(' || --depth != 0) continue;
    const std::string_view function = line.substr(0, i);
    // Prose ends with brackets too, but has blanks.
    if (function.empty() || function.find(' ') != std::string_view::npos) return std::nullopt;
    if (function.find('.') == std::string_view::npos && function != "panic") return std::nullopt;
    Frame frame;
    frame.function = function;
    frame.args = line.substr(i + 1, line.size() - i - 2);
    return frame;
  }
  return std::nullopt;
}

// "/src/a.go:12 +0x45".
bool parse_go_place(std::string_view line, Frame& frame) {
  line = line.substr(0, line.find(" +0x"));
  line = line.substr(0, line.find(" fp=0x"));
  const size_t colon = line.rfind(':');
  if (colon == std::string_view::npos) return false;
  Cursor digits(line.substr(colon + 1));
  const auto number = digits.number();
  if (!number || *number > 100'000'000 || !trimmed(digits.rest()).empty()) return false;
  frame.file = line.substr(0, colon);
  frame.line = static_cast<int>(*number);
  return true;
}

}  // namespace

std::vector<Dump> read_go(const Text& text) {
  std::vector<Dump> dumps;
  std::set<int64_t> seen;
  bool in_thread = false, wants_place = false, all_asleep = false;
  size_t frames = 0;
  const auto begin_dump = [&] {
    Dump dump;
    dump.dialect = Dialect::Go;
    dump.text = text;
    dump.all_asleep = std::exchange(all_asleep, false);
    dumps.push_back(std::move(dump));
    seen.clear();
  };
  std::string_view rest = *text;
  while (!rest.empty()) {
    const std::string_view line = trimmed(take_line(rest));
    if (line.empty()) continue;
    if (line.find("all goroutines are asleep - deadlock!") != std::string_view::npos) {
      all_asleep = true;
      in_thread = false;
      continue;
    }
    if (std::optional<Thread> thread = parse_goroutine(line)) {
      if (dumps.empty() || all_asleep || seen.contains(thread->tid)) begin_dump();
      in_thread = dumps.back().threads.size() < kMaxThreads;
      if (!in_thread) {
        dumps.back().cut = true;
        continue;
      }
      seen.insert(thread->tid);
      dumps.back().threads.push_back(std::move(*thread));
      wants_place = false;
      continue;
    }
    if (!in_thread) continue;
    Thread& thread = dumps.back().threads.back();
    if (wants_place && !thread.frames.empty() && parse_go_place(line, thread.frames.back())) {
      wants_place = false;
      continue;
    }
    wants_place = false;
    if (line.starts_with("created by ")) continue;
    const std::optional<Frame> frame = parse_go_call(line);
    if (!frame) continue;
    if (++frames > kMaxFrames) {
      dumps.back().cut = true;
      continue;
    }
    thread.frames.push_back(*frame);
    wants_place = true;
  }
  return dumps;
}

}  // namespace gordian::dump
