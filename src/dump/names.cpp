// SPDX-License-Identifier: Apache-2.0
#include "dump/names.h"

#include "base/text.h"

#include <algorithm>
#include <array>
#include <cctype>

namespace gordian::dump {

namespace {

constexpr size_t kLongestFunction = 2048;

constexpr std::array<std::string_view, 24> kPlumbingPrefixes = {
    "std::",     "gnu_cxx::",  "gthread_", "pthread_",       "lll_",      "L_lock_",
    "cxa_",      "dl_",        "futex_",   "g_mutex_",       "g_cond_",   "g_rec_mutex_",
    "g_rw_lock", "g_bit_lock", "g_once_",  "g_async_queue_", "libc_",     "boost::thread",
    "tokio::",   "core::ops",  "GI_",      "syscall",        "do_futex_", "L_mutex_lock_",
};

constexpr std::array<std::string_view, 24> kPlumbingNames = {
    "start_thread",
    "clone",
    "clone3",
    "thread_start",
    "start",
    "libc_start",
    "sem_wait",
    "new_sem_wait",
    "sem_timedwait",
    "new_sem_wait_slow64",
    "poll",
    "epoll_wait",
    "nanosleep",
    "select",
    "g_thread_join",
    "g_thread_proxy",
    "g_poll",
    "clock_nanosleep",
    "sem_clockwait",
    "execute_native_thread_routine",
    "new_sem_wait_slow",
    "read",
    "call_once",
    "thread_entry",
};

constexpr std::array<std::string_view, 12> kPlumbingLibraries = {
    "libc.so",  "libc-2",    "libpthread",  "ld-linux",       "ld-2",    "libstdc++.so",
    "libgcc_s", "libc++.so", "libglib-2.0", "libgthread-2.0", "libm.so", "librt.so",
};

bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

bool is_go_plumbing(std::string_view plain) {
  return plain.starts_with("runtime.") || plain.starts_with("sync.") ||
         plain.starts_with("internal/sync.") || plain.starts_with("internal/poll.") ||
         plain.starts_with("internal/runtime") || plain.starts_with("runtime/pprof.") ||
         plain.starts_with("time.Sleep") || plain == "panic";
}

bool is_java_plumbing(std::string_view plain) {
  return plain.starts_with("java.") || plain.starts_with("jdk.") || plain.starts_with("sun.");
}

// What compilers append to the names of copies they make of a function, with a number or a word
// behind it.
void drop_clone_suffixes(std::string& name) {
  for (const std::string_view mark :
       {" [clone", ".constprop.", ".isra.", ".part.", ".cold", ".lto_priv.", ".llvm.", "[abi:"})
    if (const size_t at = name.find(mark); at != std::string::npos && at > 0) name.resize(at);
}

// Namespaces that a library puts in for its version: absl::lts_20230802, std::__1.
void fold_inline_namespaces(std::string& name) {
  size_t start = 0;
  while (start < name.size()) {
    const size_t end = name.find("::", start);
    if (end == std::string::npos) break;
    const std::string_view part = std::string_view(name).substr(start, end - start);
    if (part.starts_with("lts_20") || part == "__1" || part == "__ndk1" || part == "__cxx11" ||
        part == "_V2") {
      name.erase(start, part.size() + 2);
    } else {
      start = end + 2;
    }
  }
  // Abseil's C functions carry the version at their end.
  if (const size_t version = name.rfind("_lts_20"); version != std::string::npos && version > 0)
    name.resize(version);
}

// "<app::State as core::ops::Drop>::drop" of Rust is app::State::drop.
std::string without_trait(std::string_view function) {
  if (!function.starts_with('<')) return std::string(function);
  int depth = 0;
  size_t as = std::string_view::npos;
  for (size_t i = 0; i < function.size(); ++i) {
    if (function[i] == '<') ++depth;
    if (function[i] == '>' && function[i - 1] != '-' && --depth == 0) {
      const std::string_view behind = function.substr(i + 1);
      if (!behind.starts_with("::")) break;
      const size_t end = as != std::string_view::npos ? as : i;
      return std::string(function.substr(1, end - 1)).append(behind);
    }
    if (depth == 1 && as == std::string_view::npos && function.substr(i).starts_with(" as "))
      as = i;
  }
  return std::string(function);
}

}  // namespace

std::string plain_name(std::string_view given) {
  const std::string whole = without_trait(given.substr(0, kLongestFunction));
  const std::string_view function = whole;
  const bool is_path = function.find('/') != std::string_view::npos;  // Go
  // "(*T)" and "(anonymous namespace)" belong to the name; parameters do not.
  std::string name;
  int angle = 0, round = 0;
  for (size_t i = 0; i < function.size(); ++i) {
    const char c = function[i];
    const std::string_view rest = function.substr(i);
    if (angle == 0 && round == 0) {
      if (rest.starts_with("operator") && (i == 0 || !is_word(function[i - 1]))) {
        name += "operator";
        i += 7;
        while (i + 1 < function.size() && !is_word(function[i + 1]) && function[i + 1] != '(' &&
               function[i + 1] != ' ')
          name += function[++i];
        if (function.substr(i + 1).starts_with("()")) {
          name += "()";
          i += 2;
        }
        continue;
      }
      if (rest.starts_with("(anonymous namespace)::")) {
        i += 22;
        continue;
      }
      if (rest.starts_with("(*")) {
        const size_t close = rest.find(')');
        if (close != std::string_view::npos && rest.substr(close).starts_with(").")) {
          name += rest.substr(0, close + 1);
          i += close;
          continue;
        }
      }
    }
    if (round == 0 && c == '<') {
      ++angle;
    } else if (round == 0 && c == '>' && angle > 0) {
      --angle;
    } else if (angle == 0 && c == '(') {
      ++round;
    } else if (angle == 0 && c == ')' && round > 0) {
      --round;
    } else if (angle == 0 && round == 0) {
      name += c == '\n' || c == '\t' ? ' ' : c;
    }
  }
  drop_clone_suffixes(name);
  for (const std::string_view suffix : {" const", " &", " &&", "@plt"})
    if (name.ends_with(suffix)) name.resize(name.size() - suffix.size());
  if (const size_t version = name.find('@');
      version != std::string::npos && !is_path && version > 0)
    name.resize(version);
  while (!name.empty() && name.back() == ' ') name.pop_back();
  if (const size_t blank = name.rfind(' '); blank != std::string::npos) name.erase(0, blank + 1);
  // ___pthread_mutex_lock, __GI___pthread_mutex_lock, __pthread_mutex_lock: one function.
  const auto strip = [&name] {
    const size_t start = name.find_first_not_of('_');
    if (start != std::string::npos && start > 0) name.erase(0, start);
  };
  strip();
  if (name.starts_with("GI_")) {
    name.erase(0, 3);
    strip();
  }
  fold_inline_namespaces(name);
  return name.empty() ? std::string(function.substr(0, 64)) : name;
}

std::string_view class_of(std::string_view plain, Dialect dialect) {
  if (dialect == Dialect::Native) {
    const size_t colons = plain.rfind("::");
    return colons == std::string_view::npos ? std::string_view() : plain.substr(0, colons);
  }
  if (dialect == Dialect::Python) return {};
  // Go numbers what a function holds inside: f.func1, f.func1.2, f.gowrap1.
  for (;;) {
    const size_t dot = plain.rfind('.');
    if (dialect != Dialect::Go || dot == std::string_view::npos) break;
    const std::string_view last = plain.substr(dot + 1);
    const bool is_inner = last.starts_with("func") || last.starts_with("gowrap") ||
                          last.starts_with("deferwrap") ||
                          (!last.empty() && std::isdigit(static_cast<unsigned char>(last[0])) != 0);
    if (!is_inner) break;
    plain = plain.substr(0, dot);
  }
  const size_t dot = plain.rfind('.');
  if (dot == std::string_view::npos || dot == 0) return {};
  const std::string_view owner = plain.substr(0, dot);
  // A Go function without a receiver belongs to a package, which is no class.
  if (dialect == Dialect::Go && !owner.ends_with(')') &&
      owner.find('.', owner.rfind('/') == owner.npos ? 0 : owner.rfind('/')) == owner.npos)
    return {};
  return owner;
}

bool is_plumbing(const Frame& frame, std::string_view plain, Dialect dialect) {
  if (dialect == Dialect::Go) return is_go_plumbing(plain);
  if (dialect == Dialect::Java) return is_java_plumbing(plain);
  if (dialect == Dialect::Python) return frame.file.ends_with("threading.py");
  if (frame.function.empty()) return !frame.module.empty() || frame.file.empty();
  for (const std::string_view prefix : kPlumbingPrefixes)
    if (plain.starts_with(prefix)) return true;
  if (std::find(kPlumbingNames.begin(), kPlumbingNames.end(), plain) != kPlumbingNames.end())
    return true;
  const std::string_view library = base_name(frame.module);
  for (const std::string_view prefix : kPlumbingLibraries)
    if (library.starts_with(prefix)) return true;
  // Not by a header of std:: as file: there stands what was inlined into the program's function.
  for (const std::string_view folder : {"./nptl/", "../nptl/", "nptl/", "../sysdeps/", "./dlfcn/",
                                        "dlfcn/", "./elf/dl-", "elf/dl-"})
    if (frame.file.starts_with(folder)) return true;
  return false;
}

bool is_lock_wrapper(std::string_view plain) {
  std::string lower(plain.substr(0, 256));
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (lower.find("unlock") != std::string::npos) return false;
  for (const std::string_view word :
       {"mutex", "lock", "acquire", "critical", "semaphore", "guard", "monitor"})
    if (lower.find(word) != std::string::npos &&
        !(word == "lock" &&
          (lower.find("block") != std::string::npos || lower.find("clock") != std::string::npos)))
      return true;
  return false;
}

}  // namespace gordian::dump
