// SPDX-License-Identifier: Apache-2.0
#include "redis/direct_connection.h"

#include "redis/event_loop.h"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

namespace gordian::redis {
namespace {

bool wait_until_connected(int fd, std::chrono::milliseconds timeout) {
  pollfd entry{.fd = fd, .events = POLLOUT, .revents = 0};
  return ::poll(&entry, 1, static_cast<int>(timeout.count())) == 1 && connect_result(fd) == 0;
}

bool make_blocking(int fd) {
  const int flags = fcntl(fd, F_GETFL);
  return flags >= 0 && fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) == 0;
}

bool limit_time(int fd, std::chrono::milliseconds timeout) {
  const timeval time{.tv_sec = timeout.count() / 1000, .tv_usec = timeout.count() % 1000 * 1000};
  return setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time) == 0 &&
         setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof time) == 0;
}

bool greet(Stream& stream, TimePoint until) {
  while (Clock::now() < until && limit_time(stream.fd(), time_left(until))) {
    const Stream::Greeting greeting = stream.greet();
    if (greeting == Stream::Greeting::Done) return true;
    if (greeting == Stream::Greeting::Failed) return false;
  }
  return false;
}

}  // namespace

DirectConnection::DirectConnection(Stream stream, const DirectSetup& setup)
    : stream_(std::move(stream)),
      reader_(redisReaderCreate()),
      generation_(setup.generation),
      server_(setup.server) {}

std::unique_ptr<DirectConnection> DirectConnection::open(const DirectSetup& setup,
                                                         std::string* failure) {
  const TimePoint until = Clock::now() + setup.timeout;
  Result<FileDescriptor> fd = start_connecting(setup.to);
  if (!fd || !wait_until_connected(fd->get(), setup.timeout) || !make_blocking(fd->get()))
    return nullptr;
  Stream stream =
      setup.tls ? Stream(std::move(*fd), *setup.tls, setup.host) : Stream(std::move(*fd));
  if (setup.tls && !greet(stream, until)) {
    if (failure != nullptr) *failure = stream.failure().empty() ? kNoTlsAnswer : stream.failure();
    return nullptr;
  }
  std::unique_ptr<DirectConnection> connection(new DirectConnection(std::move(stream), setup));
  const auto accepted = [&connection, until](std::string_view bytes) {
    const Reply reply = connection->ask(bytes, time_left(until));
    return reply != nullptr && !is_error(reply.get());
  };
  if (!setup.password.empty() && !accepted(auth_command(setup.user, setup.password)))
    return nullptr;
  if (setup.database != 0 && !accepted(command({"SELECT", std::to_string(setup.database)})))
    return nullptr;
  const Reply id_reply = connection->ask(command({"CLIENT", "ID"}), time_left(until));
  if (id_reply == nullptr) return nullptr;
  if (id_reply->type == REDIS_REPLY_INTEGER)
    connection->id_ = static_cast<uint64_t>(id_reply->integer);
  if (setup.pushed_to != 0 && !accepted(tracking_command(setup.pushed_to, setup.no_loop)))
    return nullptr;
  return connection;
}

Result<std::unique_ptr<DirectConnection>> DirectConnection::open(
    const Address& address, std::chrono::milliseconds timeout) {
  GORDIAN_TRY(const std::vector<SocketAddress> addresses, resolve(address));
  std::string failure = "cannot connect, or it does not let us in";
  for (const SocketAddress& to : addresses) {
    std::unique_ptr<DirectConnection> connection = open({.to = to,
                                                         .user = address.user,
                                                         .password = address.password,
                                                         .database = address.database,
                                                         .tls = address.tls,
                                                         .host = address.host,
                                                         .timeout = timeout},
                                                        &failure);
    if (connection) return connection;
  }
  return Error(failure, "is a server there, and are user, password and database right?");
}

bool DirectConnection::send_all(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t size = stream_.write(bytes.data(), bytes.size());
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(size));
  }
  return true;
}

Reply DirectConnection::read_one() {
  char bytes[4096];
  size_t total = 0;
  while (true) {
    const ssize_t size = stream_.read(bytes, sizeof bytes);
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return nullptr;
    total += static_cast<size_t>(size);
    if (total > kMaxReplyBytes ||
        redisReaderFeed(reader_.get(), bytes, static_cast<size_t>(size)) != REDIS_OK)
      return nullptr;
    void* raw = nullptr;
    if (redisReaderGetReply(reader_.get(), &raw) != REDIS_OK) return nullptr;
    if (raw != nullptr) return Reply(static_cast<redisReply*>(raw));
  }
}

Reply DirectConnection::ask(std::string_view bytes, std::chrono::milliseconds at_most) {
  if (!usable_) return nullptr;
  at_most = std::max(at_most, std::chrono::milliseconds(1));
  // A little less than allowed will do: to set it costs as much as to send.
  if (at_most < timeout_ || at_most > timeout_ + std::chrono::milliseconds(10)) {
    limit_time(stream_.fd(), at_most);
    timeout_ = at_most;
  }
  Reply reply;
  if (send_all(bytes)) reply = read_one();
  if (reply == nullptr) usable_ = false;
  return reply;
}

}  // namespace gordian::redis
