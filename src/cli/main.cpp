// SPDX-License-Identifier: Apache-2.0
#include "base/text.h"
#include "cli/command.h"

#include <cerrno>
#include <cstdio>
#include <exception>
#include <fmt/core.h>
#include <string>
#include <string_view>
#include <unistd.h>

namespace gordian::cli {
namespace {

constexpr const Command* kCommands[] = {
    &kRunCommand,    &kCoreCommand,    &kAttachCommand,  &kPsCommand,      &kPredictCommand,
    &kExportCommand, &kConfirmCommand, &kExploreCommand, &kExplainCommand, &kOrderCommand,
    &kRedisCommand,  &kCcCommand,      &kCxxCommand,
};

void print_usage(FILE* to) {
  fmt::print(to, "gordian finds and explains deadlocks in native Linux programs.\n\n");
  for (const Command* const command : kCommands) fmt::print(to, "usage: {}\n", command->usage);
  fmt::print(to, "       gordian --help | --version\n\n");
  for (const Command* const command : kCommands)
    fmt::print(to, "  {:<8} {}\n", command->name, command->summary);
  fmt::print(to,
             "\nTry: gordian run -- ./your-program      More: gordian run --help, man gordian\n");
}

int fail(const Error& error) {
  fmt::print(stderr, "{}", to_text(error));
  return static_cast<int>(Exit::Failed);
}

// What was printed but could not be written is no success. A reader that closed its pipe has
// enough.
int finish_output(int status) {
  errno = 0;
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return status;
  if (errno == EPIPE) return status;
  fail(Error::from_errno("cannot write the output", errno != 0 ? errno : EIO));
  return status == static_cast<int>(Exit::Clean) ? static_cast<int>(Exit::Failed) : status;
}

int run_command(const Args& arguments) {
  if (arguments.empty()) {
    print_usage(stderr);
    return static_cast<int>(Exit::Failed);
  }
  const std::string_view name = arguments.front();
  if (name == "help" && arguments.size() > 1) {
    return run_command({arguments[1], "--help"});
  }
  if (name == "--help" || name == "-h" || name == "help") {
    print_usage(stdout);
    return static_cast<int>(Exit::Clean);
  }
  if (name == "--version") {
    fmt::print("gordian {}\n", GORDIAN_VERSION);
    return static_cast<int>(Exit::Clean);
  }
  for (const Command* const command : kCommands) {
    if (name != command->name) continue;
    const Result<int> status = command->run(Args(arguments.begin() + 1, arguments.end()));
    return status ? *status : fail(status.error());
  }
  return fail(Error("no such command: " + std::string(name),
                    name.starts_with("-")
                        ? "gordian --help lists the commands"
                        : "to watch a program: gordian run -- " + std::string(name)));
}

// The program under the name of a compiler is that compiler.
int run_as(std::string_view called, Args arguments) {
  called = base_name(called);
  for (const std::string_view name : {"cc", "c++"})
    if (called == "gordian-" + std::string(name)) arguments.emplace(arguments.begin(), name);
  return run_command(arguments);
}

}  // namespace
}  // namespace gordian::cli

int main(int argc, char** argv) {
  using gordian::Exit;
  try {
    const int status = gordian::cli::run_as(
        argc > 0 ? argv[0] : "", gordian::cli::Args(argv + (argc > 0 ? 1 : 0), argv + argc));
    return gordian::cli::finish_output(status);
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
