// SPDX-License-Identifier: Apache-2.0
// What a user of one server sees: taking, refusing, waiting, losing.
#include "gordian/redis_lock.h"
#include "redis_server.h"

#include <atomic>
#include <chrono>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace {

using namespace std::chrono_literals;
using gordian::redis::client_options;
using gordian::redis::lease;
using gordian::redis::lock_client;
using redis_test::options_for;
using redis_test::RedisServer;
using Clock = std::chrono::steady_clock;

TEST(Lock, IsTakenAndReleased) {
  RedisServer server;
  lock_client client(options_for(server));
  lease lease = client.acquire("a");
  EXPECT_TRUE(lease.valid());
  EXPECT_EQ(server.number({"EXISTS", "rueidislock:0:a"}), 1);
  lease.release();
  EXPECT_FALSE(lease.valid());
  EXPECT_EQ(server.number({"EXISTS", "rueidislock:0:a"}), 0);
}

TEST(Lock, KeepsOthersOutUntilReleased) {
  RedisServer server;
  lock_client first(options_for(server)), second(options_for(server));
  lease held = first.acquire("a");
  EXPECT_FALSE(second.try_acquire("a").has_value());
  EXPECT_THROW((void)second.acquire("a", Clock::now() + 50ms), gordian::redis::deadline_error);
  std::atomic<bool> has_it{false};
  std::thread waiter([&] {
    const lease mine = second.acquire("a");
    has_it = true;
  });
  EXPECT_FALSE(has_it);
  held.release();
  waiter.join();
  EXPECT_TRUE(has_it);
}

TEST(Lock, IsRenewedWhileHeld) {
  RedisServer server;
  client_options options = options_for(server);
  options.validity = 600ms;  // on a busy machine a renewal may be late
  options.extend_interval = 50ms;
  lock_client client(options);
  const lease held = client.acquire("a");
  const std::string value = server.text({"GET", "rueidislock:0:a"});
  const auto until = Clock::now() + 900ms;
  while (Clock::now() < until) {
    ASSERT_EQ(server.text({"GET", "rueidislock:0:a"}), value);
    ASSERT_TRUE(held.valid());
    std::this_thread::sleep_for(10ms);  // a rate, not a synchronisation
  }
}

TEST(Lock, IsRenewedTogetherWithOthers) {
  RedisServer server;
  client_options options = options_for(server);
  options.validity = 4s;
  options.extend_interval = 1s;
  lock_client client(options);
  std::vector<lease> held;
  for (int i = 0; i < 200; ++i) held.push_back(client.acquire("a" + std::to_string(i)));
  const auto count = [&server](std::string_view field) { return std::stoll(server.info(field)); };
  const long long commands_before = count("total_commands_processed");
  const long long reads_before = count("total_reads_processed");
  long long commands = 0, questions = 2;
  redis_test::wait_until([&] {
    questions += 1;
    commands = count("total_commands_processed") - commands_before - questions;
    return commands >= 3 * 3 * 200;  // three times each, by a script of three
  });
  const long long reads = count("total_reads_processed") - reads_before - questions;
  EXPECT_LT(reads, 300);
  for (const lease& one : held) EXPECT_TRUE(one.valid());
}

TEST(Lock, TellsThatItWasDeleted) {
  RedisServer server;
  lock_client client(options_for(server));
  lease held = client.acquire("a");
  std::atomic<bool> told{false};
  const std::stop_callback on_loss(held.lost(), [&] {
    told = true;
    told.notify_one();
  });
  server.number({"DEL", "rueidislock:0:a"});
  told.wait(false);
  EXPECT_FALSE(held.valid());
  EXPECT_THROW(held.release(), gordian::redis::lost_error);
}

TEST(Lock, TellsThatItWasForced) {
  RedisServer server;
  lock_client first(options_for(server)), second(options_for(server));
  const lease held = first.acquire("a");
  std::atomic<bool> told{false};
  const std::stop_callback on_loss(held.lost(), [&] {
    told = true;
    told.notify_one();
  });
  const lease forced = second.force_acquire("a");
  told.wait(false);
  EXPECT_TRUE(forced.valid());
  EXPECT_EQ(server.number({"EXISTS", "rueidislock:0:a"}), 1);
}

TEST(Lock, IsCancelledByAStopToken) {
  RedisServer server;
  lock_client first(options_for(server)), second(options_for(server));
  const lease held = first.acquire("a");
  std::stop_source source;
  std::thread stopper([&] { source.request_stop(); });
  EXPECT_THROW((void)second.acquire("a", source.get_token()), gordian::redis::cancelled_error);
  stopper.join();
}

TEST(Lock, IsLeftToNobodyByAClientThatIsDestroyed) {
  RedisServer server;
  for (int i = 0; i < 100; ++i) {
    const std::string name = std::to_string(i);
    lock_client client(options_for(server));
    try {
      (void)client.acquire(name, -1ms);
    } catch (const gordian::redis::deadline_error&) {
      // As a rule: the answer may have come first.
    }
    client.async_acquire(name + "!", [](const gordian::redis::acquisition&) {});
  }
  EXPECT_EQ(server.number({"DBSIZE"}), 0);
}

TEST(Lock, OfSeveralIsReleasedWhenTheClientIsDestroyedBeforeItHasAll) {
  RedisServer server;
  lock_client other(options_for(server));
  const lease held = other.acquire("b");
  {
    lock_client client(options_for(server));
    client.async_acquire_all({"a", "b"}, [](const gordian::redis::acquisitions&) {});
    redis_test::wait_until([&] { return server.number({"EXISTS", "rueidislock:0:a"}) == 1; });
  }
  EXPECT_EQ(server.number({"EXISTS", "rueidislock:0:a"}), 0);
}

TEST(Lock, RefusesOptionsThatCannotWork) {
  RedisServer server;
  const auto is_refused = [&server](auto change) {
    client_options options = options_for(server);
    options.fencing = true;
    change(options);
    try {
      const lock_client client(options);
    } catch (const gordian::redis::misuse_error&) {
      return true;
    }
    return false;
  };
  constexpr auto kForEver = std::chrono::milliseconds::max();
  EXPECT_FALSE(is_refused([](auto&) {}));
  EXPECT_TRUE(is_refused([](auto& options) { options.validity = 9ms; }));
  EXPECT_TRUE(is_refused([=](auto& options) { options.validity = kForEver; }));
  // Renewed only when it is over: what the clocks may differ by is taken off.
  EXPECT_TRUE(is_refused([](auto& options) {
    options.validity = 1000ms;
    options.extend_interval = 988ms;
  }));
  EXPECT_TRUE(is_refused([=](auto& options) { options.connect_timeout = kForEver; }));
  EXPECT_TRUE(is_refused([=](auto& options) { options.command_timeout = kForEver; }));
  EXPECT_TRUE(is_refused([=](auto& options) { options.retry_interval = kForEver; }));
  EXPECT_TRUE(is_refused([](auto& options) { options.fencing_lifetime = 0ms; }));
  EXPECT_TRUE(is_refused([=](auto& options) { options.fencing_lifetime = kForEver; }));
  EXPECT_TRUE(is_refused([](auto& options) { options.deadlock_delay = 0ms; }));
  EXPECT_TRUE(is_refused([](auto& options) { options.handover_limit = 4097; }));
  EXPECT_TRUE(is_refused([=](auto& options) { options.deadlock_delay = kForEver; }));
}

TEST(Lock, IsWaitedForHoweverLongTheLimit) {
  RedisServer server;
  lock_client client(options_for(server));
  for (const gordian::redis::wait_limit& limit :
       {gordian::redis::wait_limit(std::chrono::milliseconds::max()),
        gordian::redis::wait_limit(std::chrono::hours::max()),
        gordian::redis::wait_limit(std::chrono::duration<double>::max()),
        gordian::redis::wait_limit(Clock::time_point::max())})
    EXPECT_TRUE(client.acquire("a", limit).valid());
  const gordian::redis::wait_limit over(std::chrono::hours::min());
  EXPECT_LE(over.deadline, Clock::now());
}

TEST(Lock, IsNotHeldByAForkedChild) {
  RedisServer server;
  lock_client client(options_for(server));
  lease held = client.acquire("a");
  const pid_t child = fork();
  if (child == 0) _exit(held.valid() ? 1 : 0);
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_TRUE(held.valid());
}

TEST(Lock, TellsEachOfItsLeasesThatItWasLost) {
  RedisServer server;
  client_options options = options_for(server);
  options.allow_reentry = true;
  lock_client client(options);
  lease outer = client.acquire("a"), inner = client.acquire("a");
  lease reader = client.acquire_shared("b"), same_reader = client.acquire_shared("b");
  server.run({"FLUSHALL"});
  redis_test::wait_until([&] { return !outer.valid() && !reader.valid(); });
  EXPECT_THROW(inner.release(), gordian::redis::lost_error);
  EXPECT_THROW(outer.release(), gordian::redis::lost_error);
  EXPECT_THROW(same_reader.release(), gordian::redis::lost_error);
  EXPECT_THROW(reader.release(), gordian::redis::lost_error);
}

}  // namespace
