// SPDX-License-Identifier: Apache-2.0
// The socket where programs hand in their boards. Nobody ever waits for us, and nobody is believed:
// who speaks is what the kernel says, not what the message says.
#pragma once

#include "base/file.h"
#include "base/result.h"
#include "format/board.h"

#include <functional>
#include <map>
#include <string>
#include <sys/types.h>
#include <vector>

namespace gordian::watch {

struct Greeting {
  pid_t pid = 0;  // by SO_PEERCRED, in our pid namespace; 0: it lives in one we cannot see into
  uid_t uid = 0;
  format::Hello hello{};
  FileDescriptor board;      // may be none
  FileDescriptor recording;  // its rings, if it was asked to record
};

class Listener {
 public:
  static Result<Listener> open();

  // What GORDIAN_JUDGE must say.
  [[nodiscard]] const std::string& name() const { return name_; }
  // Readable when receive() has something to do.
  [[nodiscard]] int descriptor() const { return epoll_.get(); }

  // Everything that has arrived. Connections without a message are kept, at most kMaxPending.
  std::vector<Greeting> receive();

 private:
  Listener(std::string name, FileDescriptor socket, FileDescriptor epoll)
      : name_(std::move(name)), socket_(std::move(socket)), epoll_(std::move(epoll)) {}
  void accept_all();

  static constexpr size_t kMaxPending = 4096;
  std::string name_;
  FileDescriptor socket_;
  FileDescriptor epoll_;
  std::map<int, FileDescriptor> pending_;
};

}  // namespace gordian::watch
