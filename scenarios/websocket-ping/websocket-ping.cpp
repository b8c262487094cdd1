// SPDX-License-Identifier: Apache-2.0
// A WebSocket server on Mbed TLS, after libdatachannel.
//
// A pool thread reads from TLS under `TlsTransport::mSslMutex`; Mbed TLS fetches its input through
// our read callback. A zero-sized message in that input says that the peer has been silent for a
// while, and is passed on to the WebSocket layer, which sends a ping: and sending locks mSslMutex
// again. One thread, one lock. glibc does not notice; the next pool threads pile up on
// `TlsTransport::mRecvMutex`.
//
// The repair: the callback only notes that a ping is due; it is sent after the mutex is released.
// Callbacks run under `WsTransport::mCallbackMutex`, taken inside mSslMutex here and around it
// there, but both only under mRecvMutex, which makes it harmless: no tool should call that a
// deadlock.
//
// With N threads the pool has N workers. The poll thread never stops ticking.
//
// RUN(broken, broken-renamed): gordian run -- %program
// RUN(broken@3):               gordian run -- %program 3
// RUN(broken@5):               gordian run -- %program 5
// RUN(broken@8):               gordian run -- %program 8
// EXIT(broken*):               66
// EXPECT(broken):              DEADLOCK: 1 thread, 1 lock
// JSON(broken*):               findings=1
// JSON(broken*):               verdict=deadlock kind=self-lock knot=rtc-worker
// JSON(broken, broken@?):      locks=TlsTransport::mSslMutex
// JSON(broken-renamed):        locks=Letterbox::wax
// REJECT(broken-renamed):      mSslMutex
//
// RUN(repaired):                     gordian run --summary -- %program
// RUN(trylock, timed):               gordian run -- %program
// RUN(repaired@8):                   gordian run --summary -- %program 8
// REPEAT(repaired):                  200
// EXPECT(repaired*):                 with another lock held
// EXIT(repaired*, trylock, timed):   0
// REJECT(repaired*, trylock, timed): DEADLOCK
// JSON(repaired*, trylock, timed):   findings=0
#include "support/thread.h"
#include "support/twin.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <functional>
#include <latch>
#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/ssl.h>
#include <memory>
#include <mutex>
#include <poll.h>
#include <string>
#include <sys/socket.h>
#include <type_traits>
#include <unistd.h>
#include <vector>

#ifdef SCENARIO_RENAMED
#define TlsTransport Letterbox
#define mSslMutex wax
#define mRecvMutex flap
#define WsTransport Correspondence
#define mCallbackMutex bell
#define do_recv empty_box
#define read_callback reach_in
#define write_callback drop_in
#define send_ping write_card
#define send_frame fold
#define send_text write_letter
#define send_tls post
#define received open
#define tick yawn
#endif

using scenario::kTwin;
using scenario::Twin;
using Message = std::string;

constexpr int kPings = 5;      // after so many the client closes
constexpr int kMessages = 50;  // sent by the application meanwhile
constexpr auto kPollInterval = std::chrono::milliseconds(2);

// A timed request needs the timed type; both are a pthread_mutex_t.
using SslMutex = std::conditional_t<kTwin == Twin::Timed, std::timed_mutex, std::mutex>;

[[noreturn]] void fail(const char* what, int code) {
  std::fprintf(stderr, "%s failed: -0x%x\n", what, -code);
  std::_Exit(1);
}

// One end of a TLS connection. Both know the key, so that the story needs no certificates.
class Tls {
 public:
  Tls(int role, void* context, mbedtls_ssl_send_t* send, mbedtls_ssl_recv_t* receive) {
    mbedtls_entropy_init(&entropy_);
    mbedtls_ctr_drbg_init(&random_);
    mbedtls_ssl_config_init(&config_);
    mbedtls_ssl_init(&ssl_);
    check("seed", mbedtls_ctr_drbg_seed(&random_, mbedtls_entropy_func, &entropy_, nullptr, 0));
    check("defaults", mbedtls_ssl_config_defaults(&config_, role, MBEDTLS_SSL_TRANSPORT_STREAM,
                                                  MBEDTLS_SSL_PRESET_DEFAULT));
    static constexpr int kSuites[] = {MBEDTLS_TLS_PSK_WITH_AES_128_GCM_SHA256, 0};
    static constexpr unsigned char kKey[] = "0123456789abcdef";
    static constexpr unsigned char kIdentity[] = "browser";
    mbedtls_ssl_conf_ciphersuites(&config_, kSuites);
    mbedtls_ssl_conf_rng(&config_, mbedtls_ctr_drbg_random, &random_);
    check("key",
          mbedtls_ssl_conf_psk(&config_, kKey, sizeof(kKey) - 1, kIdentity, sizeof(kIdentity) - 1));
    check("setup", mbedtls_ssl_setup(&ssl_, &config_));
    mbedtls_ssl_set_bio(&ssl_, context, send, receive, nullptr);
  }
  Tls(const Tls&) = delete;
  Tls& operator=(const Tls&) = delete;
  ~Tls() {
    mbedtls_ssl_free(&ssl_);
    mbedtls_ssl_config_free(&config_);
    mbedtls_ctr_drbg_free(&random_);
    mbedtls_entropy_free(&entropy_);
  }

  int handshake() { return mbedtls_ssl_handshake(&ssl_); }
  int read(unsigned char* buffer, size_t size) { return mbedtls_ssl_read(&ssl_, buffer, size); }
  void write(const Message& message) {
    const auto* data = reinterpret_cast<const unsigned char*>(message.data());
    const int result = mbedtls_ssl_write(&ssl_, data, message.size());
    if (result != static_cast<int>(message.size())) fail("ssl_write", result);
  }

 private:
  static void check(const char* what, int code) {
    if (code != 0) fail(what, code);
  }

  mbedtls_entropy_context entropy_;
  mbedtls_ctr_drbg_context random_;
  mbedtls_ssl_config config_;
  mbedtls_ssl_context ssl_;
};

// Runs tasks in order, on any of its threads.
class ThreadPool {
 public:
  explicit ThreadPool(int count) {
    for (int i = 0; i < count; ++i) threads_.emplace_back("rtc-worker", [this] { work(); });
  }
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;
  ~ThreadPool() {
    {
      const std::lock_guard lock(mutex_);
      ending_ = true;
    }
    more_.notify_all();
  }

  // Drops the task if many are waiting: the first of them will do its work too.
  void schedule(std::function<void()> task) {
    {
      const std::lock_guard lock(mutex_);
      if (tasks_.size() >= 16) return;
      tasks_.push_back(std::move(task));
    }
    more_.notify_one();
  }

 private:
  void work() {
    for (;;) {
      std::unique_lock lock(mutex_);
      more_.wait(lock, [this] { return ending_ || !tasks_.empty(); });
      if (tasks_.empty()) return;
      const std::function<void()> task = std::move(tasks_.front());
      tasks_.pop_front();
      lock.unlock();
      task();
    }
  }

  std::mutex mutex_;
  std::condition_variable more_;
  std::deque<std::function<void()>> tasks_;
  bool ending_ = false;
  std::vector<scenario::Thread> threads_;
};

class WsTransport;

// TLS between a queue of encrypted messages, filled by the poll thread, and the WebSocket layer.
class TlsTransport {
 public:
  TlsTransport(int socket, WsTransport* upper)
      : socket_(socket),
        upper_(upper),
        tls_(MBEDTLS_SSL_IS_SERVER, this, write_callback, read_callback) {}

  // From the poll thread: what the network brought, or nothing if it was silent.
  void enqueue(Message message) {
    const std::lock_guard lock(queue_mutex_);
    queue_.push_back(std::move(message));
  }

  // On a pool thread: reads all there is.
  void do_recv();

  // Encrypts and sends. False: not now.
  bool send_tls(const Message& message);

 private:
  static int read_callback(void* context, unsigned char* buffer, size_t size);
  static int write_callback(void* context, const unsigned char* data, size_t size);

  const int socket_;
  WsTransport* const upper_;
  std::mutex mRecvMutex;
  SslMutex mSslMutex;
  Tls tls_;
  bool handshaken_ = false;
  std::mutex queue_mutex_;
  std::deque<Message> queue_;
};

// WebSocket frames over a TlsTransport, on the server's side.
class WsTransport {
 public:
  explicit WsTransport(int socket) : lower_(socket, this) {}

  TlsTransport& lower() { return lower_; }
  bool closed() const { return closed_; }
  void wait_for_ping() { ping_begun_.wait(); }

  // One decrypted frame came in.
  void received(const Message& frame);

  // The network has been silent.
  void tick();

  // Sends the ping that could not be sent from within tick().
  void settle();

  bool send_text(const Message& text) { return send_frame(kText, text); }

 private:
  static constexpr char kText = 1;
  static constexpr char kClose = 8;
  static constexpr char kPing = 9;

  bool send_ping();
  bool send_frame(char opcode, const Message& payload);

  TlsTransport lower_;
  std::recursive_mutex mCallbackMutex;
  bool open_ = false;
  bool ping_due_ = false;
  std::atomic<bool> closed_{false};
  std::latch ping_begun_{1};
  bool first_ping_ = true;
};

SCENARIO_FRAME void TlsTransport::do_recv() {
  const std::lock_guard one_reader(mRecvMutex);
  unsigned char buffer[4096];
  for (;;) {
    int result = 0;
    {
      const std::lock_guard lock(mSslMutex);
      if (!handshaken_) {
        result = tls_.handshake();
        if (result == 0) {
          handshaken_ = true;
          continue;
        }
      } else {
        result = tls_.read(buffer, sizeof(buffer));
      }
    }
    if (result <= 0) break;
    upper_->received(Message(reinterpret_cast<char*>(buffer), result));
  }
  upper_->settle();
}

SCENARIO_FRAME bool TlsTransport::send_tls(const Message& message) {
  std::unique_lock lock(mSslMutex, std::defer_lock);
  if constexpr (kTwin == Twin::Trylock) {
    if (!lock.try_lock()) return false;
  } else if constexpr (kTwin == Twin::Timed) {
    if (!lock.try_lock_for(std::chrono::milliseconds(20))) return false;
  } else {
    lock.lock();
  }
  tls_.write(message);
  return true;
}

SCENARIO_FRAME int TlsTransport::read_callback(void* context, unsigned char* buffer, size_t size) {
  auto* transport = static_cast<TlsTransport*>(context);
  for (;;) {
    std::unique_lock lock(transport->queue_mutex_);
    if (transport->queue_.empty()) return MBEDTLS_ERR_SSL_WANT_READ;
    Message& next = transport->queue_.front();
    if (!next.empty()) {
      const size_t count = std::min(size, next.size());
      std::copy_n(next.data(), count, buffer);
      next.erase(0, count);
      if (next.empty()) transport->queue_.pop_front();
      return static_cast<int>(count);
    }
    transport->queue_.pop_front();
    lock.unlock();
    transport->upper_->tick();
  }
}

SCENARIO_FRAME int TlsTransport::write_callback(void* context, const unsigned char* data,
                                                size_t size) {
  auto* transport = static_cast<TlsTransport*>(context);
  const ssize_t count = send(transport->socket_, data, size, MSG_NOSIGNAL);
  return count < 0 ? MBEDTLS_ERR_SSL_INTERNAL_ERROR : static_cast<int>(count);
}

SCENARIO_FRAME void WsTransport::received(const Message& frame) {
  const std::lock_guard callback(mCallbackMutex);
  open_ = true;
  // Two bytes of header, four of mask (ours is zero), then the payload.
  if (frame.size() < 6) return;
  const char opcode = static_cast<char>(frame[0] & 0x0f);
  if (opcode == kText || opcode == kClose) {
    while (!send_frame(opcode, frame.substr(6))) continue;
  }
  if (opcode == kClose) closed_ = true;
}

SCENARIO_FRAME void WsTransport::tick() {
  const std::lock_guard callback(mCallbackMutex);
  if (!open_ || closed_ || ping_due_) return;
  if (first_ping_) ping_begun_.count_down();
  first_ping_ = false;
  if constexpr (kTwin == Twin::Repaired) {
    ping_due_ = true;
  } else {
    ping_due_ = !send_ping();
  }
}

SCENARIO_FRAME void WsTransport::settle() {
  const std::lock_guard callback(mCallbackMutex);
  while (ping_due_ && !closed_) ping_due_ = !send_ping();
}

SCENARIO_FRAME bool WsTransport::send_ping() { return send_frame(kPing, "are you there"); }

SCENARIO_FRAME bool WsTransport::send_frame(char opcode, const Message& payload) {
  Message frame;
  frame += static_cast<char>(0x80 | opcode);
  frame += static_cast<char>(payload.size());
  return lower_.send_tls(frame + payload);
}

// Feeds the transport from the socket until the peer is gone.
void poll_thread(int socket, WsTransport* ws, ThreadPool* pool) {
  pollfd waiting = {.fd = socket, .events = POLLIN, .revents = 0};
  char buffer[4096];
  for (;;) {
    Message message;
    if (poll(&waiting, 1, kPollInterval.count()) > 0) {
      const ssize_t count = recv(socket, buffer, sizeof(buffer), 0);
      if (count <= 0) return;
      message.assign(buffer, count);
    }
    ws->lower().enqueue(std::move(message));
    pool->schedule([ws] { ws->lower().do_recv(); });
  }
}

// The browser at the other end: greets, answers pings, and closes when it has seen enough.
void client(int socket) {
  struct Io {
    static int send(void* context, const unsigned char* data, size_t size) {
      return static_cast<int>(::send(*static_cast<int*>(context), data, size, MSG_NOSIGNAL));
    }
    static int receive(void* context, unsigned char* buffer, size_t size) {
      return static_cast<int>(::recv(*static_cast<int*>(context), buffer, size, 0));
    }
  };
  Tls tls(MBEDTLS_SSL_IS_CLIENT, &socket, Io::send, Io::receive);
  if (const int result = tls.handshake(); result != 0) fail("client's handshake", result);
  const auto send_frame_of_client = [&tls](int opcode, const Message& payload) {
    const Message mask(4, '\0');
    tls.write(Message(1, static_cast<char>(0x80 | opcode)) +
              static_cast<char>(0x80 | payload.size()) + mask + payload);
  };
  send_frame_of_client(1, "hello");
  int pings = 0;
  int texts = 0;
  bool closing = false;
  unsigned char buffer[4096];
  for (;;) {
    const int count = tls.read(buffer, sizeof(buffer));
    if (count < 2) break;
    const int opcode = buffer[0] & 0x0f;
    if (opcode == 8) break;
    if (opcode == 1) ++texts;
    if (opcode == 9) {
      ++pings;
      if (!closing)
        send_frame_of_client(10, Message(reinterpret_cast<char*>(buffer) + 2, count - 2));
    }
    if (!closing && pings >= kPings && texts > kMessages) {
      closing = true;
      send_frame_of_client(8, "bye");
    }
  }
  std::printf("%s after %d or more pings and %d texts\n", closing ? "closed" : "broken off", kPings,
              texts);
  shutdown(socket, SHUT_RDWR);
}

int main(int argc, char** argv) {
  const int threads = scenario::thread_count(argc, argv, 2, 1);
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) {
    std::perror("socketpair");
    return 1;
  }
  const auto ws = std::make_unique<WsTransport>(ends[0]);
  {
    ThreadPool pool(threads);
    const scenario::Thread poller("rtc-poll", [&] { poll_thread(ends[0], ws.get(), &pool); });
    const scenario::Thread browser("browser", [&] { client(ends[1]); });
    const scenario::Thread application("application", [&] {
      ws->wait_for_ping();
      for (int i = 0; i < kMessages; ++i) {
        while (!ws->send_text("news")) continue;
      }
    });
  }
  close(ends[0]);
  close(ends[1]);
}
