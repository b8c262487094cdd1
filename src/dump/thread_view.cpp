// SPDX-License-Identifier: Apache-2.0
#include "dump/thread_view.h"

#include "base/text.h"
#include "dump/lines.h"
#include "dump/names.h"
#include "model/loader_lock.h"

#include <algorithm>
#include <map>
#include <unordered_set>
#include <utility>

namespace gordian::dump {

namespace {

bool is_family(std::string_view plain, int& family) {
  static const std::map<std::string_view, int> families = {
      {"malloc", 1},
      {"calloc", 1},
      {"realloc", 1},
      {"free", 1},
      {"int_malloc", 1},
      {"int_free", 1},
      {"libc_malloc", 1},
      {"libc_free", 1},
      {"cfree", 1},
      {"sysmalloc", 1},
      {"arena_get2", 1},
      {"malloc_consolidate", 1},
      {"libc_calloc", 1},
      {"libc_realloc", 1},
      {"memalign", 1},
      {"int_realloc", 1},
      {"vfprintf", 2},
      {"printf", 2},
      {"fprintf", 2},
      {"fwrite", 2},
      {"puts", 2},
      {"fputs", 2},
      {"fflush", 2},
      {"vfprintf_internal", 2},
      {"IO_puts", 2},
      {"IO_fwrite", 2},
      {"IO_vfprintf", 2},
      {"vfprintf_chk", 2},
      {"tz_convert", 3},
      {"localtime", 3},
      {"localtime_r", 3},
      {"tzset", 3},
      {"mktime", 3},
      {"strftime_l", 3},
      {"syslog", 4},
      {"vsyslog", 4},
      {"vsyslog_internal", 4},
      {"vsyslog_chk", 4},
      {"dl_open", 5},
      {"dlopen", 5},
  };
  const auto found = families.find(plain);
  if (found == families.end()) return false;
  family = found->second;
  return true;
}

constexpr size_t kNearSignal = 12;  // frames that may have been interrupted, counted from it

// The first frame from there on where a signal came; their number: none.
size_t find_signal(const ThreadView& view, size_t from) {
  const auto& frames = view.thread->frames;
  while (from < frames.size() &&
         frames[from].function.find("signal handler called") == std::string_view::npos)
    ++from;
  return from;
}

}  // namespace

std::string_view last_part(std::string_view plain) { return plain.substr(plain.rfind(':') + 1); }

bool is_join_wrapper(std::string_view plain) {
  const std::string_view base = last_part(plain);
  for (const std::string_view word : {"join", "Join", "thread", "Thread"})
    if (base.find(word) != std::string_view::npos) return true;
  return false;
}

size_t count_asking(const ThreadView& view) {
  constexpr size_t kMost = 6;
  const bool is_join = view.wait.kind == model::ResourceKind::Thread;
  size_t count = 0;
  while (count < view.own.size() && count < kMost) {
    const std::string& name = view.plain[view.own[count++]];
    const bool goes_on = is_join ? is_join_wrapper(name) : is_lock_wrapper(name);
    if (!goes_on) break;
  }
  return count;
}

bool is_asking(const ThreadView& view, size_t frame) {
  const auto end = view.own.begin() + static_cast<ptrdiff_t>(count_asking(view));
  return std::find(view.own.begin(), end, frame) != end;
}

std::optional<size_t> find_work_on(const ThreadView& view, uint64_t lock) {
  for (size_t i = count_asking(view); i < view.own.size(); ++i) {
    bool is_inside = false;
    each_address(view.thread->frames[view.own[i]].args, [&](uint64_t value) {
      is_inside |= value > 0x1000 && value <= lock && lock - value < kObjectBytes;
    });
    if (is_inside) return view.own[i];
  }
  return std::nullopt;
}

bool is_whole(const ThreadView& view) {
  if (view.thread->dialect != Dialect::Native) return true;
  if (view.thread->has_gap || view.plain.empty()) return false;
  constexpr size_t kOutermost = 3;
  for (size_t i = 0; i < kOutermost && i < view.plain.size(); ++i) {
    const std::string& name = view.plain[view.plain.size() - 1 - i];
    for (const std::string_view start :
         {"main", "start_thread", "clone", "clone3", "thread_start", "start", "libc_start_main",
          "libc_start_call_main", "thread_entry"})
      if (name == start) return true;
  }
  return false;
}

std::optional<size_t> find_interrupted(const ThreadView& view) {
  const auto& frames = view.thread->frames;
  constexpr size_t kDeepest = 200;
  const size_t signal = find_signal(view, 0);
  if (signal == frames.size() || signal >= kDeepest) return std::nullopt;
  std::unordered_set<int> above;
  int family = 0;
  for (size_t i = 0; i < signal; ++i)
    if (is_family(view.plain[i], family)) above.insert(family);
  for (size_t i = signal + 1; i < frames.size() && i < signal + kNearSignal; ++i)
    if (is_family(view.plain[i], family) && above.contains(family)) return i;
  return std::nullopt;
}

bool is_interrupted_wait(const ThreadView& view) {
  const auto& frames = view.thread->frames;
  const size_t signal = find_signal(view, view.wait.site);
  return signal + 1 < frames.size() && is_wait_function(view.plain[signal + 1]);
}

std::optional<size_t> find_interrupted_asking(const ThreadView& view) {
  const auto& frames = view.thread->frames;
  const size_t asking = count_asking(view);
  if (asking == 0) return std::nullopt;
  const size_t site = view.own[asking - 1];
  const size_t signal = find_signal(view, site + 1);
  for (size_t i = signal + 1; i < frames.size() && i < signal + kNearSignal; ++i)
    if (view.plain[i] == view.plain[site]) return i;
  return std::nullopt;
}

uint64_t wanted_loader_lock(const ThreadView& view) {
  if (!model::is_loader_state(view.wait.symbol)) return 0;
  for (size_t i = 0; i < view.plain.size() && i < view.wait.site + 2; ++i)
    for (const std::string_view asks : {"dl_open", "dl_close", "dlsym", "dl_sym"})
      if (view.plain[i].starts_with(asks)) return view.wait.address;
  return 0;
}

std::optional<size_t> find_loading(const ThreadView& view) {
  bool is_inside = false;
  for (size_t i = 0; i < view.plain.size(); ++i) {
    const std::string_view name = view.plain[i];
    is_inside |= name == "call_init" || name == "dl_init" || name == "dl_call_fini" ||
                 name == "dl_close_worker";
    // At its asking end, without a constructor, it may still be waiting for the lock.
    if (is_inside && (name == "dl_open" || name == "dl_close")) return i;
  }
  return std::nullopt;
}

std::optional<size_t> find_recursion(const ThreadView& view) {
  if (view.own.size() < 3) return std::nullopt;
  size_t asks = 0;
  while (asks + 1 < view.own.size() && is_lock_wrapper(view.plain[view.own[asks]])) ++asks;
  const size_t site = view.own[asks];
  // An inlined part of a function carries its name too; other objects are other locks.
  for (size_t i = asks + 2; i < view.own.size() && i < asks + 200; ++i) {
    const size_t frame = view.own[i];
    if (view.plain[frame] != view.plain[site]) continue;
    bool other_between = false;
    for (size_t j = asks + 1; j < i; ++j)
      other_between |= view.plain[view.own[j]] != view.plain[site];
    const auto first_argument = [&](size_t at) {
      std::string_view args = view.thread->frames[at].args;
      args = args.substr(0, args.find(','));
      const size_t hex = args.find("0x");
      return hex == std::string_view::npos ? std::optional<uint64_t>()
                                           : parse_hex(args.substr(hex));
    };
    const auto a = first_argument(site), b = first_argument(frame);
    if (other_between && (!a || !b || *a == *b)) return frame;
  }
  return std::nullopt;
}

std::vector<ThreadView> view_threads(const Dump& dump) {
  std::vector<ThreadView> views;
  views.reserve(dump.threads.size());
  for (const Thread& thread : dump.threads) {
    ThreadView view;
    view.thread = &thread;
    view.wait = recognise_wait(thread);
    view.plain.reserve(thread.frames.size());
    for (const Frame& frame : thread.frames) {
      view.plain.push_back(plain_name(frame.function));
      // gdb's name for every lambda: where it stands tells them apart.
      if (view.plain.back() == "operator()" && frame.line > 0)
        view.plain.back() =
            "lambda at " + std::string(base_name(frame.file)) + ":" + std::to_string(frame.line);
    }
    for (size_t i = view.wait.site; i < thread.frames.size(); ++i)
      if (!is_plumbing(thread.frames[i], view.plain[i], thread.dialect)) view.own.push_back(i);
    views.push_back(std::move(view));
  }
  return views;
}

}  // namespace gordian::dump
