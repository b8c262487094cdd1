// SPDX-License-Identifier: Apache-2.0
#include "cli/compiler.h"

#include "base/file.h"
#include "base/text.h"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <fcntl.h>
#include <spawn.h>
#include <string_view>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>

namespace gordian::cli {
namespace {

std::string find_in_path(const std::string& name) {
  if (name.find('/') != std::string::npos) return access(name.c_str(), X_OK) == 0 ? name : "";
  const char* const path = getenv("PATH");
  std::string_view rest = path == nullptr ? "/usr/bin:/bin" : path;
  while (!rest.empty()) {
    const size_t colon = std::min(rest.find(':'), rest.size());
    std::string file = std::string(rest.substr(0, colon)) + "/" + name;
    if (access(file.c_str(), X_OK) == 0) return file;
    rest.remove_prefix(std::min(colon + 1, rest.size()));
  }
  return {};
}

std::string real_path(const std::string& path) {
  char full[PATH_MAX];
  return realpath(path.c_str(), full) == nullptr ? std::string() : std::string(full);
}

// `output`: where it prints to, and nobody sees its errors; negative: it prints where we do.
Result<int> run_words_into(const CompilerWords& words, int output) {
  std::vector<char*> argv;
  argv.reserve(words.size() + 1);
  for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  if (output >= 0) {
    posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  }
  pid_t child = 0;
  const int error = posix_spawnp(&child, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return Error::from_errno("cannot start it", error).in(words.front());
  int status = 0;
  while (waitpid(child, &status, 0) < 0)
    if (errno != EINTR) return Error::from_errno("cannot wait for it").in(words.front());
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// What "#define NAME value" gives it; empty: it is not defined.
std::string find_macro(const std::string& macros, const std::string& name) {
  const std::string head = "#define " + name + " ";
  const size_t found = ("\n" + macros).find("\n" + head);
  if (found == std::string::npos) return {};
  const size_t begin = found + head.size();
  return macros.substr(begin, macros.find('\n', begin) - begin);
}

}  // namespace

Result<CompilerWords> find_compiler(bool is_cxx) {
  const char* const variable = is_cxx ? "GORDIAN_CXX" : "GORDIAN_CC";
  const char* const named = getenv(variable);
  std::vector<CompilerWords> choices;
  if (named != nullptr && *named != '\0') {
    const std::vector<std::string_view> parts = split(named, ' ');
    const CompilerWords words(parts.begin(), parts.end());
    if (!words.empty()) choices.push_back(words);
  } else if (is_cxx) {
    choices = {{"c++"}, {"g++"}, {"clang++"}};
  } else {
    choices = {{"cc"}, {"gcc"}, {"clang"}};
  }
  const std::string self = real_path("/proc/self/exe");
  for (CompilerWords& words : choices) {
    const std::string file = find_in_path(words.front());
    if (file.empty() || real_path(file) == self) continue;
    words.front() = file;
    return std::move(words);
  }
  return Error("no compiler found",
               std::string("install gcc or clang, or name one in ") + variable);
}

Result<int> run_words(const CompilerWords& words) { return run_words_into(words, -1); }

Result<std::string> read_words(const CompilerWords& words) {
  const FileDescriptor output = create_nameless();
  if (!output) return Error("no folder takes a file for what it prints").in(words.front());
  GORDIAN_TRY(const int status, run_words_into(words, output.get()));
  if (status != 0) return Error("ended with status " + std::to_string(status)).in(words.front());
  return read_file("/proc/self/fd/" + std::to_string(output.get()));
}

Compiler ask_compiler(const CompilerWords& words, bool is_cxx) {
  CompilerWords question = words;
  question.insert(question.end(), {"-E", "-dM", "-x", is_cxx ? "c++" : "c", "/dev/null"});
  const Result<std::string> macros = read_words(question);
  Compiler compiler{.words = words};
  if (!macros) return compiler;
  compiler.is_clang = !find_macro(*macros, "__clang__").empty();
  if (!compiler.is_clang) {
    compiler.version = find_macro(*macros, "__GNUC__") + "." +
                       find_macro(*macros, "__GNUC_MINOR__") + "." +
                       find_macro(*macros, "__GNUC_PATCHLEVEL__");
  }
  return compiler;
}

}  // namespace gordian::cli
