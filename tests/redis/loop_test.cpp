// SPDX-License-Identifier: Apache-2.0
// Requests that nobody waits for, and a client that a loop of the program's turns.
#include "gordian/redis_lock.h"
#include "redis_server.h"

#include <atomic>
#include <chrono>
#include <functional>
#include <future>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <memory>
#include <optional>
#include <poll.h>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace {

using namespace std::chrono_literals;
using gordian::redis::acquisition;
using gordian::redis::acquisitions;
using gordian::redis::client_options;
using gordian::redis::errc;
using gordian::redis::lease;
using gordian::redis::lock_client;
using gordian::redis::misuse_error;
using redis_test::RedisServer;
using redis_test::wait_until;

client_options options_on_a_loop(const RedisServer& server) {
  client_options options = redis_test::options_for(server);
  options.foreign_loop = true;
  return options;
}

// A loop of the plainest kind. What it waits for may also be another thread's.
::testing::AssertionResult turn_until(lock_client& client, const std::function<bool()>& it_is_so) {
  const auto give_up = std::chrono::steady_clock::now() + 10s;
  while (!it_is_so()) {
    if (std::chrono::steady_clock::now() > give_up)
      return ::testing::AssertionFailure() << "not in 10 s";
    pollfd entry{.fd = client.descriptor(), .events = POLLIN, .revents = 0};
    if (::poll(&entry, 1, 10) == 1) client.run_ready();
  }
  return ::testing::AssertionSuccess();
}

lease taken(lock_client& client, const std::string& name) {
  std::optional<acquisition> result;
  client.async_acquire(name, [&result](acquisition got) { result = std::move(got); });
  EXPECT_TRUE(turn_until(client, [&result] { return result.has_value(); }));
  EXPECT_FALSE(result->code) << result->code.message();
  return std::move(result->held);
}

TEST(Loop, WhatWaitsIsRefusedOnItsThread) {
  RedisServer server;
  lock_client client(options_on_a_loop(server));
  EXPECT_THROW((void)client.acquire("a"), misuse_error);
  EXPECT_THROW((void)client.acquire("a", 10ms), misuse_error);
  EXPECT_THROW((void)client.try_acquire("a"), misuse_error);
  EXPECT_THROW((void)client.force_acquire("a"), misuse_error);
  EXPECT_THROW((void)client.acquire_shared("a"), misuse_error);
  EXPECT_THROW((void)client.acquire_all({"a", "b"}), misuse_error);
  lease held = taken(client, "a");
  EXPECT_THROW(held.release(), misuse_error);
  EXPECT_TRUE(held.valid());  // nothing has happened to it
  EXPECT_EQ(server.number({"EXISTS", "rueidislock:0:a"}), 1);
  held.release_async();
  EXPECT_TRUE(turn_until(client, [&] {
    return server.number({"EXISTS", "rueidislock:0:a"}) == 0;
  }));

  EXPECT_THROW(client.async_acquire("", [](acquisition) {}), misuse_error);
  EXPECT_THROW(client.async_acquire("a", nullptr), misuse_error);
  lock_client with_a_thread(redis_test::options_for(server));
  EXPECT_THROW((void)with_a_thread.descriptor(), misuse_error);
  EXPECT_THROW(with_a_thread.run_ready(), misuse_error);
}

TEST(Loop, OtherThreadsMayWait) {
  const RedisServer server;
  lock_client client(options_on_a_loop(server));
  lease held = taken(client, "a");
  std::atomic<bool> has_it{false};
  std::atomic<bool> has_released{false};
  std::thread other([&] {
    lease mine = client.acquire("a");
    has_it = true;
    mine.release();
    EXPECT_TRUE(client.try_acquire("b"));
    EXPECT_TRUE(client.force_acquire("c").valid());
    has_released = true;
  });
  std::optional<acquisition> tried;
  client.async_try_acquire("a", [&tried](acquisition got) { tried = std::move(got); });
  EXPECT_TRUE(turn_until(client, [&tried] { return tried.has_value(); }));
  EXPECT_EQ(tried->code, errc::not_acquired);
  EXPECT_FALSE(has_it);
  held.release_async();
  EXPECT_TRUE(turn_until(client, [&] { return has_released.load(); }));
  other.join();
}

TEST(Loop, RequestsComeInOrderAndEndInTime) {
  const RedisServer server;
  lock_client client(options_on_a_loop(server));
  lease held = taken(client, "a");
  std::vector<std::string> order;
  std::vector<lease> leases;
  const auto note = [&](const std::string& name) {
    return [&order, &leases, name](acquisition got) {
      order.push_back(name + (got.code ? ": " + got.code.message() : ""));
      if (got.held) leases.push_back(std::move(got.held));
      EXPECT_EQ(got.error == nullptr, !got.code);
    };
  };
  std::stop_source stop;
  const auto asked_at = std::chrono::steady_clock::now();
  client.async_acquire("a", note("first"));
  std::exception_ptr error;
  client.async_acquire(
      "a", [&error](const acquisition& got) { error = got.error; }, 50ms);
  client.async_acquire("a", note("cancelled"), stop.get_token());
  client.async_acquire("a", note("last"));
  EXPECT_TRUE(turn_until(client, [&] { return error != nullptr; }));
  EXPECT_GE(std::chrono::steady_clock::now(), asked_at + 50ms);
  EXPECT_THROW(std::rethrow_exception(error), gordian::redis::deadline_error);
  EXPECT_THAT(order, testing::IsEmpty());
  stop.request_stop();
  EXPECT_TRUE(turn_until(client, [&] { return order.size() == 1; }));
  EXPECT_EQ(order.front(), "cancelled: " + make_error_code(errc::cancelled).message());
  held.release_async();
  EXPECT_TRUE(turn_until(client, [&] { return order.size() == 2; }));
  EXPECT_TRUE(leases.front().valid());
  leases.clear();
  EXPECT_TRUE(turn_until(client, [&] { return order.size() == 3; }));
  EXPECT_THAT(order, testing::ElementsAre(testing::_, "first", "last"));
  leases.clear();
  // Readers together.
  client.async_acquire_shared("r", note("reader"));
  client.async_acquire_shared("r", note("reader"));
  EXPECT_TRUE(turn_until(client, [&] { return leases.size() == 2; }));
}

TEST(Loop, AForcedLockIsTakenFromWhoeverHasIt) {
  RedisServer server;
  lock_client client(options_on_a_loop(server)), other(redis_test::options_for(server));
  const lease of_another = other.acquire("a");
  std::vector<lease> leases;
  const auto note = [&leases](acquisition got) {
    EXPECT_FALSE(got.code) << got.code.message();
    leases.push_back(std::move(got.held));
  };
  client.async_force_acquire("a", note);
  EXPECT_TRUE(turn_until(client, [&] { return leases.size() == 1; }));
  wait_until([&] { return !of_another.valid(); });
  EXPECT_TRUE(leases[0].valid());
  // Whoever it is: that may be this client.
  client.async_force_acquire("a", note);
  EXPECT_TRUE(turn_until(client, [&] { return leases.size() == 2; }));
  EXPECT_FALSE(leases[0].valid());
  EXPECT_TRUE(leases[1].valid());
  EXPECT_FALSE(other.try_acquire("a"));
  EXPECT_THROW(client.async_force_acquire("", note), misuse_error);
  EXPECT_THROW(client.async_force_acquire("a", nullptr), misuse_error);
  server.kill();
  std::exception_ptr error;
  client.async_force_acquire("a", [&error](const acquisition& got) {
    EXPECT_FALSE(got.held);
    error = got.error;
  });
  EXPECT_TRUE(turn_until(client, [&] { return error != nullptr; }));
  EXPECT_THROW(std::rethrow_exception(error), gordian::redis::transport_error);
}

TEST(Loop, OfSeveralLocksAllAreTakenOrNone) {
  RedisServer server;
  lock_client client(options_on_a_loop(server)), other(redis_test::options_for(server));
  lease of_another = other.acquire("c");
  std::optional<acquisitions> result;
  const auto note = [&](acquisitions got) {
    // Nothing is left of what it had by the time it is told.
    if (got.code) {
      EXPECT_THAT(got.held, testing::IsEmpty());
      EXPECT_EQ(server.number({"EXISTS", "rueidislock:0:a", "rueidislock:0:b"}), 0);
    }
    result = std::move(got);
  };
  const std::vector<std::string> names{"b", "a", "c", "b"};
  const auto is_told = [&result] { return result.has_value(); };
  const auto has_two = [&server] {
    return server.number({"EXISTS", "rueidislock:0:a", "rueidislock:0:b"}) == 2;
  };
  client.async_acquire_all({"c"}, note, 50ms);
  EXPECT_TRUE(turn_until(client, is_told));
  EXPECT_EQ(result->code, errc::deadline);
  result.reset();

  std::stop_source stop;
  client.async_acquire_all(names, note, stop.get_token());
  EXPECT_TRUE(turn_until(client, has_two));
  // The answers to these come after it has heard that it has the second, and asked for the third.
  taken(client, "x");
  taken(client, "y");
  EXPECT_FALSE(result);
  stop.request_stop();
  EXPECT_TRUE(turn_until(client, is_told));
  ASSERT_EQ(result->code, errc::cancelled);
  try {
    std::rethrow_exception(result->error);
  } catch (const gordian::redis::cancelled_error& error) {
    EXPECT_THAT(error.what(), testing::StartsWith("lock \"c\""));
  }
  result.reset();

  client.async_acquire_all(names, note);
  EXPECT_TRUE(turn_until(client, has_two));
  of_another.release();
  EXPECT_TRUE(turn_until(client, is_told));
  EXPECT_EQ(result->error, nullptr);
  std::vector<std::string> held;
  for (const lease& one : result->held) held.push_back(one.valid() ? one.name() : "not valid");
  EXPECT_THAT(held, testing::ElementsAre("a", "b", "c"));
  result.reset();

  client.async_acquire_all({}, note);
  EXPECT_TRUE(turn_until(client, is_told));
  EXPECT_FALSE(result->code);
  EXPECT_THROW(client.async_acquire_all({"a", ""}, note), misuse_error);
  EXPECT_THROW(client.async_acquire_all({"a"}, nullptr), misuse_error);
}

TEST(Loop, ALateOneFindsItsLeaseLost) {
  const RedisServer server;
  client_options options = options_on_a_loop(server);
  options.validity = 200ms;
  lock_client client(options);
  const lease held = taken(client, "a");
  lock_client other(redis_test::options_for(server));
  const lease next = other.acquire("a");  // nobody turns the first meanwhile
  EXPECT_FALSE(held.valid());
  EXPECT_TRUE(turn_until(client, [&held] { return held.lost().stop_requested(); }));
  EXPECT_FALSE(held.valid());
  EXPECT_TRUE(next.valid());
}

TEST(Loop, ALeaseThatWasOverDoesNotComeBack) {
  RedisServer server;
  client_options options = options_on_a_loop(server);
  options.validity = 400ms;
  lock_client client(options);
  const lease held = taken(client, "a");
  // Until it is renewed at the server; the answer lies in the socket.
  long long left = 400;
  EXPECT_TRUE(turn_until(client, [&] {
    const long long before = std::exchange(left, server.number({"PTTL", "rueidislock:0:a"}));
    return left > before;
  }));
  wait_until([&held] { return !held.valid(); });
  EXPECT_TRUE(turn_until(client, [&held] { return held.lost().stop_requested(); }));
  EXPECT_FALSE(held.valid());
  EXPECT_TRUE(turn_until(client, [&] {
    return server.number({"EXISTS", "rueidislock:0:a"}) == 0;
  }));
}

TEST(Loop, TheEndTellsEverybodyOnce) {
  const RedisServer server;
  lock_client other(redis_test::options_for(server));
  const lease held = other.acquire("a");
  for (const bool on_a_loop : {true, false}) {
    std::atomic<unsigned> told{0};
    {
      client_options options = redis_test::options_for(server);
      options.foreign_loop = on_a_loop;
      lock_client client(options);
      for (int i = 0; i < 3; ++i)
        client.async_acquire("a", [&told](const acquisition& got) {
          EXPECT_EQ(got.code, errc::closed);
          told += 1;
        });
      client.async_acquire_all({"0", "a"}, [&told](const acquisitions& got) {
        EXPECT_EQ(got.code, errc::closed);
        EXPECT_THAT(got.held, testing::IsEmpty());
        told += 1;
      });
      if (on_a_loop) client.run_ready();  // now they wait
      client.async_force_acquire("b", [&told](const acquisition& got) {
        EXPECT_NE(!got.held, !got.code);  // a thread of the client's may have been quick
        told += 1;
      });
      client.async_acquire("a", [&told](const acquisition& got) {
        EXPECT_EQ(got.code, errc::closed);
        told += 1;
      });
    }
    EXPECT_EQ(told, 6U);
  }
}

TEST(Loop, CallbacksMayThrowAndDestroyTheClient) {
  RedisServer server;
  auto client = std::make_unique<lock_client>(options_on_a_loop(server));
  client->async_acquire("a", [](const acquisition&) { throw std::runtime_error("no"); });
  bool was_called = false;
  client->async_acquire("b", [&](const acquisition& got) {
    was_called = true;
    EXPECT_TRUE(got.held.valid());
    client.reset();
    EXPECT_FALSE(got.held.valid());
  });
  unsigned thrown = 0;
  while (client && !was_called) {
    try {
      EXPECT_TRUE(turn_until(*client, [&] { return was_called; }));
    } catch (const std::runtime_error&) {
      thrown += 1;
    }
    if (::testing::Test::HasFailure()) break;
  }
  EXPECT_EQ(thrown, 1U);
  EXPECT_TRUE(was_called);
  wait_until([&] { return server.number({"EXISTS", "rueidislock:0:a", "rueidislock:0:b"}) == 0; });
}

TEST(Asynchronous, IsThereWithAThreadOfTheClientsToo) {
  const RedisServer server;
  lock_client client(redis_test::options_for(server));
  lease held = client.acquire("a");
  std::promise<acquisition> promise;
  client.async_acquire("a", [&promise](acquisition got) { promise.set_value(std::move(got)); });
  std::promise<std::error_code> tried;
  client.async_try_acquire("a", [&tried](const acquisition& got) { tried.set_value(got.code); });
  EXPECT_EQ(tried.get_future().get(), errc::not_acquired);
  held.release();
  acquisition got = promise.get_future().get();
  ASSERT_TRUE(got.held.valid());
  // It is no thread's: nobody who asks holds it already.
  EXPECT_FALSE(client.try_acquire("a"));
  EXPECT_THROW((void)client.acquire("a", 10ms), gordian::redis::deadline_error);
  got.held.release();
  EXPECT_TRUE(client.try_acquire("a"));
}

TEST(Asynchronous, TakesSeveralAndByForceToo) {
  const RedisServer server;
  lock_client client(redis_test::options_for(server));
  const lease forced_away = client.acquire("a");
  std::promise<acquisition> forced;
  client.async_force_acquire("a", [&forced](acquisition got) { forced.set_value(std::move(got)); });
  lease held = std::move(forced.get_future().get().held);
  EXPECT_TRUE(held.valid());
  EXPECT_FALSE(forced_away.valid());
  std::promise<acquisitions> all;
  client.async_acquire_all({"b", "a"}, [&all](acquisitions got) { all.set_value(std::move(got)); });
  held.release();  // handed over within the client, or taken at the server
  const acquisitions got = all.get_future().get();
  ASSERT_EQ(got.held.size(), 2U);
  EXPECT_TRUE(got.held[0].valid() && got.held[1].valid());
  EXPECT_FALSE(client.try_acquire("a"));
}

}  // namespace
