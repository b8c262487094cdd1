// SPDX-License-Identifier: Apache-2.0
// Symbol names as people write them.
#include "base/text.h"
#include "process/symbols.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdlib>
#include <cxxabi.h>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>

namespace gordian::process {
namespace {

constexpr size_t kMaxMangled = 4096;
constexpr size_t kMaxReadable = 1024;
constexpr size_t kMaxTemplateArguments = 64;
constexpr double kMaxDemangledBytes = 32e6;

bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }

// A mangled name can refer back to its own parts, so a short hostile one may stand for gigabytes.
// With n back references the text grows at most by 3^(n/3): the best split of n into factors.
bool would_explode(std::string_view mangled) {
  size_t references = 0;
  for (size_t i = 0; i + 1 < mangled.size(); ++i) {
    const char next = mangled[i + 1];
    const bool number = std::isdigit(static_cast<unsigned char>(next)) || next == '_';
    if (mangled[i] == 'S' && (number || (next >= 'A' && next <= 'Z'))) ++references;
    if (mangled[i] == 'T' && number) ++references;
  }
  return std::pow(3.0, static_cast<double>(references) / 3) * static_cast<double>(mangled.size()) >
         kMaxDemangledBytes;
}

std::string demangle(std::string_view name) {
  std::string text(name);
  if (!name.starts_with("_Z") || name.size() > kMaxMangled || would_explode(name)) return text;
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> plain(
      abi::__cxa_demangle(text.c_str(), nullptr, nullptr, &status), &std::free);
  if (status == 0 && plain) text = plain.get();
  return text;
}

void remove_all(std::string& text, std::string_view what) {
  for (size_t at = 0; (at = text.find(what, at)) != std::string::npos;) text.erase(at, what.size());
}

void replace_all(std::string& text, std::string_view what, std::string_view with) {
  for (size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += with.size())
    text.replace(at, what.size(), with);
}

// What the compiler appends: ".constprop.0", ".cold", the number of a function's static.
void cut_clone_suffix(std::string& name) {
  const size_t dot = name.find('.', 1);
  if (dot != std::string::npos && name.find_first_of(" (<", 0) == std::string::npos)
    name.resize(dot);
  const size_t clone = name.find(" [clone");
  if (clone != std::string::npos) name.resize(clone);
}

// The index behind the bracket that closes the one at `open`.
size_t find_close(std::string_view text, size_t open) {
  int depth = 0;
  for (size_t i = open; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '(' || c == '<' || c == '{' || c == '[') ++depth;
    // "->" and comparison operators inside template arguments are no brackets.
    if (c == ')' || c == '}' || c == ']' || (c == '>' && i > 0 && text[i - 1] != '-')) --depth;
    if (depth == 0) return i + 1;
  }
  return text.size();
}

bool ends_with_operator(std::string_view text) {
  constexpr std::string_view kOperator = "operator";
  return text.ends_with(kOperator) &&
         (text.size() == kOperator.size() || !is_word(text[text.size() - kOperator.size() - 1]));
}

// "void ns::f<int>(int)::{lambda()#1}::operator()() const" ->
// "ns::f<int>::{lambda()#1}::operator()": without return type and parameters.
std::string strip_signature(std::string_view text) {
  std::string name;
  bool in_operator = false;
  for (size_t i = 0; i < text.size();) {
    const char c = text[i];
    if (ends_with_operator(name) && !is_word(c) && (c != '(' || text.substr(i).starts_with("()"))) {
      // The operator's own signs are part of the name: (), <, ->, [], " new", " bool".
      in_operator = true;
      const size_t parameters = text.find('(', text.substr(i).starts_with("()") ? i + 2 : i);
      name += text.substr(i, parameters - i);
      i = std::min(parameters, text.size());
      continue;
    }
    if (c == '<' || c == '{') {
      const size_t end = find_close(text, i);
      const std::string_view group = text.substr(i, end - i);
      if (c == '<' && group.size() > kMaxTemplateArguments)
        name += "<...>";
      else
        name += group;
      i = end;
      continue;
    }
    if (c == '(') {
      size_t end = find_close(text, i);
      std::string_view rest = text.substr(end);
      if (rest.starts_with(" const")) end += 6, rest.remove_prefix(6);
      if (!rest.starts_with("::")) break;  // the parameters of the function itself
      i = end;
      continue;
    }
    if (c == ' ' && !in_operator) {
      name.clear();  // that was the return type, or "guard variable for"
      ++i;
      continue;
    }
    if (c == ':' && in_operator) in_operator = false;
    name += c;
    ++i;
  }
  while (!name.empty() && name.back() == ' ') name.pop_back();
  return name.empty() ? std::string(text) : name;
}

// Sub-namespaces nobody wrote.
void fold_namespaces(std::string& name) {
  for (const std::string_view inner : {"__cxx11::", "__1::", "_V2::", "(anonymous namespace)::",
                                       "[abi:cxx11]", "__debug::", "__cxx1998::"})
    remove_all(name, inner);
  replace_all(name, "std::basic_string<char, std::char_traits<char>, std::allocator<char> >",
              "std::string");
}

constexpr std::string_view kPlumbingPrefixes[] = {
    "std::",    "__gnu_cxx::",    "__gthread",      "__gnu_debug::",    "__cxxabiv1::",
    "pthread_", "__pthread_",     "___pthread_",    "__libc_",          "__lll_",
    "__GI_",    "__cxa_",         "_dl_",           "__futex_",         "__clone",
    "g_mutex_", "g_rec_mutex_",   "g_rw_lock_",     "g_cond_",          "g_bit_",
    "g_once_",  "g_async_queue_", "g_pointer_bit_", "gordian::redis::",
};

// In statically linked programs the library does not tell.
constexpr std::string_view kPlumbingNames[] = {
    "_start",        "start_thread",  "clone",   "clone3",        "sem_wait",
    "sem_timedwait", "sem_clockwait", "syscall", "g_thread_join", "g_thread_proxy",
};

constexpr std::string_view kPlumbingLibraries[] = {
    "libgordian.so",  "libgordian_",  "libc.so",  "libc-2",    "libpthread",   "ld-linux",
    "ld-2",           "libstdc++.so", "libgcc_s", "libc++.so", "libc++abi.so", "libglib-2.0",
    "libgthread-2.0", "[vdso]",       "libm.so",  "librt.so",  "libtsan",      "libasan",
};

}  // namespace

std::string readable_name(std::string_view mangled) {
  std::string name = demangle(mangled.substr(0, mangled.find('@')));
  fold_namespaces(name);
  if (name.starts_with("_Z"))
    ;  // not to be undone
  else if (name.find_first_of("( <") != std::string::npos)
    name = strip_signature(name);
  cut_clone_suffix(name);
  if (name.size() > kMaxReadable) name.resize(kMaxReadable);
  return name;
}

bool is_plumbing(std::string_view function, std::string_view module_path) {
  const std::string_view library = base_name(module_path);
  for (const std::string_view prefix : kPlumbingLibraries)
    if (library.starts_with(prefix)) return true;
  for (const std::string_view prefix : kPlumbingPrefixes)
    if (function.starts_with(prefix)) return true;
  return std::find(std::begin(kPlumbingNames), std::end(kPlumbingNames), function) !=
         std::end(kPlumbingNames);
}

}  // namespace gordian::process
