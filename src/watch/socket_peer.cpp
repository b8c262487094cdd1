// SPDX-License-Identifier: Apache-2.0
#include "watch/socket_peer.h"

#include "base/file.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <string>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace gordian::watch {
namespace {

constexpr size_t kMaxTable = 16 << 20;

std::optional<uint64_t> find_unix_peer(uint64_t inode) {
  const FileDescriptor link(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
  if (!link) return std::nullopt;
  struct {
    nlmsghdr header;
    unix_diag_req question;
  } request{};
  request.header.nlmsg_len = sizeof request;
  request.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  request.header.nlmsg_flags = NLM_F_REQUEST;
  request.question.sdiag_family = AF_UNIX;
  request.question.udiag_states = UINT32_MAX;
  request.question.udiag_ino = static_cast<uint32_t>(inode);
  request.question.udiag_show = UDIAG_SHOW_PEER;
  request.question.udiag_cookie[0] = request.question.udiag_cookie[1] = UINT32_MAX;
  if (send(link.get(), &request, sizeof request, 0) != static_cast<ssize_t>(sizeof request))
    return std::nullopt;
  alignas(nlmsghdr) char answer[4096];
  const ssize_t got = recv(link.get(), answer, sizeof answer, 0);
  const auto* const header = reinterpret_cast<const nlmsghdr*>(answer);
  if (got < static_cast<ssize_t>(NLMSG_LENGTH(sizeof(unix_diag_msg))) ||
      header->nlmsg_type != SOCK_DIAG_BY_FAMILY)
    return std::nullopt;
  const size_t end = std::min<size_t>(static_cast<size_t>(got), header->nlmsg_len);
  for (size_t at = NLMSG_ALIGN(NLMSG_LENGTH(sizeof(unix_diag_msg))); at + sizeof(rtattr) <= end;) {
    rtattr attribute{};
    std::memcpy(&attribute, answer + at, sizeof attribute);
    uint32_t peer = 0;
    if (attribute.rta_type == UNIX_DIAG_PEER && at + RTA_LENGTH(sizeof peer) <= end) {
      std::memcpy(&peer, answer + at + RTA_LENGTH(0), sizeof peer);
      return peer;
    }
    at += std::max<size_t>(RTA_ALIGN(attribute.rta_len), sizeof attribute);
  }
  return std::nullopt;
}

// The words of a line, which are parted by blanks.
std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> words;
  for (size_t at = 0; (at = line.find_first_not_of(' ', at)) != std::string_view::npos;) {
    const size_t end = std::min(line.find(' ', at), line.size());
    words.push_back(line.substr(at, end - at));
    at = end;
  }
  return words;
}

// "0100007F:1F90" as tcp6 writes the same place.
std::string place_of(std::string_view text) {
  constexpr size_t kShortAddress = 8;
  const bool is_short = text.find(':') == kShortAddress;
  return (is_short ? "0000000000000000FFFF0000" : "") + std::string(text);
}

struct Connection {
  std::string local;
  std::string remote;
  uint64_t inode = 0;
};

std::optional<Connection> read_connection(std::string_view line) {
  constexpr size_t kLocal = 1, kRemote = 2, kInode = 9;
  const std::vector<std::string_view> words = words_of(line);
  if (words.size() <= kInode) return std::nullopt;
  Connection connection{place_of(words[kLocal]), place_of(words[kRemote])};
  const std::string_view inode = words[kInode];
  const auto [end, error] =
      std::from_chars(inode.data(), inode.data() + inode.size(), connection.inode);
  if (error != std::errc() || end != inode.data() + inode.size() || connection.inode == 0)
    return std::nullopt;
  return connection;
}

}  // namespace

std::optional<uint64_t> find_tcp_peer(std::string_view tables, uint64_t inode) {
  std::vector<Connection> connections;
  for (size_t at = 0; at < tables.size();) {
    const size_t end = std::min(tables.find('\n', at), tables.size());
    if (auto connection = read_connection(tables.substr(at, end - at)))
      connections.push_back(*std::move(connection));
    at = end + 1;
  }
  const auto own =
      std::find_if(connections.begin(), connections.end(),
                   [inode](const Connection& connection) { return connection.inode == inode; });
  if (own == connections.end()) return std::nullopt;
  const auto other =
      std::find_if(connections.begin(), connections.end(), [&](const Connection& connection) {
        return connection.local == own->remote && connection.remote == own->local;
      });
  if (other == connections.end()) return std::nullopt;
  return other->inode;
}

std::optional<uint64_t> find_socket_peer(int pid, uint64_t inode) {
  if (const auto peer = find_unix_peer(inode)) return peer;
  std::string tables;
  for (const char* const name : {"/net/tcp", "/net/tcp6"}) {
    const Result<std::string> text = read_file("/proc/" + std::to_string(pid) + name, kMaxTable);
    if (text) tables += *text;
  }
  return find_tcp_peer(tables, inode);
}

}  // namespace gordian::watch
