// SPDX-License-Identifier: Apache-2.0
#include "watch/launcher.h"

#include "base/file.h"
#include "format/board.h"
#include "format/recording.h"
#include "format/steer.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <elf.h>
#include <fcntl.h>
#include <limits.h>
#include <string_view>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

namespace gordian::watch {
namespace {

// What could end or stop us, and what people send to programs on purpose.
constexpr int kTaken[] = {SIGINT,  SIGQUIT,   SIGTERM, SIGHUP,  SIGUSR1, SIGUSR2,
                          SIGALRM, SIGVTALRM, SIGPROF, SIGIO,   SIGPWR,  SIGCONT,
                          SIGTSTP, SIGTTIN,   SIGTTOU, SIGCHLD, SIGURG,  SIGWINCH};

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> result;
  result.reserve(texts.size() + 1);
  for (const std::string& text : texts) result.push_back(const_cast<char*>(text.c_str()));
  result.push_back(nullptr);
  return result;
}

}  // namespace

Result<SignalPort> SignalPort::open() {
  SignalPort port{FileDescriptor()};
  sigset_t taken;
  sigemptyset(&taken);
  for (const int signal : kTaken) {
    sigaddset(&taken, signal);
    struct sigaction old {};
    sigaction(signal, nullptr, &old);
    if (old.sa_handler != SIG_IGN) continue;
    port.inherited_.emplace_back(signal, old);
    // An ignored SIGCHLD would take the child's status away from us, and of an ignored signal the
    // descriptor says nothing.
    struct sigaction normal {};
    normal.sa_handler = SIG_DFL;
    sigaction(signal, &normal, nullptr);
  }
  // Writing a report into a closed pipe, or past the limit on file sizes, is an error to handle,
  // not a reason to die: also when the program is over, and its hazards are written.
  for (const int signal : {SIGPIPE, SIGXFSZ}) {
    struct sigaction ignore {};
    ignore.sa_handler = SIG_IGN;
    struct sigaction old {};
    sigaction(signal, &ignore, &old);
    port.only_in_child_.emplace_back(signal, old);
  }

  if (sigprocmask(SIG_BLOCK, &taken, &port.inherited_mask_) != 0)
    return Error::from_errno("sigprocmask");
  port.fd_ = FileDescriptor(signalfd(-1, &taken, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!port.fd_) return Error::from_errno("signalfd");
  return port;
}

SignalPort& SignalPort::operator=(SignalPort&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(inherited_mask_, other.inherited_mask_);
  std::swap(inherited_, other.inherited_);
  std::swap(only_in_child_, other.only_in_child_);
  return *this;
}

SignalPort::~SignalPort() {
  if (fd_) restore();
}

std::vector<SignalPort::Signal> SignalPort::receive() {
  std::vector<Signal> signals;
  signalfd_siginfo info{};
  while (read(fd_.get(), &info, sizeof(info)) == static_cast<ssize_t>(sizeof(info))) {
    signals.push_back(
        {.number = static_cast<int>(info.ssi_signo), .from_process = info.ssi_code <= 0});
  }
  return signals;
}

void SignalPort::restore_in_child() const {
  for (const auto& [signal, action] : only_in_child_) sigaction(signal, &action, nullptr);
  restore();
}

void SignalPort::restore() const {
  for (const auto& [signal, action] : inherited_) sigaction(signal, &action, nullptr);
  sigprocmask(SIG_SETMASK, &inherited_mask_, nullptr);
}

namespace {

// In the child. As shells see it: a program for another machine, or a damaged one, is no text. Its
// first line tells.
bool is_text(const char* path, int* error) {
  char start[128];
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  const ssize_t size = fd < 0 ? -1 : read(fd, start, sizeof start);
  if (size < 0) {
    *error = errno;
    return false;
  }
  const std::string_view head(start, static_cast<size_t>(size));
  return !head.starts_with(ELFMAG) && head.substr(0, head.find('\n')).find('\0') == head.npos;
}

// In the child. What cannot be silenced is heard.
void silence() {
  const int nothing = open("/dev/null", O_WRONLY | O_CLOEXEC);
  if (nothing < 0) return;
  dup2(nothing, STDOUT_FILENO);
  dup2(nothing, STDERR_FILENO);
}

}  // namespace

Result<pid_t> launch(const Launch& launch, const SignalPort& signals) {
  int report[2];
  if (pipe2(report, O_CLOEXEC) != 0) return Error::from_errno("pipe");
  FileDescriptor read_end(report[0]);
  FileDescriptor write_end(report[1]);
  const std::vector<char*> arguments = pointers(launch.arguments);
  const std::vector<char*> environment = pointers(launch.environment);

  const pid_t pid = fork();
  if (pid < 0) return Error::from_errno("cannot start it");
  if (pid == 0) {
    signals.restore_in_child();
    if (launch.silent) silence();
    execve(launch.path.c_str(), arguments.data(), environment.data());
    int error = errno;
    if (error == ENOEXEC && is_text(launch.path.c_str(), &error)) {
      // As shells do: a text without #! is a script for them.
      std::vector<char*> shell = arguments;
      shell.insert(shell.begin(), const_cast<char*>("/bin/sh"));
      shell[1] = const_cast<char*>(launch.path.c_str());
      execve("/bin/sh", shell.data(), environment.data());
      error = errno;
    }
    [[maybe_unused]] const ssize_t ignored = write(report[1], &error, sizeof(error));
    _exit(127);
  }
  write_end.reset();
  int error = 0;
  ssize_t got = 0;
  do {
    got = read(read_end.get(), &error, sizeof(error));
  } while (got < 0 && errno == EINTR);
  if (got != static_cast<ssize_t>(sizeof(error))) return pid;
  waitpid(pid, nullptr, 0);
  return Error::from_errno("cannot run it", error);
}

std::vector<std::string> environment_with(const char* const* environment,
                                          const PreloadOptions& options) {
  std::vector<std::string> result;
  std::string preload = options.runtime;
  const std::string judge = std::string(format::kJudgeVariable) + "=";
  const std::string record = std::string(format::kRecordVariable) + "=";
  const std::string steer = std::string(format::kSteerVariable) + "=";
  for (; *environment != nullptr; ++environment) {
    const std::string_view entry = *environment;
    if (entry.starts_with(judge) || entry.starts_with(record) || entry.starts_with(steer) ||
        entry.starts_with("GORDIAN_CHILDREN="))
      continue;
    if (!options.runtime.empty() && entry.starts_with("LD_PRELOAD=")) {
      const std::string_view old = entry.substr(strlen("LD_PRELOAD="));
      if (!old.empty()) preload += ":" + std::string(old);
      continue;
    }
    result.emplace_back(entry);
  }
  if (options.runtime.empty()) return result;
  result.push_back("LD_PRELOAD=" + preload);
  result.push_back(judge + options.judge);
  if (!options.children) result.emplace_back("GORDIAN_CHILDREN=0");
  if (!options.record.empty()) result.push_back(record + options.record);
  if (options.steered) result.push_back(steer + "1");
  return result;
}

bool can_be_preloaded(const std::string& path) {
  return path.find_first_of(" :\t\n$") == std::string::npos;
}

Result<std::string> find_runtime() {
  if (const char* const named = getenv("GORDIAN_RUNTIME"); named != nullptr && *named != '\0') {
    char full[PATH_MAX];
    if (realpath(named, full) == nullptr) {
      return Error::from_errno("GORDIAN_RUNTIME").in(named);
    }
    return std::string(full);
  }
  GORDIAN_TRY(std::string folder, find_own_file());
  folder.erase(folder.rfind('/'));
  const std::string wanted = folder.substr(0, folder.rfind('/')) + "/lib/libgordian.so";
  if (access(wanted.c_str(), R_OK) == 0) return wanted;
  return Error("the runtime is missing: " + wanted,
               "it is installed with gordian; or set GORDIAN_RUNTIME to where libgordian.so is");
}

std::optional<ChildState> poll_child(pid_t pid) {
  siginfo_t info{};
  if (waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WSTOPPED | WNOHANG) != 0) {
    if (errno != ECHILD) return std::nullopt;
    return ChildState{.ended = true, .code = 0};
  }
  if (info.si_pid == 0) return std::nullopt;
  switch (info.si_code) {
    case CLD_EXITED:
      return ChildState{.ended = true, .code = info.si_status};
    case CLD_KILLED:
    case CLD_DUMPED:
      return ChildState{.ended = true, .signal = info.si_status};
    case CLD_STOPPED:
      return ChildState{.stopped = true, .stop_signal = info.si_status};
    default:
      return std::nullopt;
  }
}

void stop_with(pid_t child, int stop_signal) {
  // Job control is a matter of terminals. Without one nobody would ever continue us.
  const FileDescriptor terminal(open("/dev/tty", O_RDONLY | O_CLOEXEC | O_NOCTTY));
  if (!terminal) return;
  (void)stop_signal;
  raise(SIGSTOP);
  // Continued: whoever did it may have meant us alone.
  kill(child, SIGCONT);
}

void die_by(int signal) {
  const rlimit none{.rlim_cur = 0, .rlim_max = 0};
  setrlimit(RLIMIT_CORE, &none);
  // A core handler behind a pipe does not ask for the limit.
  prctl(PR_SET_DUMPABLE, 0);
  struct sigaction normal {};
  normal.sa_handler = SIG_DFL;
  sigaction(signal, &normal, nullptr);
  sigset_t only;
  sigemptyset(&only);
  sigaddset(&only, signal);
  sigprocmask(SIG_UNBLOCK, &only, nullptr);
  raise(signal);
  _exit(128 + signal);
}

}  // namespace gordian::watch
