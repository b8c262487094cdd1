// SPDX-License-Identifier: Apache-2.0
#include "cli/program.h"

#include "base/exit.h"

#include <cerrno>
#include <cstdio>
#include <exception>
#include <fmt/core.h>

namespace gordian::cli {
namespace {

int fail(const Error& error) {
  fmt::print(stderr, "{}", to_text(error));
  return static_cast<int>(Exit::Failed);
}

// A reader that closed its pipe has enough.
int finish_output(int status) {
  errno = 0;
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return status;
  if (errno == EPIPE) return status;
  fail(Error::from_errno("cannot write the output", errno != 0 ? errno : EIO));
  return status == static_cast<int>(Exit::Clean) ? static_cast<int>(Exit::Failed) : status;
}

}  // namespace

int run_program(int argc, char** argv,
                Result<int> (*run)(const std::string& called,
                                   const std::vector<std::string>& arguments)) {
  try {
    const std::vector<std::string> words(argv, argv + argc);
    const Result<int> status =
        words.empty() ? run("", {}) : run(words.front(), {words.begin() + 1, words.end()});
    return finish_output(status ? *status : fail(status.error()));
  } catch (const std::exception& exception) {
    fmt::print(stderr,
               "gordian: internal error: {}\n  hint: please report it, with the command line\n",
               exception.what());
  } catch (...) {
    fmt::print(stderr,
               "gordian: internal error\n  hint: please report it, with the command line\n");
  }
  return static_cast<int>(Exit::OurBug);
}

}  // namespace gordian::cli
