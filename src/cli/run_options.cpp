// SPDX-License-Identifier: Apache-2.0
#include "cli/run_options.h"

#include "base/text.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <string_view>
#include <vector>

namespace gordian::cli {
namespace {

// Options end at the first word that is none: behind the program's name everything is its own.
constexpr const char* kWithValue[] = {"--on-deadlock", "--stall",  "--json",       "--suppress",
                                      "--log",         "--record", "--record-full"};

}  // namespace

size_t find_program(const Args& args) {
  for (size_t i = 0; i < args.size(); ++i) {
    if (args[i] == "--") return i + 1;
    if (!args[i].starts_with("-") || args[i] == "-") return i;
    for (const char* const option : kWithValue) {
      if (args[i] == option) ++i;
      if (i >= args.size()) break;
    }
  }
  return args.size();
}

Result<RunCommandLine> parse_run_options(const Args& args, const RunWords& words) {
  RunCommandLine options;
  std::string on_deadlock = "kill";
  std::string stall;
  bool no_children = false;
  std::string record_full = "drop";

  CLI::App app(words.summary);
  app.name(words.name);
  app.set_help_flag("-h,--help", "Print this");
  app.add_option("--on-deadlock", on_deadlock,
                 "kill (report, then end the program), keep, or core (let it dump core)")
      ->check(CLI::IsMember({"kill", "keep", "core"}))
      ->option_text("WHAT");
  app.add_option("--stall", stall,
                 "Also report threads that have not moved for so long: 500ms, 30s, 2m")
      ->option_text("DURATION");
  app.add_flag("--no-children", no_children, "Leave the programs it starts alone");
  app.add_flag("--refuted", options.run.refuted,
               "Also show the patterns that cannot happen, with the reason");
  if (words.can_confirm) {
    app.add_flag("--confirm", options.confirm,
                 "Run it again, steered, to see whether what is possible really happens");
  }
  app.add_flag("--strict", options.strict,
               "Exit with 66 also for what may be wrong (possible, stall)");
  app.add_option("--record", options.run.record.path,
                 "Write all that the program does with its locks to FILE, for gordian predict")
      ->option_text("FILE");
  app.add_option("--record-full", record_full,
                 "When the program is faster than the recording: drop (and count), or block")
      ->check(CLI::IsMember({"drop", "block"}))
      ->option_text("WHAT");
  app.add_option("--suppress", options.suppress, "Do not report what matches a pattern in FILE")
      ->option_text("FILE");
  app.add_option("--json", options.json, "Write the findings to FILE as JSON")->option_text("FILE");
  app.add_option("--log", options.log, "Write the report to FILE instead of standard error")
      ->option_text("FILE");
  app.add_flag("-q,--quiet", options.quiet, "Print findings only");
  app.add_flag("--summary", options.summary, "Print what was watched, also when nothing was found");
  app.add_flag("--redact-argv", options.redact_argv,
               "Keep the arguments of programs out of the report");

  const size_t command = find_program(args);
  Args own(args.begin(), args.begin() + static_cast<ptrdiff_t>(std::min(command, args.size())));
  if (!own.empty() && own.back() == "--") own.pop_back();
  try {
    std::vector<std::string> reversed(own.rbegin(), own.rend());
    app.parse(reversed);
  } catch (const CLI::CallForHelp&) {
    options.help = true;
    options.help_text = app.help();
    // CLI11 knows nothing of the program behind the options.
    const std::string theirs = std::string("Usage: ") + words.name + " [OPTIONS]";
    if (const size_t at = options.help_text.find(theirs); at != std::string::npos) {
      options.help_text.replace(at, theirs.size(), std::string("usage: ") + words.usage);
    }
    return options;
  } catch (const CLI::ParseError& error) {
    return Error(error.what(), std::string(words.name) + " --help lists the options");
  }
  options.run.command.assign(args.begin() + static_cast<ptrdiff_t>(command), args.end());
  if (options.run.command.empty())
    return Error("no program to run", std::string("usage: ") + words.usage);

  options.run.children = !no_children;
  options.run.record.blocks = record_full == "block";
  options.run.on_deadlock = on_deadlock == "keep"   ? watch::OnDeadlock::Keep
                            : on_deadlock == "core" ? watch::OnDeadlock::Core
                                                    : watch::OnDeadlock::Kill;
  if (!stall.empty()) {
    GORDIAN_TRY(options.run.stall =, parse_duration(stall).in("--stall"));
    if (options.run.stall <= std::chrono::nanoseconds(0))
      return Error("--stall: must be longer than nothing");
  }
  return options;
}

}  // namespace gordian::cli
