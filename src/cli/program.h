// SPDX-License-Identifier: Apache-2.0
// What each of our programs does around its commands: an error becomes text on stderr and a status,
// and what was printed but could not be written is no success.
#pragma once

#include "base/result.h"

#include <string>
#include <vector>

namespace gordian::cli {

// The exit status for main. `run` gets what the program was called and its arguments.
int run_program(int argc, char** argv,
                Result<int> (*run)(const std::string& called,
                                   const std::vector<std::string>& arguments));

}  // namespace gordian::cli
