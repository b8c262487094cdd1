// SPDX-License-Identifier: Apache-2.0
// Certificates for a test, made by openssl, in a folder that goes with it.
#pragma once

#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <vector>

namespace redis_test {

// An authority, "ca", and what it says of a server for redis.test and 127.0.0.1, "server", one for
// redis.test alone, "named", and a client, "client"; and another authority, "other-ca".
class Certificates {
 public:
  Certificates();
  ~Certificates();
  Certificates(const Certificates&) = delete;
  Certificates& operator=(const Certificates&) = delete;

  // ".crt" or ".key"
  [[nodiscard]] std::string path(const std::string& name, const std::string& kind) const;
  // For the command line of a redis-server that listens for TLS on this port, too.
  [[nodiscard]] std::vector<std::string> server_words(const std::string& name, unsigned port,
                                                      bool asks_clients) const;

 private:
  void make(const std::string& name, const std::string& extension) const;
  std::string folder_;
};

// Tests that share one set of them.
class WithCertificates : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { certificates = std::make_unique<Certificates>(); }
  static void TearDownTestSuite() { certificates.reset(); }

  static inline std::unique_ptr<Certificates> certificates;
};

}  // namespace redis_test
