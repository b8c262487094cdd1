// SPDX-License-Identifier: Apache-2.0
#include "redis/address.h"

#include "redis/whole_number.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <optional>
#include <sys/socket.h>
#include <sys/un.h>

namespace gordian::redis {
namespace {

constexpr std::string_view kForm = "write it as redis://[USER[:PASSWORD]@]HOST[:PORT][/DATABASE]";

std::optional<int> hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return std::nullopt;
}

std::string percent_decoded(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size()) {
      const auto high = hex_digit(text[i + 1]), low = hex_digit(text[i + 2]);
      if (high && low) {
        out += static_cast<char>(*high * 16 + *low);
        i += 2;
        continue;
      }
    }
    out += text[i];
  }
  return out;
}

template <typename Number>
std::optional<Number> number_in(std::string_view text, Number low, Number high) {
  const auto number = whole_number<Number>(text);
  return number && *number >= low && *number <= high ? number : std::nullopt;
}

// Takes "USER:PASSWORD@" off the front.
void take_credentials(std::string_view& text, Address& address) {
  const size_t at = text.rfind('@');
  if (at == std::string_view::npos) return;
  const std::string_view credentials = text.substr(0, at);
  text.remove_prefix(at + 1);
  const size_t colon = credentials.find(':');
  address.user = percent_decoded(credentials.substr(0, colon));
  if (colon != std::string_view::npos)
    address.password = percent_decoded(credentials.substr(colon + 1));
}

Result<void> take_host_and_port(std::string_view text, Address& address) {
  std::string_view host = text, port;
  if (text.starts_with("[")) {
    const size_t close = text.find(']');
    if (close == std::string_view::npos)
      return Error("an address without its ']'", std::string(kForm));
    host = text.substr(1, close - 1);
    if (text.size() > close + 1) {
      if (text[close + 1] != ':') return Error("what follows ']' is no port", std::string(kForm));
      port = text.substr(close + 2);
      if (port.empty()) return Error("a ':' without a port", std::string(kForm));
    }
  } else if (const size_t colon = text.rfind(':'); colon != std::string_view::npos) {
    host = text.substr(0, colon);
    port = text.substr(colon + 1);
    if (port.empty()) return Error("a ':' without a port", std::string(kForm));
  }
  if (host.empty()) return Error("no host", std::string(kForm));
  address.host = std::string(host);
  if (!port.empty()) {
    const auto number = number_in<unsigned>(port, 1, 65535);
    if (!number) return Error("no port between 1 and 65535", std::string(kForm));
    address.port = *number;
  }
  return {};
}

// What getaddrinfo() says; 0: found.
int look_up(const Address& address, int flags, std::vector<SocketAddress>& found) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags;
  addrinfo* list = nullptr;
  const int failure =
      getaddrinfo(address.host.c_str(), std::to_string(address.port).c_str(), &hints, &list);
  if (failure != 0) return failure;
  for (const addrinfo* entry = list; entry != nullptr; entry = entry->ai_next)
    found.push_back({entry->ai_family, std::string(reinterpret_cast<const char*>(entry->ai_addr),
                                                   entry->ai_addrlen)});
  freeaddrinfo(list);
  return 0;
}

}  // namespace

bool can_be_a_host(std::string_view text) {
  constexpr size_t kMaxHostSize = 255;
  return !text.empty() && text.size() <= kMaxHostSize &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                  std::string_view(".:-_%").find(c) != std::string_view::npos;
         });
}

std::string Address::label() const {
  return unix_path.empty() ? ServerPlace{host, port}.label() : unix_path;
}

std::string ServerPlace::label() const {
  if (host.find(':') != std::string::npos) return '[' + host + "]:" + std::to_string(port);
  return host + ':' + std::to_string(port);
}

Result<Address> parse_address(std::string_view text, unsigned default_port) {
  Address address;
  address.port = default_port;
  if (text.starts_with("unix://")) {
    text.remove_prefix(7);
    if (const size_t query = text.find("?db="); query != std::string_view::npos) {
      const auto number = number_in<int>(text.substr(query + 4), 0, 1 << 20);
      if (!number) return Error("no number of a database after ?db=");
      address.database = *number;
      text = text.substr(0, query);
    }
    if (!text.starts_with("/")) take_credentials(text, address);
    if (!text.starts_with("/") || text.size() >= sizeof(sockaddr_un::sun_path))
      return Error("no absolute path of a socket", "write it as unix:///run/redis/redis.sock");
    address.unix_path = std::string(text);
    return address;
  }
  if (text.starts_with("redis://")) {
    text.remove_prefix(8);
  } else if (text.starts_with("rediss://")) {
    text.remove_prefix(9);
    address.secure = true;
  } else if (text.find("://") != std::string_view::npos) {
    return Error("no such kind of address", std::string(kForm));
  }
  take_credentials(text, address);
  if (const size_t slash = text.find('/'); slash != std::string_view::npos) {
    const std::string_view database = text.substr(slash + 1);
    if (!database.empty()) {
      const auto number = number_in<int>(database, 0, 1 << 20);
      if (!number) return Error("no number of a database after '/'", std::string(kForm));
      address.database = *number;
    }
    text = text.substr(0, slash);
  }
  GORDIAN_TRY(, take_host_and_port(text, address));
  return address;
}

std::optional<std::vector<SocketAddress>> resolve_numbers(const Address& address) {
  std::vector<SocketAddress> found;
  if (address.unix_path.empty()) {
    if (look_up(address, AI_NUMERICHOST | AI_NUMERICSERV, found) != 0) return std::nullopt;
    return found;
  }
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  std::memcpy(name.sun_path, address.unix_path.c_str(), address.unix_path.size() + 1);
  found.push_back({AF_UNIX, std::string(reinterpret_cast<const char*>(&name), sizeof name)});
  return found;
}

Result<std::vector<SocketAddress>> resolve(const Address& address) {
  if (auto found = resolve_numbers(address)) return std::move(*found);
  std::vector<SocketAddress> found;
  if (const int failure = look_up(address, 0, found); failure != 0)
    return Error(std::string("cannot find the host: ") + gai_strerror(failure)).in(address.label());
  return found;
}

Result<FileDescriptor> start_connecting(const SocketAddress& to) {
  FileDescriptor fd(socket(to.family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return Error::from_errno("socket");
  if (to.family != AF_UNIX) {
    const int on = 1;
    setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd.get(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  }
  const int result = connect(fd.get(), reinterpret_cast<const sockaddr*>(to.bytes.data()),
                             static_cast<socklen_t>(to.bytes.size()));
  if (result != 0 && errno != EINPROGRESS) return Error::from_errno("connect");
  return fd;
}

int connect_result(int fd) {
  int failure = 0;
  socklen_t size = sizeof failure;
  if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &size) != 0) return errno;
  return failure;
}

}  // namespace gordian::redis
