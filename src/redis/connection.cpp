// SPDX-License-Identifier: Apache-2.0
#include "redis/connection.h"

#include <cerrno>
#include <cstring>
#include <sys/epoll.h>

namespace gordian::redis {

Connection::Connection(EventLoop& loop, OnOpen on_open, OnPush on_push, OnEnd on_end)
    : loop_(loop),
      on_open_(std::move(on_open)),
      on_push_(std::move(on_push)),
      on_end_(std::move(on_end)) {}

Connection::~Connection() { close(); }

void Connection::open(std::vector<SocketAddress> addresses, const Address& server,
                      std::chrono::milliseconds timeout) {
  close();
  tls_ = server.tls;
  host_ = server.host;
  addresses_ = std::move(addresses);
  next_address_ = 0;
  connect_timeout_ = timeout;
  life_ += 1;
  state_ = State::Connecting;
  try_next("no address");
}

void Connection::try_next(const std::string& failure) {
  loop_.cancel(connect_timer_);
  state_ = State::Connecting;
  if (stream_) {
    loop_.forget(stream_.fd());
    stream_.reset();
  }
  std::string last = failure;
  while (next_address_ < addresses_.size()) {
    Result<FileDescriptor> fd = start_connecting(addresses_[next_address_++]);
    if (!fd) {
      last = fd.error().message;
      continue;
    }
    stream_ = tls_ ? Stream(std::move(*fd), *tls_, host_) : Stream(std::move(*fd));
    wants_write_ = true;
    loop_.watch(stream_.fd(), EPOLLIN | EPOLLOUT, [this](uint32_t events) { ready(events); });
    connect_timer_ = loop_.at(Clock::now() + connect_timeout_, [this] {
      connect_timer_ = {};
      try_next(state_ == State::Greeting ? kNoTlsAnswer : "connect: no answer in time");
    });
    return;
  }
  finish(last, true);
}

void Connection::ready(uint32_t events) {
  if (state_ == State::Connecting) {
    if (const int failure = connect_result(stream_.fd()); failure != 0) {
      try_next(std::string("connect: ") + std::strerror(failure));
      return;
    }
    if ((events & EPOLLOUT) == 0) return;
    state_ = State::Greeting;
  }
  if (state_ == State::Greeting) {
    greet();
    return;
  }
  const uint64_t life = life_;
  if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
    // What TLS has decrypted already makes no event.
    do {
      read_replies();
    } while (life == life_ && state_ == State::Open && stream_.has_more());
  }
  if (life == life_ && state_ == State::Open && (events & EPOLLOUT) != 0) flush();
}

void Connection::greet() {
  switch (stream_.greet()) {
    case Stream::Greeting::WantsToRead:
      loop_.change(stream_.fd(), EPOLLIN);
      return;
    case Stream::Greeting::WantsToWrite:
      loop_.change(stream_.fd(), EPOLLOUT);
      return;
    case Stream::Greeting::Failed:
      try_next(std::string(stream_.failure()));
      return;
    case Stream::Greeting::Done:
      break;
  }
  loop_.cancel(connect_timer_);
  state_ = State::Open;
  reader_.reset(redisReaderCreate());
  unparsed_ = 0;
  last_heard_ = Clock::now();
  wants_write_ = false;
  subscribes_ = false;
  loop_.change(stream_.fd(), EPOLLIN);
  on_open_();
}

void Connection::send_later(std::string_view bytes, OnReply on_reply, TimePoint answer_by) {
  out_ += bytes;
  pending_.push_back({std::move(on_reply), answer_by});
}

void Connection::send(std::string_view bytes, OnReply on_reply, TimePoint answer_by) {
  send_later(bytes, std::move(on_reply), answer_by);
  flush();
}

void Connection::subscribe(std::string_view channel, OnReply on_reply, TimePoint answer_by) {
  subscribes_ = true;
  send(command({"SUBSCRIBE", channel}), std::move(on_reply), answer_by);
}

void Connection::flush() {
  if (state_ != State::Open) return;
  size_t sent = 0;
  while (sent < out_.size()) {
    const ssize_t size = stream_.write(out_.data() + sent, out_.size() - sent);
    if (size < 0 && errno == EINTR) continue;
    // An error shows when reading, from the loop: the callers of send() need no answer inside it.
    if (size <= 0) break;
    sent += static_cast<size_t>(size);
  }
  out_.erase(0, sent);
  if (wants_write_ != !out_.empty()) {
    wants_write_ = !out_.empty();
    loop_.change(stream_.fd(), wants_write_ ? EPOLLIN | EPOLLOUT : EPOLLIN);
  }
}

void Connection::read_replies() {
  const uint64_t life = life_;
  char bytes[16384];
  const ssize_t size = stream_.read(bytes, sizeof bytes);
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (size <= 0) {
    finish(size == 0 ? "the server closed the connection" : "read: " + stream_.failure(), true);
    return;
  }
  last_heard_ = Clock::now();
  unparsed_ += static_cast<size_t>(size);
  if (unparsed_ > kMaxReplyBytes ||
      redisReaderFeed(reader_.get(), bytes, static_cast<size_t>(size)) != REDIS_OK) {
    finish("a reply without an end", true);
    return;
  }
  while (true) {
    void* raw = nullptr;
    if (redisReaderGetReply(reader_.get(), &raw) != REDIS_OK) {
      finish("not the protocol of Redis: is it another server?", true);
      return;
    }
    if (raw == nullptr) return;
    const Reply reply(static_cast<redisReply*>(raw));
    unparsed_ = reader_->len - reader_->pos;
    if (is_push(reply.get()) || (subscribes_ && text_of(element(reply.get(), 0)) == "message")) {
      on_push_(reply.get());
    } else if (!pending_.empty()) {
      const Pending pending = std::move(pending_.front());
      pending_.pop_front();
      pending.on_reply(reply.get());
    }
    if (life != life_ || state_ != State::Open) return;
  }
}

TimePoint Connection::late_at() const {
  return pending_.empty() ? TimePoint::max() : pending_.front().answer_by;
}

void Connection::fail(const std::string& reason) {
  if (state_ != State::Closed) finish(reason, true);
}

void Connection::close() { finish({}, false); }

void Connection::finish(const std::string& reason, bool tell) {
  const bool was_open = state_ != State::Closed;
  loop_.cancel(connect_timer_);
  if (stream_) loop_.forget(stream_.fd());
  stream_.reset();
  reader_.reset();
  out_.clear();
  state_ = State::Closed;
  life_ += 1;
  std::deque<Pending> pending;
  pending.swap(pending_);
  for (const Pending& one : pending) one.on_reply(nullptr);
  if (tell && was_open) on_end_(reason);
}

}  // namespace gordian::redis
