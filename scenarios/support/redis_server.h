// SPDX-License-Identifier: Apache-2.0
// A redis-server of our own, on a unix socket in a temporary folder.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <signal.h>
#include <string>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace scenario {

// It dies with the thread that made it, however that one ends: make it in main.
class RedisServer {
 public:
  // Returns when the server takes connections. Ends the program when there is no server to start.
  RedisServer() {
    char folder[] = "/tmp/scenario-redis-XXXXXX";
    int output[2];
    if (mkdtemp(folder) == nullptr || pipe(output) != 0) give_up("a temporary folder");
    folder_ = folder;
    const std::string path = socket_path();
    const pid_t parent = getpid();
    pid_ = fork();
    if (pid_ < 0) give_up("fork");
    if (pid_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (getppid() != parent) _exit(1);
      dup2(output[1], STDOUT_FILENO);
      close(output[0]);
      close(output[1]);
      execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", path.c_str(), "--dir",
             folder, "--save", "", "--appendonly", "no", "--daemonize", "no", nullptr);
      _exit(127);
    }
    close(output[1]);
    // Kept open: a server that cannot write its log would end.
    log_ = fdopen(output[0], "r");
    char line[512];
    while (std::fgets(line, sizeof(line), log_) != nullptr) {
      if (std::string(line).find("ready to accept connections") != std::string::npos) return;
    }
    give_up("redis-server (package redis-server)");
  }
  RedisServer(const RedisServer&) = delete;
  RedisServer& operator=(const RedisServer&) = delete;
  ~RedisServer() {
    kill(pid_, SIGTERM);
    waitpid(pid_, nullptr, 0);
    std::fclose(log_);
    forget_folder();
  }

  std::string socket_path() const { return folder_ + "/socket"; }

  // Once all connections are made: a program that hangs and is killed then leaves nothing behind.
  void forget_folder() {
    unlink(socket_path().c_str());
    rmdir(folder_.c_str());
  }

 private:
  [[noreturn]] void give_up(const char* what) {
    std::fprintf(stderr, "cannot start: %s\n", what);
    if (!folder_.empty()) forget_folder();
    std::_Exit(2);
  }

  std::string folder_;
  pid_t pid_ = -1;
  std::FILE* log_ = nullptr;
};

}  // namespace scenario
