// SPDX-License-Identifier: Apache-2.0
#include "watch/run.h"

#include "base/text.h"
#include "process/live.h"
#include "watch/actions.h"
#include "watch/judge.h"
#include "watch/launcher.h"
#include "watch/listener.h"
#include "watch/nestings.h"
#include "watch/run_hazards.h"
#include "watch/run_history.h"
#include "watch/steersman.h"
#include "watch/target.h"
#include "watch/unwatched_programs.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <sys/resource.h>
#include <unistd.h>

extern char** environ;

namespace gordian::watch {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kNoBoardInterval{-1};
constexpr milliseconds kLimitInterval{100};
// A program that starts more steered processes at a time has the later ones run freely.
constexpr size_t kMostSteersmen = 64;

// What one examination frees, the next one takes again: to ask the kernel for pages anew costs more
// than to judge.
void keep_memory() {
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, 64 << 20);
}

// Goes first for as long as it lives, where it may (CAP_SYS_NICE): a judge that waits for the cores
// of a busy program is late. Its share of them is bounded all the same. Of this thread, and of
// those it starts.
class Precedence {
 public:
  Precedence() : before_(getpriority(PRIO_PROCESS, 0)) {
    setpriority(PRIO_PROCESS, 0, before_ - kSteps);
  }
  ~Precedence() { setpriority(PRIO_PROCESS, 0, before_); }
  Precedence(const Precedence&) = delete;
  Precedence& operator=(const Precedence&) = delete;

 private:
  static constexpr int kSteps = 10;
  int before_;
};

class Session {
 public:
  Session(const RunOptions& options, Audience& audience)
      : options_(options), audience_(audience), judge_({.stall = options.stall}) {}

  Result<RunOutcome> run();

 private:
  Result<void> start();
  void loop();
  void take_signals();
  void take_boards();
  void take_recording(Greeting& greeting);
  [[nodiscard]] bool may_speak(const Greeting& greeting) const;
  void name_unwatched();
  void look();
  void act();
  void end_program();
  void steer(int pid, const FileDescriptor& board, const std::string& exe);
  void dismiss_steersmen(bool all);
  void note_nestings(RunOutcome& outcome);
  void wait_for_child();
  RunOutcome outcome();
  Recorder::Totals finish_recording();
  [[nodiscard]] std::string why_unwatched() const;

  const RunOptions& options_;
  Audience& audience_;
  Judge judge_;
  Target target_;
  std::optional<SignalPort> signals_;
  std::optional<Listener> listener_;
  std::unique_ptr<Recorder> recorder_;
  FileDescriptor runtime_;  // when its path cannot be preloaded as it is
  pid_t child_ = 0;
  ChildState end_;
  bool stopped_ = false;
  bool ended_by_judge_ = false;
  std::string refused_;  // why a board of the child was not taken
  UnwatchedPrograms unwatched_;
  std::vector<std::unique_ptr<Steersman>> steersmen_;
  std::optional<SteerAccount> account_;
  bool over_limit_ = false;
  int asked_to_end_ = 0;
  std::optional<Precedence> precedence_;
  std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
};

Result<void> Session::start() {
  if (options_.record.wanted()) {
    GORDIAN_TRY(recorder_ =, Recorder::create(options_.record));
  }
  const char* const path = getenv("PATH");
  GORDIAN_TRY(target_ =, find_target(options_.command.front(),
                                     path != nullptr ? path : "/usr/local/bin:/usr/bin:/bin"));
  if (std::string why = why_nothing_is_watchable(); !why.empty())
    target_.unwatchable = std::move(why);
  PreloadOptions preload{.runtime = {},
                         .judge = {},
                         .children = options_.children,
                         .steered = options_.steering.has_value()};
  if (recorder_) preload.record = options_.record.blocks ? "block" : "drop";
  if (target_.unwatchable.empty()) {
    GORDIAN_TRY(preload.runtime =, find_runtime());
    if (!can_be_preloaded(preload.runtime)) {
      runtime_ = FileDescriptor(open(preload.runtime.c_str(), O_RDONLY | O_CLOEXEC));
      if (!runtime_) return Error::from_errno("cannot open the runtime").in(preload.runtime);
      preload.runtime =
          "/proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(runtime_.get());
    }
    GORDIAN_TRY(listener_ =, Listener::open());
    preload.judge = listener_->name();
  } else {
    audience_.on_notice(options_.command.front() + " runs unwatched: " + target_.unwatchable);
  }
  GORDIAN_TRY(signals_ =, SignalPort::open());
  const Launch what{.path = target_.path,
                    .arguments = options_.command,
                    .environment = environment_with(environ, preload),
                    .silent = options_.silent};
  Result<pid_t> child = launch(what, *signals_);
  if (!child) {
    signals_->restore_in_child();
    return std::move(child).error().in(options_.command.front());
  }
  child_ = *child;
  if (recorder_) recorder_->start();
  keep_memory();
  precedence_.emplace();  // not before others had been started, to whom it would come down
  return {};
}

Result<RunOutcome> Session::run() {
  GORDIAN_TRY(, start());
  loop();
  return outcome();
}

void Session::loop() {
  while (!end_.ended) {
    pollfd descriptors[2] = {
        {.fd = signals_->descriptor(), .events = POLLIN, .revents = 0},
        {.fd = listener_ ? listener_->descriptor() : -1, .events = POLLIN, .revents = 0}};
    const bool watching = judge_.has_live() && !stopped_;
    milliseconds timeout = listener_ ? UnwatchedPrograms::kInterval : kNoBoardInterval;
    if (watching) timeout = judge_.interval();
    if (options_.limit.count() > 0 && !watching) timeout = kLimitInterval;
    poll(descriptors, 2, static_cast<int>(timeout.count()));
    if (descriptors[1].revents != 0) take_boards();
    if (descriptors[0].revents != 0) take_signals();
    if (options_.limit.count() > 0 && !over_limit_ &&
        std::chrono::steady_clock::now() - started_ > options_.limit) {
      over_limit_ = true;
      end_program();
    }
    if (end_.ended) continue;
    if (listener_) name_unwatched();
    if (watching) look();
  }
  if (listener_) take_boards();  // of children that came and went within one look
}

void Session::take_signals() {
  bool child_changed = false;
  for (const SignalPort::Signal& signal : signals_->receive()) {
    switch (signal.number) {
      case SIGCHLD:
        child_changed = true;
        break;
      case SIGCONT:
        kill(child_, SIGCONT);
        stopped_ = false;
        break;
      default:
        if (signal.number == SIGINT || signal.number == SIGTERM || signal.number == SIGHUP ||
            signal.number == SIGQUIT) {
          asked_to_end_ = signal.number;
        }
        // What the terminal sends, it sends to the whole group: the program has it already. But
        // that it has been closed, it tells the leader of the session alone.
        if (signal.from_process || (signal.number == SIGHUP && getsid(0) == getpid()))
          kill(child_, signal.number);
        break;
    }
  }
  if (child_changed) wait_for_child();
}

void Session::wait_for_child() {
  judge_.finish_ended(child_);
  while (const std::optional<ChildState> state = poll_child(child_)) {
    if (state->ended) {
      end_ = *state;
      judge_.finish(child_);
      return;
    }
    if (state->stopped) {
      stopped_ = true;
      stop_with(child_, state->stop_signal);
      stopped_ = false;
    }
  }
}

// We speak for one user and one tree of processes.
bool Session::may_speak(const Greeting& greeting) const {
  // The variable stops the forks of the program; what they execute greets us all the same.
  if (!options_.children && greeting.pid != child_) return false;
  if (greeting.uid == geteuid()) return true;
  if (geteuid() != 0) return false;
  // Root's servers drop their rights and fork. Whoever descends from the program may speak.
  int pid = greeting.pid;
  for (int depth = 0; depth < 256 && pid > 1; ++depth) {
    if (pid == child_) return true;
    const std::optional<process::ProcessStatus> status = process::read_status(pid);
    if (!status) return false;
    pid = status->parent;
  }
  return false;
}

void Session::take_boards() {
  for (Greeting& greeting : listener_->receive()) {
    if (!may_speak(greeting)) continue;
    const pid_t pid = greeting.pid;
    if (recorder_) take_recording(greeting);
    FileDescriptor gates;
    if (options_.steering && greeting.board)
      gates = FileDescriptor(fcntl(greeting.board.get(), F_DUPFD_CLOEXEC, 3));
    Result<std::unique_ptr<WatchedProcess>> process = WatchedProcess::open(std::move(greeting));
    if (process) {
      if (pid == child_) (*process)->set_identity_if_unknown(target_.interpreted, options_.command);
      if (gates) steer(pid, gates, (*process)->exe());
      judge_.add(std::move(*process));
    } else if (pid == child_) {
      refused_ = process.error().message;
    }
  }
}

void Session::take_recording(Greeting& greeting) {
  std::string fault =
      "no shared memory for it (a limit on file sizes or address space, or a seccomp filter)";
  if (greeting.recording) {
    const Result<void> added = recorder_->add(greeting.pid, process::read_exe(greeting.pid),
                                              std::move(greeting.recording));
    if (added) return;
    fault = added.error().message;
  }
  audience_.on_notice("process " + std::to_string(greeting.pid) + " is not recorded: " + fault);
}

void Session::name_unwatched() {
  if (!options_.children || stopped_) return;
  for (const UnwatchedPrograms::Program& program : unwatched_.find(child_, judge_))
    audience_.on_notice(program.exe + " (pid " + std::to_string(program.pid) +
                        ") runs unwatched: " + program.why);
}

void Session::look() {
  judge_.finish_ended(child_);
  bool deadlock = false;
  for (model::Finding& finding : judge_.look()) {
    audience_.on_headline(finding);
    judge_.complete(finding);
    const bool counts = audience_.on_finding(finding);
    deadlock |= counts && finding.verdict == model::Verdict::Deadlock;
  }
  if (deadlock && options_.on_deadlock != OnDeadlock::Keep) act();
}

void Session::act() {
  if (options_.on_deadlock == OnDeadlock::Core) {
    for (const auto& process : judge_.processes()) {
      if (process->is_alive()) audience_.on_notice(dump_core(process->pid()));
    }
  }
  end_program();
  ended_by_judge_ = true;
}

void Session::end_program() {
  // Parents after their children would see them die and act on it; so all at once, and the program
  // itself first.
  std::vector<int> pids{child_};
  for (const auto& process : judge_.processes()) {
    if (process->is_alive() && process->pid() != child_) pids.push_back(process->pid());
  }
  kill_processes(pids);
}

void Session::steer(int pid, const FileDescriptor& board, const std::string& exe) {
  dismiss_steersmen(false);
  Result<std::unique_ptr<Steersman>> steersman = Steersman::start(
      pid, board, exe, options_.steering->make_strategy(), options_.steering->patience);
  if (!steersman) {
    audience_.on_notice("process " + std::to_string(pid) +
                        " runs without being steered: " + steersman.error().message);
  } else if (*steersman && steersmen_.size() < kMostSteersmen) {
    steersmen_.push_back(std::move(*steersman));
  }  // else it goes out of scope, and opens the gates
}

// Of processes that are over, and of those whose place another image has taken.
void Session::dismiss_steersmen(bool all) {
  std::erase_if(steersmen_, [&](std::unique_ptr<Steersman>& steersman) {
    const bool alive = kill(steersman->pid(), 0) == 0 || errno != ESRCH;
    if (alive && !all) return false;
    const SteerAccount account = steersman->stop();
    if (!account_ || account.arrivals >= account_->arrivals) account_ = account;
    return true;
  });
}

// Which pairs of places nested, named by what is the same in every run.
void Session::note_nestings(RunOutcome& outcome) {
  for (const auto& process : judge_.processes()) {
    if (process->board() == nullptr) continue;
    const trace::BoardLog& log = process->board()->read_log();
    const auto name = [&](uint64_t pc) {
      for (const trace::ModuleEntry& module : log.modules) {
        if (pc < module.start || pc >= module.end) continue;
        const std::string& path = module.path.empty() ? process->exe() : module.path;
        return path + "+" + std::to_string(pc - module.bias);
      }
      return std::string("?");
    };
    for (const trace::ChainEntry& chain : log.chains) {
      for (const format::ChainHold& hold : chain.holds)
        outcome.nestings.emplace(name(hold.site), name(chain.record.site));
    }
  }
}

std::string Session::why_unwatched() const {
  if (!target_.unwatchable.empty()) return target_.unwatchable;
  if (judge_.has_seen(child_)) {
    for (const auto& process : judge_.processes()) {
      if (process->pid() == child_ && !process->board_error().empty())
        return process->board_error();
    }
    return {};
  }
  if (!refused_.empty()) return refused_;
  return kNoBoardCame;
}

Recorder::Totals Session::finish_recording() {
  Recorder::Totals totals = recorder_->finish();
  const std::string& path = options_.record.path;
  const std::string recording = path.empty() ? "the recording" : "the recording in " + path;
  if (!totals.error.empty()) audience_.on_notice(recording + " ends early: " + totals.error);
  if (totals.lost > 0)
    audience_.on_notice(recording + " lost " + std::to_string(totals.lost) +
                        " records; --record-full=block loses none");
  if (totals.dropped_objects > 0)
    audience_.on_notice(
        "the program has more locks than a recording has room for; uses of them that are not "
        "recorded: " +
        std::to_string(totals.dropped_objects));
  if (totals.dropped_threads > 0)
    audience_.on_notice(recording + " has no room for " +
                        count_of(totals.dropped_threads, "thread") +
                        " of the program: nothing of theirs is recorded, and orders they made are "
                        "not known");
  return totals;
}

RunOutcome Session::outcome() {
  RunOutcome outcome;
  if (recorder_) outcome.recorded = finish_recording();
  outcome.code = end_.code;
  outcome.signal = end_.signal;
  outcome.ended_by_judge = ended_by_judge_;
  outcome.over_limit = over_limit_;
  outcome.asked_to_end = asked_to_end_;
  dismiss_steersmen(true);
  outcome.steered = account_;
  outcome.elapsed = std::chrono::steady_clock::now() - started_;

  judge_.finish_ended();
  const std::string unwatched = why_unwatched();
  if (!judge_.has_seen(child_)) {
    outcome.processes.push_back({.pid = child_,
                                 .exe = target_.path,
                                 .argv = options_.command,
                                 .code = {},
                                 .signal = {},
                                 .unwatched = unwatched});
  }
  for (const auto& process : judge_.processes()) {
    if (process->is_alive()) process->update_totals();
    ProcessOutcome one{.pid = process->pid(),
                       .exe = process->exe(),
                       .argv = process->argv(),
                       .code = {},
                       .signal = {},
                       .unwatched = {}};
    if (one.exe.empty() && process->pid() == child_) one.exe = target_.interpreted;
    one.unwatched = process->board_error();
    outcome.processes.push_back(std::move(one));

    const trace::BoardTotals& totals = process->totals();
    Totals& sum = outcome.totals;
    sum.threads += totals.threads;
    sum.locks += totals.locks;
    sum.acquisitions += totals.acquisitions;
    sum.nested += totals.nested;
    sum.nested_threads += totals.nested_threads;
    sum.lock_pairs += totals.lock_pairs;
    sum.chains += totals.chains;
    sum.waits += totals.waits;
    sum.longest_wait = std::max<std::chrono::nanoseconds>(
        sum.longest_wait, std::chrono::nanoseconds(totals.longest_wait_ns));
    const format::BoardHeader& header = process->last_header();
    sum.dropped_threads += header.dropped_threads;
    sum.dropped_locks += header.dropped_locks;
    sum.dropped_holds += header.dropped_holds;
    sum.dropped_chains += header.dropped_chains;
    sum.dropped_blocks += header.dropped_blocks;
    sum.dropped_repeats += header.dropped_repeats;
    sum.inexact_events += header.inexact_events;
  }
  // The last image that ran as our child has the child's end.
  for (auto it = outcome.processes.rbegin(); it != outcome.processes.rend(); ++it) {
    if (it->pid != child_) continue;
    if (end_.signal != 0) {
      it->signal = end_.signal;
    } else {
      it->code = end_.code;
    }
    break;
  }
  if (options_.steering) note_nestings(outcome);
  if (options_.hazards || options_.order) {
    const model::History history = read_run_history(judge_.processes());
    if (options_.hazards) {
      analysis::Hazards hazards = find_run_hazards(judge_.processes(), history, options_.refuted);
      outcome.hazards = std::move(hazards.findings);
      outcome.totals.capped_searches = hazards.capped ? 1 : 0;
    }
    if (options_.order) outcome.lock_order = find_run_nestings(judge_.processes(), history);
  }

  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto to_time = [](const timeval& time) {
    return std::chrono::seconds(time.tv_sec) + std::chrono::microseconds(time.tv_usec);
  };
  outcome.judge_cpu = to_time(usage.ru_utime) + to_time(usage.ru_stime);
  return outcome;
}

}  // namespace

Result<RunOutcome> run(const RunOptions& options, Audience& audience) {
  return Session(options, audience).run();
}

}  // namespace gordian::watch
