// SPDX-License-Identifier: Apache-2.0
// Locks over TLS: by authorities that are made for the test, and with nobody who cannot prove who
// he is.
#include "certificates.h"
#include "gordian/redis_lock.h"
#include "redis/installation.h"
#include "redis_server.h"

#include <atomic>
#include <chrono>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>
#include <thread>

#ifdef GORDIAN_HAS_TLS
namespace {

using namespace std::chrono_literals;
using gordian::redis::client_options;
using gordian::redis::lease;
using gordian::redis::lock_client;
using gordian::redis::tls_options;
using redis_test::RedisServer;
using redis_test::wait_until;

class Tls : public redis_test::WithCertificates {
 protected:
  static client_options options_for_port(unsigned port) {
    client_options options;
    options.servers = {"rediss://127.0.0.1:" + std::to_string(port)};
    options.tls.ca_file = certificates->path("ca", ".crt");
    return options;
  }
  static std::string failure_of(const client_options& options) {
    try {
      const lock_client client(options);
      return "it works";
    } catch (const gordian::redis::lock_error& error) {
      return error.what();
    }
  }
  const unsigned port = redis_test::free_port();
};

TEST_F(Tls, LocksAreTakenRenewedAndPassedOn) {
  const RedisServer server(certificates->server_words("server", port, false));
  client_options options = options_for_port(port);
  options.validity = 600ms;
  options.extend_interval = 50ms;
  lock_client first(options), second(options);
  lease held = first.acquire("a");
  std::atomic<bool> has_it{false};
  std::thread waiter([&] {
    const lease mine = second.acquire("a");
    has_it = true;
  });
  const auto until = std::chrono::steady_clock::now() + options.validity + 200ms;
  wait_until([&] { return std::chrono::steady_clock::now() > until; });
  EXPECT_TRUE(held.valid());
  EXPECT_FALSE(has_it);
  held.release();
  waiter.join();
  for (int turn = 0; turn < 200; ++turn) first.acquire("b").release();
  // Larger than what TLS sends in one piece.
  EXPECT_TRUE(second.acquire(std::string(512, 'n')).valid());
  // And whoever looks sees it, over TLS.
  lease seen = first.acquire("seen");
  auto named = *gordian::redis::parse_named_server(options.servers.front());
  named.address.tls = *gordian::redis::TlsContext::make(options.tls);
  const auto all = gordian::redis::read_installation({named}, "rueidislock", 5s);
  ASSERT_TRUE(all) << all.error().message;
  EXPECT_EQ(all->locks.size(), 1U);
}

TEST_F(Tls, AServerMustProveWhoItIs) {
  const RedisServer server(certificates->server_words("named", port, false));
  client_options options = options_for_port(port);
  EXPECT_THAT(
      failure_of(options),
      testing::HasSubstr("127.0.0.1:" + std::to_string(port) +
                         ": TLS: the server's certificate is refused: IP address mismatch"));
  options.tls.server_name = "redis.test";
  EXPECT_EQ(failure_of(options), "it works");
  options.tls.server_name = "other.test";
  EXPECT_THAT(failure_of(options), testing::HasSubstr("certificate is refused: hostname mismatch"));
  options.tls.server_name = "redis.test";
  options.tls.ca_file = certificates->path("other-ca", ".crt");
  EXPECT_THAT(failure_of(options), testing::HasSubstr("certificate is refused"));
  options.tls.ca_file.clear();  // those of the system know it neither
  EXPECT_THAT(failure_of(options), testing::HasSubstr("certificate is refused"));
  options.tls.verify = false;
  EXPECT_EQ(failure_of(options), "it works");
  // Who looks believes nobody more.
  auto named = *gordian::redis::parse_named_server(options.servers.front());
  named.address.tls = *gordian::redis::TlsContext::make({});
  const auto all = gordian::redis::read_installation({named}, "rueidislock", 5s);
  ASSERT_FALSE(all);
  EXPECT_THAT(all.error().message, testing::HasSubstr("certificate is refused"));
}

TEST_F(Tls, AClientProvesWhoItIsWhereItIsAskedTo) {
  const RedisServer server(certificates->server_words("server", port, true));
  client_options options = options_for_port(port);
  EXPECT_NE(failure_of(options), "it works");
  options.tls.certificate_file = certificates->path("client", ".crt");
  options.tls.key_file = certificates->path("client", ".key");
  EXPECT_EQ(failure_of(options), "it works");
}

TEST_F(Tls, OneWhoSpeaksNoneIsToldSo) {
  const RedisServer server;
  client_options options = options_for_port(server.port());
  options.connect_timeout = 500ms;
  EXPECT_THAT(failure_of(options), testing::HasSubstr("does the server speak TLS?"));
  // And the other way round.
  const RedisServer secure(certificates->server_words("server", port, false));
  options.servers = {"redis://127.0.0.1:" + std::to_string(port)};
  EXPECT_NE(failure_of(options), "it works");
}

TEST_F(Tls, FilesThatAreNoneAreToldByName) {
  client_options options = options_for_port(port);
  options.tls.ca_file = "/nowhere/ca.crt";
  EXPECT_THAT(failure_of(options), testing::HasSubstr("/nowhere/ca.crt"));
  options = options_for_port(port);
  options.tls.certificate_file = certificates->path("client", ".crt");
  EXPECT_THAT(failure_of(options), testing::HasSubstr("belong together"));
  options.tls.key_file = certificates->path("server", ".key");
  EXPECT_THAT(failure_of(options), testing::HasSubstr("as the certificate's key"));
}

}  // namespace
#endif
