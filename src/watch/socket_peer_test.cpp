// SPDX-License-Identifier: Apache-2.0
#include "watch/socket_peer.h"

#include <array>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <string>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

namespace gordian::watch {
namespace {

uint64_t inode_of(int fd) {
  struct stat status {};
  return fstat(fd, &status) == 0 ? status.st_ino : 0;
}

// A connection over loopback: a client of IPv4, a server of `family`.
struct Loopback {
  explicit Loopback(int family) {
    listener = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in6 wide{};
    sockaddr_in narrow{};
    narrow.sin_family = AF_INET;
    narrow.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    wide.sin6_family = AF_INET6;
    // ::ffff:127.0.0.1, so that nobody else can reach it either.
    wide.sin6_addr.s6_addr[10] = wide.sin6_addr.s6_addr[11] = 0xff;
    wide.sin6_addr.s6_addr[12] = 127;
    wide.sin6_addr.s6_addr[15] = 1;
    const int off = 0;
    if (family == AF_INET6) setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    const bool bound =
        family == AF_INET6
            ? bind(listener, reinterpret_cast<const sockaddr*>(&wide), sizeof wide) == 0
            : bind(listener, reinterpret_cast<const sockaddr*>(&narrow), sizeof narrow) == 0;
    sockaddr_storage here{};
    socklen_t size = sizeof here;
    if (!bound || listen(listener, 1) != 0 ||
        getsockname(listener, reinterpret_cast<sockaddr*>(&here), &size) != 0)
      return;
    narrow.sin_port = family == AF_INET6 ? reinterpret_cast<const sockaddr_in6&>(here).sin6_port
                                         : reinterpret_cast<const sockaddr_in&>(here).sin_port;
    client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    is_connected = connect(client, reinterpret_cast<const sockaddr*>(&narrow), sizeof narrow) == 0;
  }
  ~Loopback() {
    for (const int fd : {server, client, listener})
      if (fd >= 0) close(fd);
  }
  Loopback(const Loopback&) = delete;
  Loopback& operator=(const Loopback&) = delete;

  int listener = -1;
  int client = -1;
  int server = -1;
  bool is_connected = false;
};

TEST(SocketPeer, TheEndsOfAUnixPairKnowEachOther) {
  std::array<int, 2> ends{};
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()), 0);
  EXPECT_EQ(find_socket_peer(getpid(), inode_of(ends[0])), inode_of(ends[1]));
  close(ends[0]);
  close(ends[1]);
}

TEST(SocketPeer, TheEndsOfATcpConnectionKnowEachOther) {
  for (const int family : {AF_INET, AF_INET6}) {
    Loopback connection(family);
    if (family == AF_INET6 && !connection.is_connected) continue;  // no IPv6 here
    ASSERT_TRUE(connection.is_connected);
    EXPECT_EQ(find_socket_peer(getpid(), inode_of(connection.client)), std::nullopt)
        << "not yet accepted";
    connection.server = accept(connection.listener, nullptr, nullptr);
    ASSERT_GE(connection.server, 0);
    EXPECT_EQ(find_socket_peer(getpid(), inode_of(connection.client)), inode_of(connection.server));
    EXPECT_EQ(find_socket_peer(getpid(), inode_of(connection.server)), inode_of(connection.client));
    EXPECT_EQ(find_socket_peer(getpid(), inode_of(connection.listener)), std::nullopt);
  }
}

TEST(SocketPeer, DamagedTablesAndOtherHostsHaveNoPeer) {
  const std::string line =
      "   1: 0100007F:1F90 0200000A:9C40 01 00000000:00000000 00:00000000 00000000     0        0 "
      "4711 1 0 20 4 30 10 -1";
  EXPECT_EQ(find_tcp_peer(line, 4711), std::nullopt);
  for (size_t length = 0; length < line.size(); ++length)
    EXPECT_EQ(find_tcp_peer(line.substr(0, length), 4711), std::nullopt);
  EXPECT_EQ(find_tcp_peer("\n\n : :\n", 0), std::nullopt);
}

}  // namespace
}  // namespace gordian::watch
