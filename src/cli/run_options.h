// SPDX-License-Identifier: Apache-2.0
// The command line of `gordian run`, shared by the commands that run a program as it does.
#pragma once

#include "cli/command.h"
#include "cli/parse_options.h"
#include "watch/run.h"

#include <cstddef>
#include <string>

namespace gordian::cli {

struct RunCommandLine {
  watch::RunOptions run;
  std::string json;
  std::string log;
  std::string suppress;
  bool confirm = false;
  bool strict = false;
  bool quiet = false;
  bool summary = false;
  bool redact_argv = false;
  std::string help_text;
};

// What a command says of itself in messages and --help, and which options it has beyond the common.
struct RunWords {
  CommandWords command;
  const char* summary;  // the first line of --help
  bool can_confirm = false;
};

// Where the program begins behind the options of gordian run; see program_line.h.
size_t find_run_program(const Args& args);

// Options end at the first word that is none, or at "--".
Result<RunCommandLine> parse_run_options(const Args& args, const RunWords& words);

}  // namespace gordian::cli
