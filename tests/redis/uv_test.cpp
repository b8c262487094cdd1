// SPDX-License-Identifier: Apache-2.0
// A client on a loop of libuv.
#include "gordian/redis_lock_uv.h"
#include "redis_server.h"

#include <chrono>
#include <functional>
#include <gtest/gtest.h>
#include <memory>
#include <optional>

namespace {

using namespace std::chrono_literals;

TEST(Uv, LocksAreTakenKeptPassedOnAndLostOnTheLoop) {
  const redis_test::RedisServer server;
  gordian::redis::client_options options = redis_test::options_for(server);
  gordian::redis::lock_client elsewhere(options);
  gordian::redis::lease theirs = elsewhere.acquire("a");

  uv_loop_t loop;
  ASSERT_EQ(uv_loop_init(&loop), 0);
  struct Story {
    gordian::redis::lease held;
    std::optional<gordian::redis::lease> forced;
    std::optional<std::stop_callback<std::function<void()>>> on_lost;
    std::unique_ptr<gordian::redis::uv_driver> driver;
    gordian::redis::lock_client* elsewhere = nullptr;
    uv_timer_t timer{};
    bool was_valid = false;
    bool was_refused = false;
    bool is_lost = false;
  } story;
  options.foreign_loop = true;
  // Often, so that only a loop that is kept from running for most of the validity loses it.
  options.validity = 600ms;
  options.extend_interval = 50ms;
  gordian::redis::lock_client client(options);
  story.driver = std::make_unique<gordian::redis::uv_driver>(&loop, client);
  story.elsewhere = &elsewhere;
  uv_timer_init(&loop, &story.timer);
  story.timer.data = &story;

  client.async_acquire("a", [&](gordian::redis::acquisition got) {
    ASSERT_TRUE(got.held) << got.code.message();
    story.held = std::move(got.held);
    EXPECT_THROW((void)client.acquire("a"), gordian::redis::misuse_error);
    story.on_lost.emplace(story.held.lost(), [&story] {
      story.is_lost = true;
      story.driver.reset();  // nothing keeps the loop going any more
    });
    // For longer than it would last by itself.
    uv_timer_start(
        &story.timer,
        [](uv_timer_t* timer) {
          auto& now = *static_cast<Story*>(timer->data);
          now.was_valid = now.held.valid();
          now.was_refused = !now.elsewhere->try_acquire("a");
          uv_close(reinterpret_cast<uv_handle_t*>(timer), nullptr);
          now.forced = now.elsewhere->force_acquire("a");
        },
        800, 0);
  });
  client.async_try_acquire("a", [&](const gordian::redis::acquisition& got) {
    EXPECT_EQ(got.code, gordian::redis::errc::not_acquired);
    theirs.release();  // of the other client: may wait here
  });
  EXPECT_EQ(uv_run(&loop, UV_RUN_DEFAULT), 0);
  EXPECT_TRUE(story.was_valid);
  EXPECT_TRUE(story.was_refused);
  EXPECT_TRUE(story.is_lost);
  EXPECT_FALSE(story.held.valid());
  EXPECT_EQ(uv_loop_close(&loop), 0);  // nothing is left in it
}

}  // namespace
