// SPDX-License-Identifier: Apache-2.0
// TLS between the client and a server, by OpenSSL where that was found when this was built.
#pragma once

#include "base/file.h"
#include "base/result.h"
#include "gordian/redis_lock.h"

#include <cstddef>
#include <memory>
#include <string>
#include <sys/types.h>

namespace gordian::redis {

// Certificates and keys, read once. Thread-safety: any thread, after make().
class TlsContext {
 public:
  // Error: a file cannot be read, or the key is not the certificate's; or there is no TLS here.
  static Result<std::shared_ptr<const TlsContext>> make(const tls_options& options);
  virtual ~TlsContext() = default;
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

 protected:
  TlsContext() = default;
};

// Where a handshake takes too long.
inline constexpr char kNoTlsAnswer[] = "TLS: no answer in time; does the server speak TLS?";

// A connected socket, plain or with TLS on it. It blocks as the socket does.
class Stream {
 public:
  Stream();
  explicit Stream(FileDescriptor fd);  // plain
  // Whoever answers must prove to be `host`, unless the context says otherwise.
  Stream(FileDescriptor fd, const TlsContext& context, const std::string& host);
  ~Stream();
  Stream(Stream&&) noexcept;
  Stream& operator=(Stream&&) noexcept;

  [[nodiscard]] int fd() const { return fd_.get(); }
  explicit operator bool() const { return static_cast<bool>(fd_); }
  void reset();

  // To be repeated until it is done, whenever the socket can be read or, as it says, written.
  enum class Greeting { Done, WantsToRead, WantsToWrite, Failed };
  Greeting greet();
  // As recv() and send(): -1 and EAGAIN when it would block.
  ssize_t read(char* bytes, size_t size);
  ssize_t write(const char* bytes, size_t size);
  // Bytes are here that make no event of the socket.
  [[nodiscard]] bool has_more() const;
  // Why the last of them failed.
  [[nodiscard]] const std::string& failure() const { return failure_; }

 private:
  struct Session;
  ssize_t outcome(int result);
  ssize_t read_secure(char* bytes, size_t size);
  ssize_t write_secure(const char* bytes, size_t size);

  FileDescriptor fd_;
  std::unique_ptr<Session> session_;
  std::string failure_;
};

}  // namespace gordian::redis
