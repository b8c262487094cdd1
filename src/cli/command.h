// SPDX-License-Identifier: Apache-2.0
// One row of the table in main.cpp. A command is cmd_NAME.cpp: parse, do, print.
#pragma once

#include "base/exit.h"
#include "base/result.h"

#include <string>
#include <vector>

namespace gordian::cli {

using Args = std::vector<std::string>;  // behind the command's name

struct Command {
  const char* name;
  const char* usage;
  const char* summary;
  Result<int> (*run)(const Args& args);  // the exit status
};

extern const Command kRunCommand;
extern const Command kCoreCommand;
extern const Command kAttachCommand;
extern const Command kPsCommand;
extern const Command kPredictCommand;
extern const Command kExportCommand;
extern const Command kExplainCommand;
extern const Command kConfirmCommand;
extern const Command kExploreCommand;
extern const Command kOrderCommand;
extern const Command kRedisCommand;
extern const Command kCcCommand;
extern const Command kCxxCommand;

}  // namespace gordian::cli
