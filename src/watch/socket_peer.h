// SPDX-License-Identifier: Apache-2.0
// The socket at the other end of a connection, if both ends are on this machine.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace gordian::watch {

// UNIX sockets by sock_diag, TCP by the tables of the process's own network namespace; sockets are
// named by their inodes, as in /proc/PID/fd. Nullopt: another kind, not connected, not yet
// accepted, or the other end is elsewhere.
std::optional<uint64_t> find_socket_peer(int pid, uint64_t inode);

// The same in the text of /proc/net/tcp, with that of tcp6 behind it: a connection may have one end
// in each.
std::optional<uint64_t> find_tcp_peer(std::string_view tables, uint64_t inode);

}  // namespace gordian::watch
