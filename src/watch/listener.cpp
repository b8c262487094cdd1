// SPDX-License-Identifier: Apache-2.0
#include "watch/listener.h"

#include <cstddef>
#include <cstdio>
#include <cstring>
#include <optional>
#include <random>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace gordian::watch {
namespace {

constexpr int kBacklog = 4096;  // a fork storm: the kernel cuts it to somaxconn

// One message of a connection; nullopt when it is none of ours.
std::optional<Greeting> read_greeting(int fd) {
  Greeting greeting;
  ucred credentials{};
  socklen_t size = sizeof(credentials);
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) return std::nullopt;
  greeting.pid = credentials.pid;
  greeting.uid = credentials.uid;

  iovec part{.iov_base = &greeting.hello, .iov_len = sizeof(greeting.hello)};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * 4)];
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  const ssize_t got = recvmsg(fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  if (got >= 0) {
    for (cmsghdr* part_header = CMSG_FIRSTHDR(&message); part_header != nullptr;
         part_header = CMSG_NXTHDR(&message, part_header)) {
      if (part_header->cmsg_level != SOL_SOCKET || part_header->cmsg_type != SCM_RIGHTS) continue;
      const size_t count = (part_header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
      for (size_t i = 0; i < count; ++i) {
        int received = -1;
        std::memcpy(&received, CMSG_DATA(part_header) + i * sizeof(int), sizeof(int));
        // More than two is hostile: the last stays.
        (greeting.board ? greeting.recording : greeting.board) = FileDescriptor(received);
      }
    }
  }
  if (got != static_cast<ssize_t>(sizeof(greeting.hello))) return std::nullopt;
  if (greeting.hello.magic != format::kBoardMagic) return std::nullopt;
  return greeting;
}

}  // namespace

Result<Listener> Listener::open() {
  std::random_device random;
  char suffix[32];
  std::snprintf(suffix, sizeof(suffix), "%08x%08x", random(), random());
  std::string name = "gordian-" + std::to_string(getpid()) + "-" + suffix;

  FileDescriptor listening(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!listening) return Error::from_errno("cannot make a socket for the boards");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  // Abstract: the first byte stays NUL, nothing appears in the file system.
  std::memcpy(address.sun_path + 1, name.data(), name.size());
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  if (bind(listening.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0 ||
      listen(listening.get(), kBacklog) != 0) {
    return Error::from_errno("cannot listen for the boards");
  }
  FileDescriptor epoll(epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) return Error::from_errno("epoll");
  epoll_event event{.events = EPOLLIN, .data = {.fd = listening.get()}};
  if (epoll_ctl(epoll.get(), EPOLL_CTL_ADD, listening.get(), &event) != 0)
    return Error::from_errno("epoll");
  return Listener(std::move(name), std::move(listening), std::move(epoll));
}

void Listener::accept_all() {
  while (pending_.size() < kMaxPending) {
    FileDescriptor connection(
        accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!connection) return;
    const int fd = connection.get();
    epoll_event event{.events = EPOLLIN | EPOLLRDHUP, .data = {.fd = fd}};
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0)
      pending_[fd] = std::move(connection);
  }
}

std::vector<Greeting> Listener::receive() {
  std::vector<Greeting> greetings;
  epoll_event events[256];
  for (;;) {
    const int count = epoll_wait(epoll_.get(), events, 256, 0);
    if (count <= 0) return greetings;
    for (int i = 0; i < count; ++i) {
      const int fd = events[i].data.fd;
      if (fd == socket_.get()) {
        const size_t before = pending_.size();
        accept_all();
        // Full of silent connections: somebody plays with us. The oldest descriptors go.
        if (pending_.size() == before && pending_.size() >= kMaxPending)
          pending_.erase(pending_.begin());
        continue;
      }
      if (auto greeting = read_greeting(fd)) greetings.push_back(std::move(*greeting));
      pending_.erase(fd);
    }
    if (greetings.size() >= kMaxPending) return greetings;
  }
}

}  // namespace gordian::watch
