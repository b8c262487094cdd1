// SPDX-License-Identifier: Apache-2.0
#include "redis/tls.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <sys/socket.h>
#include <utility>

#ifdef GORDIAN_HAS_TLS
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#endif

namespace gordian::redis {

#ifdef GORDIAN_HAS_TLS
namespace {

struct FreeContext {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};

class OpenSslContext : public TlsContext {
 public:
  std::unique_ptr<SSL_CTX, FreeContext> context{SSL_CTX_new(TLS_client_method())};
  bool verify = true;
  std::string server_name;
};

// The words of OpenSSL's last complaint in this thread; none is left behind.
std::string complaint(std::string_view otherwise) {
  const unsigned long number = ERR_get_error();
  ERR_clear_error();
  const char* const words = number == 0 ? nullptr : ERR_reason_error_string(number);
  return words == nullptr ? std::string(otherwise) : words;
}

// The socket as OpenSSL reads and writes it. Its own way of it may raise SIGPIPE in the program.
int fd_of(BIO* bio) { return static_cast<int>(reinterpret_cast<intptr_t>(BIO_get_data(bio))); }
int write_socket(BIO* bio, const char* bytes, int size) {
  BIO_clear_retry_flags(bio);
  ssize_t sent = 0;
  do {
    sent = ::send(fd_of(bio), bytes, static_cast<size_t>(size), MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0 && errno == EAGAIN) BIO_set_retry_write(bio);
  return static_cast<int>(sent);
}
int read_socket(BIO* bio, char* bytes, int size) {
  BIO_clear_retry_flags(bio);
  ssize_t got = 0;
  do {
    got = ::recv(fd_of(bio), bytes, static_cast<size_t>(size), 0);
  } while (got < 0 && errno == EINTR);
  if (got < 0 && errno == EAGAIN) BIO_set_retry_read(bio);
  return static_cast<int>(got);
}
long control_socket(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }
int create_socket(BIO* bio) {
  BIO_set_init(bio, 1);
  return 1;
}
const BIO_METHOD* socket_method() {
  static const BIO_METHOD* const method = [] {
    BIO_METHOD* const made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "gordian");
    BIO_meth_set_write(made, write_socket);
    BIO_meth_set_read(made, read_socket);
    BIO_meth_set_ctrl(made, control_socket);
    BIO_meth_set_create(made, create_socket);
    return made;
  }();
  return method;
}

const char* or_null(const std::string& text) { return text.empty() ? nullptr : text.c_str(); }

}  // namespace

Result<std::shared_ptr<const TlsContext>> TlsContext::make(const tls_options& options) {
  // Its clean-up at exit would pull the rug from under an I/O thread that still runs then.
  OPENSSL_init_ssl(OPENSSL_INIT_NO_ATEXIT, nullptr);
  auto made = std::make_shared<OpenSslContext>();
  SSL_CTX* const context = made->context.get();
  if (context == nullptr) return Error("TLS: " + complaint("no memory"));
  made->verify = options.verify;
  made->server_name = options.server_name;
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  // A server that just goes has gone: every reply has an end of its own.
  SSL_CTX_set_options(
      context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_verify(context, options.verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nullptr);
  if (options.ca_file.empty() && options.ca_directory.empty()) {
    SSL_CTX_set_default_verify_paths(context);
  } else if (SSL_CTX_load_verify_locations(context, or_null(options.ca_file),
                                           or_null(options.ca_directory)) != 1) {
    return Error("cannot read the certificates of authorities: " + complaint("unreadable"))
        .in(options.ca_file.empty() ? options.ca_directory : options.ca_file);
  }
  if (options.certificate_file.empty() != options.key_file.empty())
    return Error("TLS: a certificate and its key belong together, and one of the two is named");
  if (!options.certificate_file.empty()) {
    if (SSL_CTX_use_certificate_chain_file(context, options.certificate_file.c_str()) != 1)
      return Error("cannot read the certificate: " + complaint("unreadable"))
          .in(options.certificate_file);
    if (SSL_CTX_use_PrivateKey_file(context, options.key_file.c_str(), SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(context) != 1)
      return Error("cannot use it as the certificate's key: " + complaint("unreadable"))
          .in(options.key_file);
  }
  return std::shared_ptr<const TlsContext>(std::move(made));
}

struct Stream::Session {
  std::unique_ptr<SSL, void (*)(SSL*)> ssl{nullptr, SSL_free};
  bool verify = true;
};

Stream::Stream(FileDescriptor fd, const TlsContext& context, const std::string& host)
    : fd_(std::move(fd)), session_(std::make_unique<Session>()) {
  const auto& own = static_cast<const OpenSslContext&>(context);
  session_->ssl.reset(SSL_new(own.context.get()));
  session_->verify = own.verify;
  BIO* const bio = BIO_new(socket_method());
  SSL* const ssl = session_->ssl.get();
  if (ssl == nullptr || bio == nullptr) {
    BIO_free(bio);
    session_->ssl.reset();
    return;  // greet() says so
  }
  BIO_set_data(bio, reinterpret_cast<void*>(static_cast<intptr_t>(fd_.get())));
  SSL_set_bio(ssl, bio, bio);
  SSL_set_connect_state(ssl);
  const std::string& name = own.server_name.empty() ? host : own.server_name;
  // An address in numbers is in a certificate as such, and is never asked for by name.
  if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name.c_str()) != 1) {
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    // Without a name to prove, any certificate would do.
    if (name.empty() || SSL_set1_host(ssl, name.c_str()) != 1 ||
        SSL_set_tlsext_host_name(ssl, name.c_str()) != 1)
      session_->ssl.reset();
  }
  ERR_clear_error();
}

Stream::Greeting Stream::greet() {
  if (!session_) return Greeting::Done;
  SSL* const ssl = session_->ssl.get();
  if (ssl == nullptr) {
    failure_ = "TLS: no memory, or no name to ask the server to prove";
    return Greeting::Failed;
  }
  ERR_clear_error();
  const int result = SSL_do_handshake(ssl);
  if (result == 1) return Greeting::Done;
  const int error = SSL_get_error(ssl, result);
  if (error == SSL_ERROR_WANT_READ) return Greeting::WantsToRead;
  if (error == SSL_ERROR_WANT_WRITE) return Greeting::WantsToWrite;
  const long verified = SSL_get_verify_result(ssl);
  failure_ = session_->verify && verified != X509_V_OK
                 ? std::string("TLS: the server's certificate is refused: ") +
                       X509_verify_cert_error_string(verified)
                 : "TLS: " + complaint("the server closed the connection; does it speak TLS?");
  ERR_clear_error();
  return Greeting::Failed;
}

bool Stream::has_more() const { return session_ && SSL_pending(session_->ssl.get()) > 0; }

ssize_t Stream::outcome(int result) {
  if (result > 0) return result;
  const int system_error = errno;
  const int error = SSL_get_error(session_->ssl.get(), result);
  if (error == SSL_ERROR_ZERO_RETURN) return 0;
  if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
    errno = EAGAIN;
    return -1;
  }
  const std::string words = complaint("");
  if (error == SSL_ERROR_SYSCALL && words.empty() && result == 0) return 0;
  failure_ = words.empty() ? std::strerror(system_error) : "TLS: " + words;
  errno = words.empty() && system_error != 0 ? system_error : EPROTO;
  return -1;
}

ssize_t Stream::read_secure(char* bytes, size_t size) {
  ERR_clear_error();
  return outcome(SSL_read(session_->ssl.get(), bytes, static_cast<int>(size)));
}

ssize_t Stream::write_secure(const char* bytes, size_t size) {
  ERR_clear_error();
  return outcome(
      SSL_write(session_->ssl.get(), bytes, static_cast<int>(std::min<size_t>(size, 1 << 20))));
}

#else  // no OpenSSL

Result<std::shared_ptr<const TlsContext>> TlsContext::make(const tls_options&) {
  return Error("TLS is not there: it was built without OpenSSL",
               "connect through a TLS tunnel (stunnel) on this machine");
}

struct Stream::Session {};
bool Stream::has_more() const { return false; }

Stream::Stream(FileDescriptor fd, const TlsContext&, const std::string&) : fd_(std::move(fd)) {}
Stream::Greeting Stream::greet() { return Greeting::Done; }
// Without a session nobody calls them.
ssize_t Stream::outcome(int result) { return result; }
ssize_t Stream::read_secure(char*, size_t) { return -1; }
ssize_t Stream::write_secure(const char*, size_t) { return -1; }

#endif

Stream::Stream() = default;
Stream::Stream(FileDescriptor fd) : fd_(std::move(fd)) {}
Stream::~Stream() = default;
Stream::Stream(Stream&&) noexcept = default;
Stream& Stream::operator=(Stream&&) noexcept = default;

ssize_t Stream::read(char* bytes, size_t size) {
  if (session_) return read_secure(bytes, size);
  const ssize_t got = ::recv(fd_.get(), bytes, size, 0);
  if (got < 0) failure_ = std::strerror(errno);
  return got;
}

ssize_t Stream::write(const char* bytes, size_t size) {
  if (session_) return write_secure(bytes, size);
  const ssize_t sent = ::send(fd_.get(), bytes, size, MSG_NOSIGNAL);
  if (sent < 0) failure_ = std::strerror(errno);
  return sent;
}

void Stream::reset() {
  session_.reset();
  fd_.reset();
}

}  // namespace gordian::redis
