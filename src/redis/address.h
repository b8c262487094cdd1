// SPDX-License-Identifier: Apache-2.0
// Where a server is, and a socket to it.
#pragma once

#include "base/file.h"
#include "base/result.h"
#include "redis/tls.h"

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace gordian::redis {

// Where one server says that another one is.
struct ServerPlace {
  std::string host;
  unsigned port = 0;
  bool operator==(const ServerPlace&) const = default;
  [[nodiscard]] std::string label() const;  // as that of an Address
};
// Whether a server's word for a host may be one: nothing that would spoil a message, or is endless.
bool can_be_a_host(std::string_view text);

struct Address {
  std::string host;
  unsigned port = 6379;
  std::string unix_path;  // instead of host and port
  std::string user;
  std::string password;
  int database = 0;
  bool secure = false;                    // over TLS,
  std::shared_ptr<const TlsContext> tls;  // with this; whoever parsed the address puts it there

  [[nodiscard]] bool is_empty() const { return host.empty() && unix_path.empty(); }
  // "127.0.0.1:6379" or the path: for people, and to tell servers apart.
  [[nodiscard]] std::string label() const;
};

// redis://[USER[:PASSWORD]@]HOST[:PORT][/DATABASE] or rediss:// for TLS,
// unix://[USER[:PASSWORD]@]/PATH[?db=N], HOST, HOST:PORT. %XX in user and password is decoded. The
// error never repeats a password.
Result<Address> parse_address(std::string_view text, unsigned default_port = 6379);

// One way to connect to an address; a host has several.
struct SocketAddress {
  int family = 0;
  std::string bytes;  // a sockaddr
};
// Resolves a host's name, which may ask the network and take as long as that likes.
Result<std::vector<SocketAddress>> resolve(const Address& address);
// The same of a host in numbers or a path, for which nobody is asked; nothing of a name.
std::optional<std::vector<SocketAddress>> resolve_numbers(const Address& address);

// Begins to connect, without blocking: errno EINPROGRESS is no error. No delay (Nagle) on TCP.
Result<FileDescriptor> start_connecting(const SocketAddress& to);
// How a connection that was begun went: 0 or an errno.
int connect_result(int fd);

}  // namespace gordian::redis
