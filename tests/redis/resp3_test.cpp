// SPDX-License-Identifier: Apache-2.0
// In which protocol a server is spoken to, by the bytes: RESP3 where the client library that this
// was built with can read it, the server knows it and the program has nothing against it.
#include "gordian/redis_lock.h"
#include "proxy.h"
#include "redis_server.h"

#include <chrono>
#include <functional>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sstream>
#include <string>
#include <thread>

namespace {

using namespace std::chrono_literals;
using gordian::redis::client_options;
using gordian::redis::lease;
using gordian::redis::lock_client;
using redis_test::Proxy;
using redis_test::RedisServer;
using redis_test::wait_until;
using testing::HasSubstr;
using testing::Not;

constexpr char kHello[] = "*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n";
constexpr char kSubscribe[] = "*2\r\n$9\r\nSUBSCRIBE\r\n$20\r\n__redis__:invalidate\r\n";

client_options through(const Proxy& proxy) {
  client_options options;
  options.servers = {proxy.url()};
  return options;
}

// Of the connections that the server lists, those of the client's that say so.
int connections_with(RedisServer& server, const std::string& words) {
  std::istringstream list(server.text({"CLIENT", "LIST"}));
  int count = 0;
  for (std::string line; std::getline(list, line);)
    count +=
        line.find(" name=gordian:") != std::string::npos && line.find(words) != std::string::npos
            ? 1
            : 0;
  return count;
}

// Somebody who was refused is told that the lock is free, and does not wait for the second after
// which one looks again by oneself.
void expect_to_be_told(RedisServer& server, const client_options& options,
                       const std::function<void(lease&)>& set_free) {
  client_options others = redis_test::options_for(server);
  others.resp3 = false;
  others.database = options.database;
  lock_client client(options), other(others);
  lease held = other.acquire("a");
  std::chrono::steady_clock::time_point got;
  std::thread waiter([&] {
    const lease mine = client.acquire("a");
    got = std::chrono::steady_clock::now();
  });
  wait_until([&] { return server.info("cmdstat_pttl").starts_with("calls="); });  // it is refused
  const auto freed = std::chrono::steady_clock::now();
  set_free(held);
  waiter.join();
  EXPECT_LT(got - freed, 500ms);
}

void expect_resp2(RedisServer& server, const Proxy& proxy, const client_options& options) {
  expect_to_be_told(server, options, [&](lease& held) {
    EXPECT_EQ(connections_with(server, " resp=3"), 0);
    held.release();
  });
  EXPECT_THAT(proxy.commands_seen(), HasSubstr(kSubscribe));
  EXPECT_THAT(proxy.replies_seen(),
              HasSubstr("*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n"
                        "*1\r\n$15\r\nrueidislock:0:a\r\n"));
}

TEST(Resp3, IsNotSpokenToOneWhoShallNot) {
  RedisServer server;
  const Proxy proxy(server.port());
  client_options options = through(proxy);
  options.resp3 = false;
  expect_resp2(server, proxy, options);
  EXPECT_THAT(proxy.commands_seen(), Not(HasSubstr("HELLO")));
}

#ifdef GORDIAN_HAS_RESP3

TEST(Resp3, ServersPushOverTheConnectionThatAsks) {
  RedisServer server({"--user", "me", "on", ">secret", "~*", "&*", "+@all"});
  const Proxy proxy(server.port());
  client_options options = through(proxy);
  options.user = "me";
  options.password = "secret";
  options.database = 3;
  expect_to_be_told(server, options, [&](lease& held) {
    EXPECT_EQ(connections_with(server, " resp=3"), 1);
    EXPECT_EQ(connections_with(server, " db=3 "), 3);  // the one who has the lock speaks RESP2
    EXPECT_EQ(connections_with(server, " user=me "), 1);
    held.release();
  });
  EXPECT_THAT(proxy.commands_seen(), HasSubstr(kHello));
  EXPECT_THAT(proxy.commands_seen(), Not(HasSubstr("SUBSCRIBE")));
  EXPECT_THAT(proxy.replies_seen(), HasSubstr("%7\r\n$6\r\nserver\r\n"));
  EXPECT_THAT(proxy.replies_seen(),
              HasSubstr(">2\r\n$10\r\ninvalidate\r\n*1\r\n$15\r\nrueidislock:0:a\r\n"));
}

TEST(Resp3, AFlushIsToldWithoutNames) {
  RedisServer server;
  const Proxy proxy(server.port());
  expect_to_be_told(server, through(proxy), [&](lease&) { server.run({"FLUSHALL"}); });
  EXPECT_THAT(proxy.replies_seen(), HasSubstr(">2\r\n$10\r\ninvalidate\r\n_\r\n"));
}

TEST(Resp3, AServerBeforeItIsSpokenToAsBefore) {
  RedisServer server({"--rename-command", "HELLO", ""});
  const Proxy proxy(server.port());
  expect_resp2(server, proxy, through(proxy));
  EXPECT_THAT(proxy.replies_seen(), HasSubstr("-ERR unknown command 'HELLO'"));
}

TEST(Resp3, AServerThatDoesNotWantItIsSpokenToAsBefore) {
  RedisServer server;
  Proxy proxy(server.port());
  proxy.change_commands("HELLO\r\n$1\r\n3", "HELLO\r\n$1\r\n9");
  expect_resp2(server, proxy, through(proxy));
  EXPECT_THAT(proxy.replies_seen(), HasSubstr("-NOPROTO "));
}

// What was connected so is found again so: also if the server has learned it meanwhile.
TEST(Resp3, EachConnectionAsksAnew) {
  RedisServer server;
  Proxy proxy(server.port());
  proxy.change_commands("HELLO\r\n$1\r\n3", "HELLO\r\n$1\r\n9");
  client_options options = through(proxy);
  options.on_transport_error = gordian::redis::transport_policy::keep_trying;
  lock_client client(options);
  client.acquire("a").release();
  EXPECT_EQ(connections_with(server, " resp=3"), 0);
  proxy.change_commands({}, {});
  proxy.cut();
  wait_until([&] {
    client.acquire("a").release();
    return connections_with(server, " resp=3") == 1;
  });
}

#else

TEST(Resp3, IsNotSpokenWhereItCannotBeRead) {
  RedisServer server;
  const Proxy proxy(server.port());
  expect_resp2(server, proxy, through(proxy));
  EXPECT_THAT(proxy.commands_seen(), Not(HasSubstr("HELLO")));
}

#endif

}  // namespace
