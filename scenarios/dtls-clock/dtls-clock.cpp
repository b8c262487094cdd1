// SPDX-License-Identifier: Apache-2.0
// The DTLS key exchange of a call on OpenSSL, after PJSIP 2.13.
//
// A clock thread retransmits what the network lost. Its callback runs under `ds->ossl_lock`; the
// answer it provokes completes the handshake, and the completion, still in the callback, reports to
// the call under `call->grp_lock` and stops the clock. Meanwhile the call is hung up: under
// `call->grp_lock` that stops the same clock too, and joins its thread. A join is a wait like any
// other, but no lock tool counts it.
//
// The repair joins after the group lock is released. The `trylock` twin goes the way of the
// original: it still joins under the lock, but the callback only tries that lock, and leaves it
// when the call is being hung up.
//
// With N threads: hangup, clock, and N-2 workers that receive media (and want `ds->ossl_lock`) or
// handle timers of the call (and want `call->grp_lock`).
//
// RUN(broken, broken-renamed): gordian run -- %program
// RUN(broken@3):               gordian run -- %program 3
// RUN(broken@5):               gordian run -- %program 5
// RUN(broken@8):               gordian run -- %program 8
// EXIT(broken*):               66
// EXPECT(broken):              DEADLOCK: 2 threads
// JSON(broken*):               findings=1
// JSON(broken*):               verdict=deadlock kind=join|mixed knot=hangup,clock
// JSON(broken, broken@?):      locks=call->grp_lock
// JSON(broken-renamed):        locks=ship->oak
// REJECT(broken-renamed):      grp_lock
//
// Two threads join the clock at once. glibc wakes one of them; the other waits for a thread that is
// gone, with the lock held that others need. (That the hang-up joins a thread whose callback takes
// the lock it holds is a danger here too.)
// RUN(second-join):  gordian run -- %program 5
// EXIT(second-join): 66
// JSON(second-join): verdict=deadlock kind=join|orphan knot=media-1
// JSON(second-join): verdict=possible kind=join|mixed locks=call->grp_lock
//
// RUN(lucky):  gordian run -- %program
// EXIT(lucky): 0
// JSON(lucky): verdict=possible kind=join|mixed locks=call->grp_lock
//
// RUN(repaired):                     gordian run --summary -- %program
// RUN(trylock, timed):               gordian run -- %program
// RUN(repaired@8):                   gordian run --summary -- %program 8
// REPEAT(repaired):                  200
// EXPECT(repaired*):                 with another lock held
// EXIT(repaired*, trylock, timed):   0
// REJECT(repaired*, trylock, timed): DEADLOCK
// JSON(repaired*, trylock, timed):   findings=0
#include "support/blocked.h"
#include "support/steps.h"
#include "support/thread.h"
#include "support/twin.h"

#include <atomic>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <latch>
#include <memory>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <string>
#include <unistd.h>
#include <vector>

#ifdef SCENARIO_RENAMED
#define Call Ship
#define call ship
#define grp_lock oak
#define DtlsSrtp Cargo
#define ds cargo
#define ossl_lock elm
#define Clock Bell
#define clock_thread toll
#define clock_stop hush
#define clock_start swing
#define clock_cb strike
#define on_handshake_complete land
#define call_hangup sink
#define dtls_media_stop unload
#define media_receive load
#define call_timer steer
#endif

using scenario::kTwin;
using scenario::Twin;

// The hang-up comes while the completion is under way; in the other twin the clock is about to end.
constexpr bool kMeet = kTwin != Twin::SecondJoin && kTwin != Twin::Lucky;

struct DtlsSrtp;

// Ticks until it is told to stop.
struct Clock {
  pthread_mutex_t wake_lock = PTHREAD_MUTEX_INITIALIZER;
  pthread_cond_t wake = PTHREAD_COND_INITIALIZER;
  bool quitting = false;
  bool running = false;
  pthread_t thread = {};
};

struct Call {
  pthread_mutex_t grp_lock;
  bool media_ready = false;
  bool hung_up = false;
  int timers = 0;
};

// Our end of the key exchange, and the other's: the network between them is in memory.
struct DtlsSrtp {
  pthread_mutex_t ossl_lock = PTHREAD_MUTEX_INITIALIZER;
  SSL* ssl = nullptr;
  SSL* remote = nullptr;
  int packets = 0;
  int retransmissions = 0;
  bool completed = false;
  Call* call = nullptr;
  Clock* clock = nullptr;
};

// Puts the threads in the order of the story.
struct Story {
  std::latch completing{1};  // the clock's callback holds ds->ossl_lock; the handshake is complete
  std::latch hangup_began{1};  // hangup holds call->grp_lock
  scenario::Steps completed;   // the call knows
  scenario::Tid clock;
  scenario::Tid hangup;
  scenario::Tid media;
};
Story story;

[[noreturn]] void fail(const char* what) {
  std::fprintf(stderr, "%s failed\n", what);
  ERR_print_errors_fp(stderr);
  std::_Exit(1);
}

// Both ends know the key from the signalling, so that the story needs no certificates.
constexpr unsigned char kKey[] = "0123456789abcdef0123456789abcdef";

unsigned client_key(SSL*, const char*, char* identity, unsigned, unsigned char* key, unsigned) {
  std::strcpy(identity, "caller");
  std::memcpy(key, kKey, sizeof(kKey) - 1);
  return sizeof(kKey) - 1;
}

unsigned server_key(SSL*, const char*, unsigned char* key, unsigned) {
  std::memcpy(key, kKey, sizeof(kKey) - 1);
  return sizeof(kKey) - 1;
}

// Microseconds. OpenSSL takes a timer with less than 15 ms to go for expired.
unsigned retransmit_soon(SSL*, unsigned) { return 40'000; }

SSL* new_end(bool client) {
  SSL_CTX* context = SSL_CTX_new(client ? DTLS_client_method() : DTLS_server_method());
  if (context == nullptr) fail("SSL_CTX_new");
  SSL_CTX_set_max_proto_version(context, DTLS1_2_VERSION);
  if (SSL_CTX_set_cipher_list(context, "PSK-AES128-GCM-SHA256") != 1) fail("cipher list");
  SSL_CTX_set_psk_client_callback(context, client_key);
  SSL_CTX_set_psk_server_callback(context, server_key);
  SSL_CTX_set_options(context, SSL_OP_NO_QUERY_MTU);
  SSL* ssl = SSL_new(context);
  SSL_CTX_free(context);
  if (ssl == nullptr) fail("SSL_new");
  DTLS_set_timer_cb(ssl, retransmit_soon);
  SSL_set_mtu(ssl, 1200);
  SSL_set_bio(ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
  BIO_set_mem_eof_return(SSL_get_rbio(ssl), -1);
  client ? SSL_set_connect_state(ssl) : SSL_set_accept_state(ssl);
  return ssl;
}

// Carries what `from` has sent to `to`. False: nothing was there.
bool carry(SSL* from, SSL* to) {
  char packet[4096];
  const int size = BIO_read(SSL_get_wbio(from), packet, sizeof(packet));
  if (size <= 0) return false;
  if (BIO_write(SSL_get_rbio(to), packet, size) != size) fail("BIO_write");
  return true;
}

void step(SSL* ssl) {
  const int result = SSL_do_handshake(ssl);
  if (result != 1 && SSL_get_error(ssl, result) != SSL_ERROR_WANT_READ) fail("handshake");
}

// Joins the clock's thread. Stopped from its own callback it ends by itself afterwards.
SCENARIO_FRAME bool clock_stop(Clock* clock) {
  pthread_mutex_lock(&clock->wake_lock);
  const bool was_running = clock->running;
  clock->quitting = true;
  pthread_cond_broadcast(&clock->wake);
  pthread_mutex_unlock(&clock->wake_lock);
  if (!was_running || pthread_equal(clock->thread, pthread_self())) return true;
  if constexpr (kTwin == Twin::Timed) {
    timespec deadline{};
    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_nsec += 50'000'000;
    deadline.tv_sec += deadline.tv_nsec / 1'000'000'000;
    deadline.tv_nsec %= 1'000'000'000;
    if (pthread_timedjoin_np(clock->thread, nullptr, &deadline) != 0) return false;
  } else {
    pthread_join(clock->thread, nullptr);
  }
  pthread_mutex_lock(&clock->wake_lock);
  clock->running = false;
  pthread_mutex_unlock(&clock->wake_lock);
  return true;
}

// The key exchange is done: tells the call, and stops the clock nobody needs any more.
SCENARIO_FRAME void on_handshake_complete(DtlsSrtp* ds, Call* call) {
  if (kMeet) {
    story.completing.count_down();
    story.hangup_began.wait();
  }
  if constexpr (kTwin == Twin::Trylock) {
    if (pthread_mutex_trylock(&call->grp_lock) != 0) return;  // being hung up: nobody cares
  } else {
    pthread_mutex_lock(&call->grp_lock);
  }
  call->media_ready = !call->hung_up;
  if (ds->clock != nullptr) clock_stop(ds->clock);
  pthread_mutex_unlock(&call->grp_lock);
  story.completed.advance();
}

// One tick: retransmits what is due, and takes in what comes back.
SCENARIO_FRAME void clock_cb(DtlsSrtp* ds) {
  pthread_mutex_lock(&ds->ossl_lock);
  if (!ds->completed && DTLSv1_handle_timeout(ds->ssl) > 0) {
    ++ds->retransmissions;
    while (carry(ds->ssl, ds->remote)) {
      step(ds->remote);
      while (carry(ds->remote, ds->ssl)) step(ds->ssl);
    }
    if (SSL_is_init_finished(ds->ssl)) {
      ds->completed = true;
      on_handshake_complete(ds, ds->call);
    }
  }
  pthread_mutex_unlock(&ds->ossl_lock);
}

SCENARIO_FRAME static void* clock_thread(void* data) {
  auto* ds = static_cast<DtlsSrtp*>(data);
  Clock* clock = ds->clock;
  pthread_setname_np(pthread_self(), "clock");
  story.clock.set(gettid());
  pthread_mutex_lock(&clock->wake_lock);
  while (!clock->quitting) {
    timespec next{};
    clock_gettime(CLOCK_REALTIME, &next);
    next.tv_nsec += 1'000'000;
    next.tv_sec += next.tv_nsec / 1'000'000'000;
    next.tv_nsec %= 1'000'000'000;
    pthread_cond_timedwait(&clock->wake, &clock->wake_lock, &next);
    if (clock->quitting) break;
    pthread_mutex_unlock(&clock->wake_lock);
    clock_cb(ds);
    pthread_mutex_lock(&clock->wake_lock);
  }
  pthread_mutex_unlock(&clock->wake_lock);
  if (kTwin == Twin::SecondJoin) {
    // It ends when both of them are in pthread_join, the hang-up first: the kernel wakes in order.
    story.completing.count_down();
    scenario::wait_until_joining(story.hangup.get(), gettid());
    scenario::wait_until_joining(story.media.get(), gettid());
  }
  return nullptr;
}

void clock_start(Clock* clock, DtlsSrtp* ds) {
  clock->running = true;
  ds->clock = clock;
  if (pthread_create(&clock->thread, nullptr, clock_thread, ds) != 0) fail("pthread_create");
}

// Our first packet, the client's hello, is lost on its way.
void dtls_media_start(DtlsSrtp* ds, Clock* clock) {
  pthread_mutex_lock(&ds->ossl_lock);
  step(ds->ssl);
  (void)BIO_reset(SSL_get_wbio(ds->ssl));
  pthread_mutex_unlock(&ds->ossl_lock);
  clock_start(clock, ds);
}

SCENARIO_FRAME bool dtls_media_stop(DtlsSrtp* ds) { return clock_stop(ds->clock); }

SCENARIO_FRAME void call_hangup(Call* call, DtlsSrtp* ds) {
  if (kTwin == Twin::Lucky) {
    story.completed.wait_for(1);
  } else {
    story.completing.wait();
  }
  pthread_mutex_lock(&call->grp_lock);
  call->hung_up = true;
  story.hangup_began.count_down();
  story.hangup.set(gettid());
  bool stopped = false;
  if (kTwin != Twin::Repaired) stopped = dtls_media_stop(ds);
  pthread_mutex_unlock(&call->grp_lock);
  while (!stopped) stopped = dtls_media_stop(ds);
}

// A packet came for us.
SCENARIO_FRAME void media_receive(DtlsSrtp* ds, bool first) {
  if (kTwin == Twin::SecondJoin && !first) story.media.get();
  pthread_mutex_lock(&ds->ossl_lock);
  ++ds->packets;
  if (kTwin == Twin::SecondJoin && first) {
    // The handshake turned out complete: this thread, too, stops the clock.
    scenario::wait_until_joining(story.hangup.get(), story.clock.get());
    story.media.set(gettid());
    clock_stop(ds->clock);
  }
  pthread_mutex_unlock(&ds->ossl_lock);
}

// A timer of the call fires.
SCENARIO_FRAME void call_timer(Call* call) {
  pthread_mutex_lock(&call->grp_lock);
  ++call->timers;
  pthread_mutex_unlock(&call->grp_lock);
}

void grp_lock_init(Call* call) {
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
  pthread_mutex_init(&call->grp_lock, &attributes);
  pthread_mutexattr_destroy(&attributes);
}

int main(int argc, char** argv) {
  const int threads = scenario::thread_count(argc, argv, 4, 3);
  const auto call = std::make_unique<Call>();
  grp_lock_init(call.get());
  const auto clock = std::make_unique<Clock>();
  const auto ds = std::make_unique<DtlsSrtp>();
  ds->call = call.get();
  ds->ssl = new_end(true);
  ds->remote = new_end(false);
  dtls_media_start(ds.get(), clock.get());
  {
    std::vector<scenario::Thread> started;
    started.emplace_back("hangup", [&] { call_hangup(call.get(), ds.get()); });
    for (int i = 1; i <= threads - 2; ++i) {
      const bool media = i % 2 != 0;
      const std::string name = (media ? "media-" : "timer-") + std::to_string((i + 1) / 2);
      started.emplace_back(name, [&, media, first = i == 1] {
        story.hangup_began.wait();
        media ? media_receive(ds.get(), first) : call_timer(call.get());
      });
    }
  }
  std::printf("%s, %d retransmissions, %d packets, %d timers\n",
              ds->completed ? "complete" : "incomplete", ds->retransmissions, ds->packets,
              call->timers);
  SSL_free(ds->ssl);
  SSL_free(ds->remote);
  pthread_mutex_destroy(&call->grp_lock);
}
