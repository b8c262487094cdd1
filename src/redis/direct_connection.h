// SPDX-License-Identifier: Apache-2.0
// A connection that the thread which wants something uses itself: one round trip, no other thread.
// An uncontended lock costs two of those; a detour through the I/O thread would double it.
#pragma once

#include "redis/address.h"
#include "redis/reply.h"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace gordian::redis {

struct DirectSetup {
  SocketAddress to;
  std::string user;
  std::string password;
  int database = 0;
  std::shared_ptr<const TlsContext> tls;  // null: plain
  std::string host;                       // who must answer then
  uint64_t pushed_to = 0;  // client id the server sends invalidations to; 0: no tracking
  bool no_loop = true;
  std::chrono::milliseconds timeout{};
  uint64_t generation = 0;  // of the listener: connections of an older one track for nobody
  uint64_t server = 0;      // changes when another server takes the place of this one
};

class DirectConnection {
 public:
  // Blocks for up to the timeout. Null if anything goes wrong: then the I/O thread is asked
  // instead, which has the words for what is wrong.
  static std::unique_ptr<DirectConnection> open(const DirectSetup& setup,
                                                std::string* failure = nullptr);

  // For people who look: by its name, without tracking. With the words for what is wrong.
  static Result<std::unique_ptr<DirectConnection>> open(const Address& address,
                                                        std::chrono::milliseconds timeout);

  // One command, one reply. Null if none came in time or the connection broke: the command may or
  // may not have been done, and the connection is of no use any more.
  Reply ask(std::string_view bytes, std::chrono::milliseconds at_most);

  [[nodiscard]] bool usable() const { return usable_; }
  // The server's id of it; 0 where servers give none.
  [[nodiscard]] uint64_t id() const { return id_; }
  [[nodiscard]] uint64_t generation() const { return generation_; }
  [[nodiscard]] uint64_t server() const { return server_; }

 private:
  DirectConnection(Stream stream, const DirectSetup& setup);
  bool send_all(std::string_view bytes);
  Reply read_one();

  Stream stream_;
  Reader reader_;
  uint64_t generation_;
  uint64_t server_;
  uint64_t id_ = 0;
  std::chrono::milliseconds timeout_{0};
  bool usable_ = true;
};

}  // namespace gordian::redis
