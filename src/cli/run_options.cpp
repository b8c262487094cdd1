// SPDX-License-Identifier: Apache-2.0
#include "cli/run_options.h"

#include "cli/program_line.h"

#include <CLI/CLI.hpp>
#include <cstddef>
#include <vector>

namespace gordian::cli {

size_t find_run_program(const Args& args) {
  return find_program(args, {"--on-deadlock", "--stall", "--json", "--suppress", "--log",
                             "--record", "--record-full"});
}

Result<RunCommandLine> parse_run_options(const Args& args, const RunWords& words) {
  RunCommandLine options;
  std::string on_deadlock = "kill";
  std::string stall;
  bool no_children = false;
  std::string record_full = "drop";

  CLI::App app(words.summary);
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
                 "Record it, predict from that, and run it again, steered, to see whether what is\n"
                 "possible really happens");
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

  const size_t program = find_run_program(args);
  GORDIAN_TRY(options.help_text =, parse_options(app, own_part(args, program), words.command));
  if (!options.help_text.empty()) return options;
  options.run.command.assign(args.begin() + static_cast<ptrdiff_t>(program), args.end());
  if (options.run.command.empty())
    return Error("no program to run", std::string("usage: ") + words.command.usage);

  options.run.children = !no_children;
  options.run.record.blocks = record_full == "block";
  options.run.on_deadlock = on_deadlock == "keep"   ? watch::OnDeadlock::Keep
                            : on_deadlock == "core" ? watch::OnDeadlock::Core
                                                    : watch::OnDeadlock::Kill;
  if (!stall.empty()) {
    GORDIAN_TRY(options.run.stall =, parse_time(stall, "--stall"));
  }
  return options;
}

}  // namespace gordian::cli
