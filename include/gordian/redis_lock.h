// SPDX-License-Identifier: Apache-2.0
// Locks on Redis or Valkey, shared by threads, processes and machines.
//
//   gordian::redis::lock_client client{{.servers = {"redis://127.0.0.1:6379"}}};
//   {
//     gordian::redis::lease lease = client.acquire("invoices");
//     ...                            // renewed in the background until the lease is released
//     if (lease.lost().stop_requested()) return;  // somebody forced it, or the server forgot it
//   }                                // released
//
// The keys on the server are those of Go's rueidislock, see docs/redis-locks.md: both can contend
// for one lock. Link with libgordian_redis (CMake: find_package(gordian_redis), gordian::redis).
//
// Thread-safety: every member of lock_client may be called from any thread at any time; one lease
// belongs to one thread at a time. A client owns one I/O thread, which takes none of the program's
// signals, one more once there is something to call back, and one while a host's name is looked up;
// no thread a lock. On a loop of the program's own (client_options::foreign_loop) it owns none but
// the last: see lock_client::descriptor(). After fork() the child must make a client of its own.
// Units: every duration and deadline is std::chrono; deadlines are of steady_clock.
// Errors: what can be named throws a lock_error of its own type, below; std::bad_alloc aside,
// nothing else is thrown.
#pragma once

#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#define GORDIAN_REDIS_API __attribute__((visibility("default")))

namespace gordian::redis {

// --- errors -------------------------------------------------------------------------------------

enum class errc {
  not_acquired = 1,  // held by somebody else
  lost,              // the lease ended without being released: expired, deleted or forced
  deadline,          // the time limit of the request passed
  cancelled,         // the request's stop_token asked for it
  transport,         // the server cannot be reached, or does not answer
  deadlock,          // this request was chosen to break a deadlock
  reentry,           // the calling thread holds the lock already
  closed,            // the client is being destroyed, or belongs to the parent of this process
  misuse,            // an option or a name that cannot work
};

GORDIAN_REDIS_API const std::error_category& lock_category() noexcept;
GORDIAN_REDIS_API std::error_code make_error_code(errc code) noexcept;

class GORDIAN_REDIS_API lock_error : public std::system_error {
 public:
  lock_error(errc code, const std::string& what) : std::system_error(make_error_code(code), what) {}
  ~lock_error() override;
};

#define GORDIAN_REDIS_ERROR(type, code_name)                                      \
  class GORDIAN_REDIS_API type : public lock_error {                              \
   public:                                                                        \
    explicit type(const std::string& what) : lock_error(errc::code_name, what) {} \
    ~type() override;                                                             \
  }
GORDIAN_REDIS_ERROR(not_acquired_error, not_acquired);
GORDIAN_REDIS_ERROR(lost_error, lost);
GORDIAN_REDIS_ERROR(deadline_error, deadline);
GORDIAN_REDIS_ERROR(cancelled_error, cancelled);
GORDIAN_REDIS_ERROR(transport_error, transport);
GORDIAN_REDIS_ERROR(reentry_error, reentry);
GORDIAN_REDIS_ERROR(closed_error, closed);
GORDIAN_REDIS_ERROR(misuse_error, misuse);
#undef GORDIAN_REDIS_ERROR

// One waiting thread of a deadlock over leases.
struct deadlock_member {
  std::string host;
  int64_t pid = 0;
  int64_t thread = 0;       // kernel thread id on that host
  std::string thread_name;  // as the host knows it; may be empty
  std::string wants;        // the lock it waits for ...
  std::string holder;       // ... which the next member of the cycle holds; empty: not known
  // Of a thread of the calling process; else empty.
  std::vector<std::string> stack;
  // The same: what the thread that has the lock the member before wants waits for, up to this
  // member's thread, if that is another one.
  std::vector<std::string> local_waits;
};

class GORDIAN_REDIS_API deadlock_error : public lock_error {
 public:
  deadlock_error(const std::string& what, std::vector<deadlock_member> cycle);
  ~deadlock_error() override;
  // Each member waits for a lock of the next one, the last for one of the first. Valid as long as
  // the exception.
  [[nodiscard]] const std::vector<deadlock_member>& cycle() const noexcept { return *cycle_; }

 private:
  std::shared_ptr<const std::vector<deadlock_member>>
      cycle_;  // copying an exception must not throw
};

// --- options ------------------------------------------------------------------------------------

enum class topology {
  standalone,   // one server
  independent,  // 2M-1 masters that know nothing of each other: key i lives on server i
  sentinel,  // `servers` are Redis Sentinels, which name the master; their failovers are followed
  cluster,   // `servers` are some of a Redis Cluster, which tell of the others; a key lives where
             // its slot is, and the user and password of the first are those of all
};

enum class transport_policy {
  fail,         // tell the caller as soon as the server cannot be reached or answers twice too late
  keep_trying,  // until the deadline of the request: also while another server takes over
};

enum class deadlock_mode {
  off,     // nothing is published, nothing is looked for
  report,  // `on_deadlock` is called on every client that is part of it
  raise,   // and acquire() of exactly one member throws deadlock_error
};

// How servers and client prove who they are. Files are PEM, and read when the client is made.
struct tls_options {
  std::string ca_file;           // authorities whose word counts; without both those of the system
  std::string ca_directory;      // the same, by hash of the name (openssl rehash)
  std::string certificate_file;  // of this client, where the server asks for one,
  std::string key_file;          // and its key
  std::string server_name;       // the servers' in their certificates; empty: the host
  bool verify = true;            // false: whoever answers is believed
};

struct client_options {
  // "redis://[USER[:PASSWORD]@]HOST[:PORT][/DATABASE]" or "unix:///PATH"; "rediss://" for TLS, see
  // `tls`. What sentinels or a cluster name is asked over TLS if they (their first) are.
  std::vector<std::string> servers{"redis://127.0.0.1:6379"};
  topology kind = topology::standalone;
  std::string user;      // for all servers that name none themselves; with Sentinel for the master
  std::string password;  // the same
  int database = 0;      // the same
  std::string sentinel_master = "mymaster";  // the name under which the sentinels watch it
  std::string sentinel_user;                 // for all sentinels that name none themselves
  std::string sentinel_password;             // the same

  tls_options tls;  // for "rediss://"

  std::string key_prefix = "rueidislock";
  // How many of 2 * majority - 1 keys make a lock. 0: 1, with `independent` more than half of the
  // servers. All contenders of a lock must agree; rueidislock's default is 2.
  unsigned majority = 0;
  std::chrono::milliseconds validity{5000};      // of a lease that is not renewed
  std::chrono::milliseconds extend_interval{0};  // 0: half of the validity
  std::chrono::milliseconds retry_interval{20};  // between tries where servers push nothing, and
                                                 // before the next key of a majority is tried
  std::chrono::milliseconds connect_timeout{1000};
  std::chrono::milliseconds command_timeout{1000};
  bool tracking = true;  // let the server push changes of the keys waited for (Redis 6 and later)
  bool no_loop = true;   // not those this client makes itself (Redis 7.0.5 and later)
  // It pushes them between its replies where it knows RESP3 (Redis 6 and later) and this was built
  // with hiredis 1.0 or later; else, and if false, it does over a second connection.
  bool resp3 = true;
  transport_policy on_transport_error = transport_policy::fail;

  bool allow_reentry = false;  // count instead of throwing reentry_error
  bool fencing = false;        // every acquisition draws a number, see lease::fencing_token()
  // A counter nobody used for so long is forgotten, and its lock's next token is a time of the
  // server's clock as they all are: only if that clock was set back may it be too small.
  std::chrono::milliseconds fencing_lifetime{std::chrono::hours(24 * 7)};
  // How often in a row a lock may go from thread to thread of this client before other processes
  // are given a chance, at most 4096. 0: never without the server.
  unsigned handover_limit = 64;

  // Found are cycles of threads that wait without a limit for locks of others, also where a thread
  // holds a lock and waits, for a mutex or to join, for one that waits for a lock. Not where a
  // lease lies outside of the stack of the thread that took it: another one may release it.
  deadlock_mode deadlocks = deadlock_mode::report;
  std::chrono::milliseconds deadlock_delay{100};  // a wait this long is published and looked into
  int priority = 0;  // the victim of a deadlock is a member of the lowest priority
  // Called by a thread of the client's own, with no lock held; may call the client.
  std::function<void(const std::vector<deadlock_member>&)> on_deadlock;

  // No thread of the client's own: a loop of the program's turns the client, see
  // lock_client::descriptor(), and calls what is to be called back.
  bool foreign_loop = false;
};

// --- leases -------------------------------------------------------------------------------------

namespace detail {
struct Hold;  // of src/redis
class ClientState;
}  // namespace detail

// A lock that is held; releases it when it ends. Movable; moved from or released it is empty.
class GORDIAN_REDIS_API lease {
 public:
  lease() noexcept;
  lease(lease&&) noexcept;
  lease& operator=(lease&&) noexcept;
  ~lease();  // as release_async()

  explicit operator bool() const noexcept { return hold_ != nullptr; }
  [[nodiscard]] const std::string& name() const;

  // Asks to stop once the lease is known to be lost: expired (by this machine's clock, at the
  // latest `validity` after the last renewal was sent), deleted or forced. Callbacks run on a
  // thread of the client's, or on the program's loop.
  [[nodiscard]] std::stop_token lost() const;
  // Not lost, and by the clock not over: a cheap question, no round trip. A loop that comes too
  // late to renew a lease comes too late to say so; this says it in time. Once false it stays so.
  // In a forked child it is false: the parent holds it.
  [[nodiscard]] bool valid() const noexcept;
  // Larger than that of every earlier acquisition of this lock, also after the server has forgotten
  // everything, as long as the clocks of the servers go right. Let what the lock protects refuse a
  // smaller number than it has seen: then a holder that was stopped too long does no harm. Throws
  // misuse_error unless client_options::fencing is set.
  [[nodiscard]] uint64_t fencing_token() const;

  // Waits until the server has let go of it, at most command_timeout; after that it is tried again
  // in the background, for as long as the lease can last. Throws lost_error if it was lost before.
  // Empty after; but held on if the thread may not wait (misuse_error, see
  // lock_client::descriptor()).
  void release();
  // The same in the background: returns at once, throws nothing.
  void release_async() noexcept;

 private:
  friend class lock_client;
  explicit lease(std::shared_ptr<detail::Hold> hold) noexcept;
  std::shared_ptr<detail::Hold> hold_;
};

// --- the client ---------------------------------------------------------------------------------

// How long a request may wait: for ever, until a deadline, until asked to stop, or both.
struct wait_limit {
  wait_limit() = default;
  wait_limit(std::chrono::steady_clock::time_point until) : deadline(until) {}
  template <class Rep, class Period>
  wait_limit(std::chrono::duration<Rep, Period> time) : deadline(from_now(time)) {}
  wait_limit(std::stop_token token) : stop(std::move(token)) {}
  wait_limit(std::chrono::steady_clock::time_point until, std::stop_token token)
      : deadline(until), stop(std::move(token)) {}

  std::optional<std::chrono::steady_clock::time_point> deadline;
  std::stop_token stop;

 private:
  // A sum that does not overflow: who waits for hours::max() waits for ever.
  template <class Rep, class Period>
  static std::chrono::steady_clock::time_point from_now(std::chrono::duration<Rep, Period> time) {
    using std::chrono::steady_clock;
    constexpr double century_s = 100.0 * 365 * 24 * 3600;
    const double time_s = std::chrono::duration<double>(time).count();
    if (time_s > century_s) return steady_clock::time_point::max();
    const steady_clock::time_point now = steady_clock::now();
    return time_s > 0 ? now + std::chrono::duration_cast<steady_clock::duration>(time) : now;
  }
};

// What became of a request that nobody waits for.
struct acquisition {
  lease held;                // empty if there is an error; it belongs to no thread
  std::error_code code;      // of errc; errc::not_acquired of a try that was refused
  std::exception_ptr error;  // what acquire() would have thrown, with the words
};
using on_acquired = std::function<void(acquisition)>;
// The same of one for several names.
struct acquisitions {
  std::vector<lease> held;  // one for each name, sorted; empty if there is an error
  std::error_code code;
  std::exception_ptr error;
};
using on_all_acquired = std::function<void(acquisitions)>;

class GORDIAN_REDIS_API lock_client {
 public:
  // Connects; with transport_policy::fail it throws transport_error if that fails. misuse_error for
  // options that cannot work.
  explicit lock_client(client_options options = {});
  // Releases nothing that a lease still holds: such leases are lost. Waits for the releases in the
  // background, and until no request that was given up can leave a lock behind; at most
  // command_timeout. No other thread may be inside a member any more.
  ~lock_client();
  lock_client(const lock_client&) = delete;
  lock_client& operator=(const lock_client&) = delete;

  // Waits for the lock. The waiters of one client are served in the order in which they came.
  // Throws deadline_error, cancelled_error, transport_error, deadlock_error, reentry_error.
  [[nodiscard]] lease acquire(std::string_view name, const wait_limit& limit = {});
  // Together with other readers: waits until nobody holds the lock exclusively. A writer (of this
  // client library) that waits for the readers to leave comes before readers that come after it;
  // several writers do not queue up before readers, though. Foreign clients see a lock that is
  // taken. Such a lease has no fencing token.
  [[nodiscard]] lease acquire_shared(std::string_view name, const wait_limit& limit = {});
  // All of them or none: in sorted order, whatever order they are named in, so that two such calls
  // never wait for each other; a name given twice counts once. If one cannot be had, those that
  // were are released, and the server has confirmed it, before the error is thrown. One lease for
  // each name, sorted.
  [[nodiscard]] std::vector<lease> acquire_all(std::vector<std::string> names,
                                               const wait_limit& limit = {});
  // Empty if somebody else has it or is waiting for it in this client.
  [[nodiscard]] std::optional<lease> try_acquire(std::string_view name);
  // Takes it, whoever has it; the former holder's lease is lost.
  [[nodiscard]] lease force_acquire(std::string_view name);

  // The same without waiting: they return at once, and `done` is called once, by a thread of the
  // client's own or by the program's loop, with no lock held; at the latest by the destructor. It
  // may call the client, and destroy it. Who waits is no thread, so two such requests for one lock
  // are never a re-entry, nor part of a deadlock that is looked for: give them a limit.
  // They throw what is wrong with the request itself: misuse_error, closed_error.
  void async_acquire(std::string_view name, on_acquired done, const wait_limit& limit = {});
  void async_acquire_shared(std::string_view name, on_acquired done, const wait_limit& limit = {});
  void async_try_acquire(std::string_view name, on_acquired done);
  void async_force_acquire(std::string_view name, on_acquired done);
  // One after the other in sorted order, as acquire_all(); of an error it is told once the servers
  // have confirmed that those it had are released, or have not in command_timeout.
  void async_acquire_all(std::vector<std::string> names, on_all_acquired done,
                         const wait_limit& limit = {});

  // On a loop of the program's own, with client_options::foreign_loop; redis_lock_uv.h and
  // redis_lock_asio.h do this for libuv and Asio. The descriptor can be read whenever there is
  // something to do: then call run_ready(), which does what is ready and does not wait, and wait
  // for the descriptor again. Leave the descriptor open, and wait for it no more once the client is
  // destroyed. One thread at a time turns it.
  // What waits would wait for ever on that thread, so acquire(), its kin and lease::release() throw
  // misuse_error there: on the thread that called run_ready() the last time, or else made the
  // client. Other threads may call them, while it is turned. Constructor and destructor turn the
  // client themselves: they wait as they always do, and the destructor may not run beside
  // run_ready() in another thread.
  // What a callback throws leaves run_ready(); the client goes on.
  [[nodiscard]] int descriptor() const;
  void run_ready();

 private:
  void ask_async(std::string name, on_acquired done, const wait_limit& limit, int kind);
  std::shared_ptr<detail::ClientState> state_;
};

}  // namespace gordian::redis

template <>
struct std::is_error_code_enum<gordian::redis::errc> : std::true_type {};
