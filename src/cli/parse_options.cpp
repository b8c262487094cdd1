// SPDX-License-Identifier: Apache-2.0
#include "cli/parse_options.h"

#include "base/text.h"

#include <CLI/CLI.hpp>
#include <charconv>
#include <string_view>
#include <vector>

namespace gordian::cli {
namespace {

// CLI11 knows nothing of the words behind the options, so its line is replaced by ours.
std::string help_of(const CLI::App& app, const char* usage) {
  constexpr std::string_view kTheirs = "Usage: ";
  std::string text = app.help();
  const size_t begin = text.find(kTheirs);
  if (begin == std::string::npos) return text;
  const size_t end = text.find('\n', begin);
  return text.replace(begin, end == std::string::npos ? end : end - begin,
                      std::string("usage: ") + usage);
}

}  // namespace

Result<std::string> parse_options(CLI::App& app, const Args& words, const CommandWords& command) {
  app.name(command.name);
  app.set_help_flag("-h,--help", "Print this");
  try {
    std::vector<std::string> reversed(words.rbegin(), words.rend());
    app.parse(reversed);
  } catch (const CLI::CallForHelp&) {
    return help_of(app, command.usage);
  } catch (const CLI::ParseError& error) {
    std::string hint = std::string(command.name) + " --help lists the options";
    if (command.more_help != nullptr) hint += std::string("; ") + command.more_help;
    return Error(error.what(), hint);
  }
  // A script's "$UNSET" must not lose what it asked for.
  for (const CLI::Option* const option : app.get_options()) {
    for (const std::string& word : option->results()) {
      if (word.empty()) return Error(option->get_name() + ": what it is given is empty");
    }
  }
  return std::string();
}

Result<std::chrono::nanoseconds> parse_time(const std::string& text, const char* option) {
  GORDIAN_TRY(const std::chrono::nanoseconds time, parse_duration(text).in(option));
  if (time <= std::chrono::nanoseconds(0))
    return Error(std::string(option) + ": must be longer than nothing");
  return time;
}

Result<uint64_t> parse_seed(const std::string& text, const char* option) {
  uint64_t seed = 0;
  const char* const end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, seed);
  if (error != std::errc() || at != end)
    return Error(std::string(option) + ": not a seed: " + text,
                 "it is a number, and told with what was found");
  return seed;
}

}  // namespace gordian::cli
