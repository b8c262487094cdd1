// SPDX-License-Identifier: Apache-2.0
#include "proxy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdexcept>
#include <sys/socket.h>
#include <unistd.h>

namespace redis_test {
namespace {

sockaddr_in loopback(unsigned port) {
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_port = htons(static_cast<uint16_t>(port));
  name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return name;
}

void send_all(int fd, const std::string& bytes) {
  size_t sent = 0;
  while (sent < bytes.size()) {
    const ssize_t size = send(fd, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (size <= 0) return;
    sent += static_cast<size_t>(size);
  }
}

}  // namespace

Proxy::Proxy(unsigned server_port) : server_port_(server_port) {
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in name = loopback(0);
  socklen_t size = sizeof name;
  if (bind(listener_, reinterpret_cast<const sockaddr*>(&name), size) != 0 ||
      listen(listener_, 64) != 0)
    throw std::runtime_error("proxy: no port");
  getsockname(listener_, reinterpret_cast<sockaddr*>(&name), &size);
  port_ = ntohs(name.sin_port);
  thread_ = std::thread([this] { run(); });
}

Proxy::~Proxy() {
  stopping_ = true;
  thread_.join();
  for (const Pair& pair : pairs_) {
    close(pair.client);
    close(pair.server);
  }
  close(listener_);
}

void Proxy::accept_one() {
  Pair pair;
  pair.client = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
  if (pair.client < 0) return;
  pair.server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_in name = loopback(server_port_);
  if (connect(pair.server, reinterpret_cast<const sockaddr*>(&name), sizeof name) != 0)
    pair.ended = true;
  const int on = 1;
  for (const int fd : {pair.client, pair.server})
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  const std::lock_guard lock(mutex_);
  pairs_.push_back(pair);
}

void Proxy::run() {
  while (!stopping_) {
    std::vector<pollfd> entries{{listener_, POLLIN, 0}};
    {
      const std::lock_guard lock(mutex_);
      for (const Pair& pair : pairs_) {
        entries.push_back({pair.client, POLLIN, 0});
        entries.push_back({pair.server, POLLIN, 0});
      }
    }
    poll(entries.data(), entries.size(), 5);
    if (entries[0].revents != 0) accept_one();
    const std::lock_guard lock(mutex_);
    for (size_t i = 0; i < pairs_.size(); ++i) {
      Pair& pair = pairs_[i];
      char bytes[16384];
      for (const bool from_client : {true, false}) {
        const size_t at = 1 + i * 2 + (from_client ? 0 : 1);
        if (at >= entries.size() || entries[at].revents == 0) continue;
        const ssize_t size =
            recv(from_client ? pair.client : pair.server, bytes, sizeof bytes, MSG_DONTWAIT);
        if (size == 0) pair.ended = true;
        if (size <= 0) continue;
        std::string passing(bytes, static_cast<size_t>(size));
        (from_client ? commands_seen_ : replies_seen_) += passing;
        if (from_client) {
          for (const char* const word : {"SUBSCRIBE", "HELLO"})
            if (passing.find(word) != std::string::npos) pair.pushed_to = true;
          if (const size_t found =
                  change_from_.empty() ? std::string::npos : passing.find(change_from_);
              found != std::string::npos)
            passing.replace(found, change_from_.size(), change_to_);
          pair.commands += passing;
        } else {
          if (pair.replies.empty()) pair.replies_since = std::chrono::steady_clock::now();
          pair.replies += passing;
        }
      }
      if (!holds_commands_) {
        send_all(pair.server, pair.commands);
        pair.commands.clear();
      }
      const std::chrono::milliseconds delay(reply_delay_ms_);
      const bool holds = holds_replies_ || (holds_answers_ && !pair.pushed_to);
      if (!holds && std::chrono::steady_clock::now() >= pair.replies_since + delay) {
        send_all(pair.client, pair.replies);
        pair.replies.clear();
      }
    }
    std::erase_if(pairs_, [](const Pair& pair) {
      if (!pair.ended) return false;
      close(pair.client);
      close(pair.server);
      return true;
    });
  }
}

void Proxy::cut() {
  const std::lock_guard lock(mutex_);
  for (Pair& pair : pairs_) pair.ended = true;
}

void Proxy::inject(const std::string& bytes) {
  const std::lock_guard lock(mutex_);
  for (Pair& pair : pairs_)
    if (pair.pushed_to) pair.replies += bytes;
}

void Proxy::change_commands(std::string from, std::string to) {
  const std::lock_guard lock(mutex_);
  change_from_ = std::move(from);
  change_to_ = std::move(to);
}

std::string Proxy::commands_seen() const {
  const std::lock_guard lock(mutex_);
  return commands_seen_;
}

std::string Proxy::replies_seen() const {
  const std::lock_guard lock(mutex_);
  return replies_seen_;
}

}  // namespace redis_test
