// SPDX-License-Identifier: Apache-2.0
#include "certificates.h"

#include <cstdlib>
#include <filesystem>
#include <stdexcept>

namespace redis_test {
namespace {

void run_openssl(const std::string& words) {
  if (std::system(("openssl " + words + " >/dev/null 2>&1").c_str()) != 0)
    throw std::runtime_error("openssl " + words);
}

}  // namespace

Certificates::Certificates() {
  char folder[] = "/tmp/gordian-tls-XXXXXX";
  if (mkdtemp(folder) == nullptr) throw std::runtime_error("mkdtemp");
  folder_ = folder;
  for (const char* const authority : {"ca", "other-ca"})
    run_openssl("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=" +
                std::string(authority) + " -keyout " + path(authority, ".key") + " -out " +
                path(authority, ".crt"));
  make("server", "subjectAltName=DNS:redis.test,IP:127.0.0.1");
  make("named", "subjectAltName=DNS:redis.test");
  make("client", "subjectAltName=DNS:client.test");
}

Certificates::~Certificates() {
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

std::string Certificates::path(const std::string& name, const std::string& kind) const {
  return folder_ + "/" + name + kind;
}

std::vector<std::string> Certificates::server_words(const std::string& name, unsigned port,
                                                    bool asks_clients) const {
  return {
      "--tls-port",         std::to_string(port),       "--tls-cert-file",    path(name, ".crt"),
      "--tls-key-file",     path(name, ".key"),         "--tls-ca-cert-file", path("ca", ".crt"),
      "--tls-auth-clients", asks_clients ? "yes" : "no"};
}

void Certificates::make(const std::string& name, const std::string& extension) const {
  run_openssl("req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=" + name +
              " -addext " + extension + " -keyout " + path(name, ".key") + " -out " +
              path(name, ".csr"));
  run_openssl("x509 -req -days 2 -copy_extensions copy -in " + path(name, ".csr") + " -CA " +
              path("ca", ".crt") + " -CAkey " + path("ca", ".key") + " -CAcreateserial -out " +
              path(name, ".crt"));
}

}  // namespace redis_test
