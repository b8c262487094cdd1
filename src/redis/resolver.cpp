// SPDX-License-Identifier: Apache-2.0
#include "redis/resolver.h"

#include "redis/quiet_thread.h"

#include <mutex>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace gordian::redis {
namespace {

// Names come from sentinels and clusters, too, which may make up any number of them.
constexpr unsigned kMostLookups = 16;
constexpr size_t kMostNames = 1000;

}  // namespace

struct Resolver::Answers {
  FileDescriptor bell{eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  std::mutex mutex;
  std::vector<std::pair<std::string, Result<std::vector<SocketAddress>>>> found;  // under it
};

Resolver::Resolver(EventLoop& loop, std::chrono::milliseconds time_limit)
    : loop_(loop), time_limit_(time_limit), answers_(std::make_shared<Answers>()) {
  if (!answers_->bell) throw std::system_error(errno, std::generic_category(), "eventfd");
  loop_.watch(answers_->bell.get(), EPOLLIN, [this](uint32_t) { take_answers(); });
}

Resolver::~Resolver() { shut_down(); }

void Resolver::shut_down() {
  if (std::exchange(ending_, true)) return;
  loop_.forget(answers_->bell.get());
  for (auto& [label, name] : names_) loop_.cancel(name.timer);
  names_.clear();
}

void Resolver::resolve(const Address& address, OnResolved on_resolved) {
  if (const auto at_once = resolve_numbers(address)) {
    on_resolved(*at_once);
    return;
  }
  if (ending_) return;
  const std::string label = address.label();
  if (names_.size() >= kMostNames)
    std::erase_if(names_, [](const auto& entry) {
      return entry.second.waiting.empty() && !entry.second.under_way;
    });
  Name& name = names_[label];
  name.waiting.push_back(std::move(on_resolved));
  if (name.timer.second == 0)
    name.timer = loop_.at(Clock::now() + time_limit_, [this, label] {
      names_[label].timer = {};
      answer(label, Error("cannot find the host: no answer in time").in(label));
    });
  if (!name.under_way && !start_looking_up(label, address))
    answer(label, Error("cannot find the host: too many are being looked for").in(label));
}

bool Resolver::start_looking_up(const std::string& label, const Address& address) {
  if (under_way_ >= kMostLookups) return false;
  try {
    start_quiet_thread([answers = answers_, label, address] {
      auto found = redis::resolve(address);
      {
        const std::lock_guard lock(answers->mutex);
        answers->found.emplace_back(label, std::move(found));
      }
      const uint64_t one = 1;
      [[maybe_unused]] const ssize_t written = ::write(answers->bell.get(), &one, sizeof one);
    }).detach();
  } catch (const std::system_error&) {
    return false;  // no more threads
  }
  names_[label].under_way = true;
  under_way_ += 1;
  return true;
}

void Resolver::take_answers() {
  uint64_t rung = 0;
  [[maybe_unused]] const ssize_t size = ::read(answers_->bell.get(), &rung, sizeof rung);
  decltype(answers_->found) found;
  {
    const std::lock_guard lock(answers_->mutex);
    found.swap(answers_->found);
  }
  for (const auto& [label, addresses] : found) {
    under_way_ -= 1;
    Name& name = names_[label];
    name.under_way = false;
    if (addresses) name.last_known = *addresses;
    answer(label, addresses);
    if (ending_) return;
  }
}

void Resolver::answer(const std::string& label, const Result<std::vector<SocketAddress>>& found) {
  Name& name = names_[label];
  loop_.cancel(name.timer);
  const Result<std::vector<SocketAddress>> told =
      found || name.last_known.empty() ? found : Result(name.last_known);
  for (const OnResolved& one : std::exchange(name.waiting, {})) one(told);
}

}  // namespace gordian::redis
