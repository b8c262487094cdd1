// SPDX-License-Identifier: Apache-2.0
// gordian order: learn in which order a program takes its locks, check runs against it, show it.
#include "analysis/check_order.h"
#include "base/file.h"
#include "cli/command.h"
#include "cli/parse_options.h"
#include "cli/program_line.h"
#include "cli/run_options.h"
#include "cli/run_reporter.h"
#include "report/name_pairs.h"
#include "report/order_file.h"
#include "report/order_text.h"
#include "watch/nestings.h"
#include "watch/run.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <fcntl.h>
#include <optional>
#include <string>
#include <sys/file.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>
#include <utility>
#include <vector>

namespace gordian::cli {
namespace {

constexpr char kDefaultFile[] = "gordian.order";
constexpr char kOrderUsage[] =
    "gordian order learn|check [FILE] [options] -- PROGRAM [ARGS...] | show [--dot] [FILE]";
constexpr char kProcessUsage[] = "gordian order check [FILE] --pid PID [--state FILE] [--strict]";
constexpr char kHelp[] =
    "In which order a program takes its locks, in a file that is kept with its sources.\n"
    "\n"
    "usage: gordian order learn [FILE] [options] -- PROGRAM [ARGS...]\n"
    "       gordian order check [FILE] [options] -- PROGRAM [ARGS...]\n"
    "       gordian order check [FILE] --pid PID [--state FILE] [--strict]\n"
    "       gordian order show [--dot] [FILE]\n"
    "\n"
    "  learn  run the program and add what is new to the file\n"
    "  check  run the program; exit with 66 if it takes locks against the file\n"
    "  show   print the order, or a graph for dot\n"
    "\n"
    "FILE is gordian.order unless it is given. The options are those of gordian run, and --strict\n"
    "makes what is not in the file an error. More: man gordian-order\n";

constexpr RunWords kLearnWords{
    .command = {.name = "gordian order learn",
                .usage = "gordian order learn [FILE] [options] -- PROGRAM [ARGS...]"},
    .summary = "Runs a program and adds the order in which it takes its locks to a file.",
};
constexpr RunWords kCheckWords{
    .command = {.name = "gordian order check",
                .usage = "gordian order check [FILE] [options] -- PROGRAM [ARGS...]"},
    .summary =
        "Runs a program and exits with 66 if it takes locks against a file; with --strict also if "
        "it takes them in an order that the file does not have.",
};

struct OrderCommandLine {
  std::string file = kDefaultFile;
  RunCommandLine run;
};

Result<OrderCommandLine> parse_order(Args args, const RunWords& words) {
  OrderCommandLine line;
  size_t program = find_run_program(args);
  const bool is_behind_dashes = program > 0 && args[program - 1] == "--";
  if (program < args.size() && !is_behind_dashes) {
    line.file = args[program];
    args.erase(args.begin() + static_cast<ptrdiff_t>(program));
    program = find_run_program(args);
    if (program < args.size() && args[program - 1] != "--")
      return Error("no -- in front of the program", std::string("usage: ") + words.command.usage);
  }
  GORDIAN_TRY(line.run =, parse_run_options(args, words));
  line.run.run.order = true;
  return line;
}

void take_pairs(model::Nestings nestings, report::OrderReport& order) {
  report::NamedPairs named = report::name_pairs(nestings);
  order.seen = std::move(named.seen);
  order.nameless = named.nameless;
  order.cut = nestings.cut;
  order.samples = std::move(nestings.samples);
}

Result<report::OrderFile> read_law(const std::string& path) {
  GORDIAN_TRY(report::OrderFile file, report::OrderFile::read(path));
  if (const auto circle = analysis::find_circle(file.order())) {
    std::string lines;
    for (const model::OrderRule& rule : *circle)
      lines += (lines.empty() ? "" : ", ") + std::to_string(rule.line);
    return Error("the lines contradict each other: " + lines,
                 "remove one of them, or say in [any] why both orders are right")
        .in(path);
  }
  return file;
}

// Where an earlier look at a process ended: the first position in its log that is news.
Result<uint64_t> read_position(const std::string& path) {
  if (path.empty() || access(path.c_str(), F_OK) != 0) return uint64_t{0};
  GORDIAN_TRY(const std::string text, read_file(path, 64));
  uint64_t position = 0;
  const char* const end = text.data() + text.size();
  const auto [behind, error] = std::from_chars(text.data(), end, position);
  if (error != std::errc() || (behind != end && *behind != '\n'))
    return Error("no position", "is it the file of an earlier --state?").in(path);
  return position;
}

// What a process that goes on has done since the last look at it.
Result<int> check_process(const Args& args) {
  std::string file;
  std::string state;
  int pid = 0;
  bool strict = false;
  CLI::App app("Says what a running process did against the order, or against what it did before.");
  app.add_option("FILE", file, "The order; without it only the process's own counts");
  app.add_option("--pid", pid, "The process; it must run under gordian run")
      ->required()
      ->option_text("PID");
  app.add_option("--state", state, "Tell only what is new since the last look with this file")
      ->option_text("FILE");
  app.add_flag("--strict", strict, "Exit with 66 also for orders that are not in the file");
  GORDIAN_TRY(const std::string help,
              parse_options(app, args, {.name = "gordian order check", .usage = kProcessUsage}));
  if (!help.empty()) {
    std::fputs(help.c_str(), stdout);
    return static_cast<int>(Exit::Clean);
  }
  // Without a file it is held to what it did itself.
  report::OrderFile law(kDefaultFile);
  if (!file.empty()) {
    GORDIAN_TRY(law =, read_law(file));
  }
  GORDIAN_TRY(const uint64_t position, read_position(state));
  GORDIAN_TRY(model::Nestings nestings,
              watch::read_nestings(pid).in("process " + std::to_string(pid)));

  uint64_t next = position;
  for (const model::NestedPair& pair : nestings.pairs) next = std::max(next, pair.order + 1);
  report::OrderReport order;
  order.file = file.empty() ? "what it did before" : file;
  take_pairs(std::move(nestings), order);
  order.outcome = analysis::check_order(law.order(), order.seen);
  const auto is_old = [&](size_t index) { return order.seen[index].pair.order < position; };
  std::erase_if(order.outcome.violations,
                [&](const model::OrderViolation& violation) { return is_old(violation.seen); });
  std::erase_if(order.outcome.added, is_old);
  if (file.empty()) order.outcome.added.clear();
  std::fputs(report::order_text(order, {}, false).c_str(), stderr);
  if (!state.empty()) {
    GORDIAN_TRY(, write_file(state, std::to_string(next) + "\n"));
  }
  const bool found = !order.outcome.violations.empty() || (strict && !order.outcome.added.empty());
  return static_cast<int>(found ? Exit::Found : Exit::Clean);
}

// Tests learn in parallel. The folder is locked, since the file itself is replaced, and a file for
// the lock would be left behind. Where that does not work, nobody is kept out.
FileDescriptor lock_folder_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  FileDescriptor lock(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  while (lock && flock(lock.get(), LOCK_EX) != 0 && errno == EINTR) {
  }
  return lock;
}

// Readable for whom it was; a new one for its owner, until he says otherwise.
Result<void> save(const report::OrderFile& file, const std::string& path) {
  struct stat found {};
  const bool exists = stat(path.c_str(), &found) == 0;
  GORDIAN_TRY(, write_file(path, file.text()));
  if (exists && S_ISREG(found.st_mode)) chmod(path.c_str(), found.st_mode & 0777);
  return {};
}

Result<int> run_program(const Args& args, bool learns) {
  GORDIAN_TRY(const OrderCommandLine line, parse_order(args, learns ? kLearnWords : kCheckWords));
  if (!line.run.help_text.empty()) {
    std::fputs(line.run.help_text.c_str(), stdout);
    return static_cast<int>(Exit::Clean);
  }
  // Before the program runs: an hour of tests for a file that cannot be read would be a pity.
  report::OrderFile file(line.file);
  const bool exists = access(line.file.c_str(), F_OK) == 0;
  if (!learns || exists) {
    GORDIAN_TRY(file =, read_law(line.file));
  }
  if (learns) {
    GORDIAN_TRY(, check_writable(line.file));
  }

  RunReporter reporter(line.run, learns ? "order learn" : "order check");
  GORDIAN_TRY(, reporter.open());
  GORDIAN_TRY(watch::RunOutcome outcome, watch::run(line.run.run, reporter));

  report::OrderReport order;
  order.file = line.file;
  order.learns = learns;
  take_pairs(std::move(outcome.lock_order), order);
  FileDescriptor lock;
  if (learns) lock = lock_folder_of(line.file);
  if (learns && access(line.file.c_str(), F_OK) == 0) {
    // Another run may have added to it meanwhile.
    GORDIAN_TRY(file =, read_law(line.file));
  }
  order.outcome = analysis::check_order(file.order(), order.seen);
  if (learns) {
    for (const size_t index : order.outcome.added)
      file.add(order.seen[index].held, order.seen[index].wanted);
    if (!order.outcome.added.empty() || !exists) {
      GORDIAN_TRY(, save(file, line.file));
    }
  }
  lock.reset();
  reporter.set_order(std::move(order));
  return end_as(outcome, reporter.finish(outcome));
}

Result<int> show(const Args& args) {
  bool dot = false;
  std::optional<std::string> path;
  for (const std::string& word : args) {
    if (word == "--dot") {
      dot = true;
    } else if (word.starts_with("-") && word != "-") {
      return Error("no such option: " + word, "usage: gordian order show [--dot] [FILE]");
    } else if (path) {
      return Error("more than one file", "usage: gordian order show [--dot] [FILE]");
    } else {
      path = word;
    }
  }
  GORDIAN_TRY(const report::OrderFile file, read_law(path.value_or(kDefaultFile)));
  const std::string text =
      dot ? report::order_dot(file.order()) : report::order_listing(file.order());
  std::fputs(text.c_str(), stdout);
  return static_cast<int>(Exit::Clean);
}

Result<int> run_order(const Args& args) {
  const std::string action = args.empty() ? "" : args.front();
  const Args rest(args.begin() + (args.empty() ? 0 : 1), args.end());
  if (action == "learn") return run_program(rest, true);
  if (action == "check") {
    for (const std::string& word : rest) {
      if (word == "--") break;
      if (word == "--pid" || word.starts_with("--pid=")) return check_process(rest);
    }
    return run_program(rest, false);
  }
  if (action == "show") return show(rest);
  if (action == "--help" || action == "-h") {
    std::fputs(kHelp, stdout);
    return static_cast<int>(Exit::Clean);
  }
  return Error(action.empty() ? "learn, check or show?" : "no such action: " + action,
               "gordian order --help lists them");
}

}  // namespace

const Command kOrderCommand{
    .name = "order",
    .usage = kOrderUsage,
    .summary = "keep the order in which a program takes its locks in a file, and check runs by it",
    .run = run_order,
};

}  // namespace gordian::cli
