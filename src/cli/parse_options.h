// SPDX-License-Identifier: Apache-2.0
// Options of ours, read by CLI11, in the words that all commands share.
#pragma once

#include "cli/command.h"

#include <chrono>
#include <cstdint>
#include <string>

namespace CLI {  // NOLINT(readability-identifier-naming): the library's name
class App;
}

namespace gordian::cli {

// How a command speaks of itself.
struct CommandWords {
  const char* name;   // "gordian run"
  const char* usage;  // "gordian run [options] [--] PROGRAM [ARGS...]"
  const char* more_help =
      nullptr;  // hint for a wrong option, behind "NAME --help lists the options"
};

// Puts `words`, which hold no program of the user's, where `app` was told to. The text of --help if
// that was asked for, else empty. `app` needs a description and options only.
Result<std::string> parse_options(CLI::App& app, const Args& words, const CommandWords& command);

// A duration (base/text.h) longer than nothing; `option` is for the message.
Result<std::chrono::nanoseconds> parse_time(const std::string& text, const char* option);

// A seed: a whole number that fits into 64 bits.
Result<uint64_t> parse_seed(const std::string& text, const char* option);

}  // namespace gordian::cli
