// SPDX-License-Identifier: Apache-2.0
// Clients on a loop of Asio.
#include "redis_server.h"

#include <asio/io_context.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/post.hpp>
#include <chrono>
#include <gtest/gtest.h>
#include <memory>
#include <optional>
#include <stdexcept>
#include <thread>
// After Asio.
#include "gordian/redis_lock_asio.h"

namespace {

using AsioDriver = gordian::redis::asio_driver<asio::posix::stream_descriptor>;

TEST(Asio, LocksAreTakenPassedOnAndLostOnTheLoop) {
  const redis_test::RedisServer server;
  gordian::redis::client_options options = redis_test::options_for(server);
  options.foreign_loop = true;
  asio::io_context context;
  gordian::redis::lock_client one(options), two(options);
  auto first = std::make_unique<AsioDriver>(context, one);
  auto second = std::make_unique<AsioDriver>(context.get_executor(), two);
  constexpr int kRounds = 20;
  int rounds = 0;
  gordian::redis::lease held;
  std::optional<std::stop_callback<std::function<void()>>> on_lost;
  std::thread forcing;
  // To and fro between the two; then a thread forces it.
  std::function<void(gordian::redis::acquisition)> got = [&](gordian::redis::acquisition acquired) {
    ASSERT_TRUE(acquired.held) << acquired.code.message();
    held.release_async();
    held = std::move(acquired.held);
    EXPECT_THROW((void)one.acquire("a"), gordian::redis::misuse_error);
    if (rounds++ < kRounds) {
      (rounds % 2 == 0 ? one : two).async_acquire("a", got);
      held.release_async();
      return;
    }
    on_lost.emplace(held.lost(), [&] {
      first.reset();
      second.reset();
    });
    forcing = std::thread([&one] { one.force_acquire("a").release_async(); });
  };
  one.async_acquire("a", got);
  context.run();  // until nothing is waited for any more
  forcing.join();
  EXPECT_EQ(rounds, kRounds + 1);
  EXPECT_TRUE(held.lost().stop_requested());
}

TEST(Asio, WhatACallbackThrowsLeavesTheLoopAndItGoesOn) {
  const redis_test::RedisServer server;
  gordian::redis::client_options options = redis_test::options_for(server);
  options.foreign_loop = true;
  asio::io_context context;
  auto client = std::make_unique<gordian::redis::lock_client>(options);
  auto driver = std::make_unique<AsioDriver>(context, *client);
  client->async_acquire("a",
                        [](const gordian::redis::acquisition&) { throw std::runtime_error("no"); });
  EXPECT_THROW(context.run(), std::runtime_error);
  client->async_acquire("a", [&](const gordian::redis::acquisition& acquired) {
    EXPECT_FALSE(acquired.code);
    driver.reset();
    client.reset();
  });
  context.restart();
  context.run();
  EXPECT_EQ(client, nullptr);
}

}  // namespace
