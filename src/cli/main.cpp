// SPDX-License-Identifier: Apache-2.0
#include "base/text.h"
#include "cli/command.h"
#include "cli/program.h"

#include <cstdio>
#include <fmt/core.h>
#include <string>
#include <string_view>

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

Result<int> run_command(const Args& arguments) {
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
    return command->run(Args(arguments.begin() + 1, arguments.end()));
  }
  return Error("no such command: " + std::string(name),
               name.starts_with("-") ? "gordian --help lists the commands"
                                     : "to watch a program: gordian run -- " + std::string(name));
}

// The program under the name of a compiler is that compiler.
Result<int> run_as(const std::string& called, const Args& arguments) {
  const std::string_view own = base_name(called);
  for (const std::string name : {"cc", "c++"}) {
    if (own != "gordian-" + name) continue;
    Args words = arguments;
    words.insert(words.begin(), name);
    return run_command(words);
  }
  return run_command(arguments);
}

}  // namespace
}  // namespace gordian::cli

int main(int argc, char** argv) {
  return gordian::cli::run_program(argc, argv, gordian::cli::run_as);
}
