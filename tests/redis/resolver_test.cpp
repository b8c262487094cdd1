// SPDX-License-Identifier: Apache-2.0
// Names that take long to look up, or are not found at all: what was connected goes on.
#include "gordian/redis_lock.h"
#include "proxy.h"
#include "redis_server.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstring>
#include <dirent.h>
#include <dlfcn.h>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netdb.h>
#include <optional>

namespace {

// "slow.test" is this machine, once the name service answers: while it is closed it does not.
class NameService {
 public:
  void close() { open_ = false; }
  void open() {
    open_ = true;
    open_.notify_all();
  }
  void wait() {
    ++asked_;
    open_.wait(false);
    ++answered_;
  }
  [[nodiscard]] int asked() const { return asked_; }
  [[nodiscard]] bool is_idle() const { return asked_ == answered_; }

 private:
  std::atomic<bool> open_{true};
  std::atomic<int> asked_{0};
  std::atomic<int> answered_{0};
};
NameService name_service;

}  // namespace

// In front of libc's, for all of this program.
extern "C" int getaddrinfo(const char* node, const char* service, const addrinfo* hints,
                           addrinfo** found) {
  static const auto real =
      reinterpret_cast<decltype(&getaddrinfo)>(dlsym(RTLD_NEXT, "getaddrinfo"));
  if (node == nullptr || std::strcmp(node, "slow.test") != 0 ||
      (hints != nullptr && (hints->ai_flags & AI_NUMERICHOST) != 0))
    return real(node, service, hints, found);
  name_service.wait();
  return real("127.0.0.1", service, hints, found);
}

namespace {

using namespace std::chrono_literals;
using gordian::redis::client_options;
using gordian::redis::lease;
using gordian::redis::lock_client;
using redis_test::RedisServer;
using redis_test::wait_until;
using SteadyClock = std::chrono::steady_clock;

std::string slow_url(unsigned port) { return "redis://slow.test:" + std::to_string(port); }

class SlowNames : public ::testing::Test {
 protected:
  ~SlowNames() override {
    name_service.open();
    wait_until([] { return name_service.is_idle(); });
  }
};

TEST_F(SlowNames, LeasesAreRenewedWhileOneIsLookedUp) {
  RedisServer one, two, three;
  name_service.close();
  const int asked = name_service.asked();
  client_options options;
  options.servers = {one.url(), two.url(), slow_url(three.port())};
  options.kind = gordian::redis::topology::independent;
  options.validity = 600ms;
  options.extend_interval = 50ms;
  lock_client client(options);
  const lease held = client.acquire("a");
  wait_until([&] { return name_service.asked() > asked; });
  const auto at = SteadyClock::now();
  wait_until([&] {
    EXPECT_TRUE(held.valid());
    return SteadyClock::now() - at > 2 * options.validity;
  });
  EXPECT_GT(one.number({"PTTL", "rueidislock:0:a"}), 0);
  EXPECT_EQ(name_service.asked(), asked + 1) << "one look-up of a name at a time";
  name_service.open();
  wait_until([&] {
    client.acquire("b").release();
    return three.info("cmdstat_set").starts_with("calls=");
  });
}

TEST_F(SlowNames, OneThatIsNotFoundInTimeIsToldAndHoldsUpNobody) {
  RedisServer server;
  name_service.close();
  client_options options;
  options.servers = {slow_url(server.port())};
  options.connect_timeout = 200ms;
  const auto at = SteadyClock::now();
  try {
    lock_client client(options);
    FAIL() << "no error";
  } catch (const gordian::redis::transport_error& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("slow.test"));
    EXPECT_THAT(error.what(), testing::HasSubstr("no answer in time"));
  }
  EXPECT_LT(SteadyClock::now() - at, 1s);
  // The client is gone, the look-up is not.
  EXPECT_FALSE(name_service.is_idle());
}

// A server can be reached although its name cannot be looked up any more.
TEST_F(SlowNames, WhatOneStoodForIsUsedAgain) {
  RedisServer server;
  redis_test::Proxy proxy(server.port());
  client_options options;
  options.servers = {slow_url(proxy.port())};
  options.connect_timeout = 200ms;
  options.validity = 3s;
  lock_client client(options);
  const lease held = client.acquire("a");
  const int asked = name_service.asked();
  name_service.close();
  proxy.cut();
  wait_until([&] { return name_service.asked() > asked; });
  wait_until([&] { return server.number({"PTTL", "rueidislock:0:a"}) < 2000; });
  wait_until([&] { return server.number({"PTTL", "rueidislock:0:a"}) > 2500; });
  EXPECT_TRUE(held.valid());
}

// The program's signals are for its own threads.
TEST(IoThread, TakesNoSignals) {
  RedisServer server;
  const lock_client client(redis_test::options_for(server));
  std::optional<uint64_t> blocked;
  DIR* const tasks = opendir("/proc/self/task");
  ASSERT_NE(tasks, nullptr);
  while (const dirent* const task = readdir(tasks)) {
    std::ifstream status("/proc/self/task/" + std::string(task->d_name) + "/status");
    std::string line;
    bool is_it = false;
    while (std::getline(status, line)) {
      if (line == "Name:\tgordian-redis") is_it = true;
      if (is_it && line.starts_with("SigBlk:")) blocked = std::stoull(line.substr(7), nullptr, 16);
    }
  }
  closedir(tasks);
  ASSERT_TRUE(blocked);
  for (const int signal : {SIGTERM, SIGINT, SIGALRM, SIGUSR1, SIGCHLD, SIGPIPE})
    EXPECT_NE(*blocked & (1ULL << (signal - 1)), 0U) << signal;
  EXPECT_EQ(*blocked & (1ULL << (SIGSEGV - 1)), 0U);
}

}  // namespace
