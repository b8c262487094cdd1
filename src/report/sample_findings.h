// SPDX-License-Identifier: Apache-2.0
// Findings built by hand for the tests of every output form: one for each kind of story a report
// has to tell.
#pragma once

#include "model/finding.h"
#include "report/report.h"

#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace gordian::report::sample {

using model::Finding;
using model::FindingKind;
using model::Mode;
using model::ResourceId;
using model::ResourceKind;
using model::Role;
using model::ThreadId;
using model::Verdict;
using namespace std::chrono_literals;

inline model::Frame frame(std::string function, std::string file, int line) {
  model::Frame result;
  result.function = std::move(function);
  result.file = std::move(file);
  result.line = line;
  result.module = "/usr/bin/program";
  return result;
}

inline model::Frame inlined(std::string function, std::string file, int line) {
  model::Frame result = frame(std::move(function), std::move(file), line);
  result.inlined = true;
  return result;
}

inline model::Frame plumbing(std::string function) {
  model::Frame result = frame(std::move(function), "", 0);
  result.module = "/lib/x86_64-linux-gnu/libstdc++.so.6";
  result.plumbing = true;
  return result;
}

inline model::Frame unknown(std::string module, uint64_t offset) {
  model::Frame result;
  result.module = std::move(module);
  result.module_offset = offset;
  return result;
}

using Frames = std::vector<model::Frame>;

class Builder {
 public:
  Builder(Verdict verdict, FindingKind kind, std::string exe) {
    finding_.verdict = verdict;
    finding_.kind = kind;
    process(4711, std::move(exe));
  }

  void process(int pid, std::string exe) {
    model::Process process;
    process.id = model::ProcessId(finding_.processes.size());
    process.pid = pid;
    process.argv = {exe};
    process.exe = std::move(exe);
    finding_.processes.push_back(process);
  }

  ResourceId lock(ResourceKind kind, std::string name, std::string class_name = {}) {
    model::Resource resource;
    resource.id = ResourceId(finding_.resources.size());
    resource.kind = kind;
    resource.name = std::move(name);
    resource.class_name = std::move(class_name);
    resource.address = 0x7f0000001000 + 0x40 * finding_.resources.size();
    resource.generation = 1;
    finding_.resources.push_back(resource);
    return resource.id;
  }

  model::Resource& resource(ResourceId id) {
    return finding_.resources.at(static_cast<size_t>(id));
  }

  ThreadId thread(std::string name, Role role = Role::Knot) {
    model::FindingThread thread;
    thread.id = ThreadId(finding_.threads.size());
    thread.process = finding_.processes.back().id;
    thread.tid = 4712 + static_cast<int>(finding_.threads.size());
    thread.name = std::move(name);
    thread.role = role;
    finding_.threads.push_back(thread);
    return thread.id;
  }

  void holds(ThreadId thread, ResourceId lock, Frames frames, Mode mode = Mode::Exclusive,
             std::string note = {}) {
    model::FindingHold hold;
    hold.resource = lock;
    hold.mode = mode;
    hold.stack.frames = std::move(frames);
    hold.stack.note = std::move(note);
    at(thread).holds.push_back(std::move(hold));
  }

  void wants(ThreadId thread, ResourceId lock, Frames frames, std::vector<ThreadId> owners = {},
             Mode mode = Mode::Exclusive, std::chrono::nanoseconds waited = 1200ms) {
    model::FindingWant want;
    want.resource = lock;
    want.mode = mode;
    want.stack.frames = std::move(frames);
    want.owners = std::move(owners);
    want.waited = waited;
    const bool stopped =
        finding_.verdict == Verdict::Deadlock || finding_.verdict == Verdict::Stall;
    if (!stopped) want.waited = 0ns;
    at(thread).wants = std::move(want);
  }

  void reason(model::ReasonCode code, std::string detail = {}) {
    finding_.reason.code = code;
    finding_.reason.detail = std::move(detail);
  }
  void reason_lock(ResourceId lock) { finding_.reason.resource = lock; }
  void reason_thread(ThreadId thread) { finding_.reason.thread = thread; }
  void assume(model::AssumptionCode code) { finding_.assumptions.push_back(code); }

  [[nodiscard]] const Finding& get() const { return finding_; }

 private:
  model::FindingThread& at(ThreadId id) { return finding_.threads.at(static_cast<size_t>(id)); }

  Finding finding_;
};

// Two GMutex in opposite order.
inline Finding videoroom() {
  Builder b(Verdict::Deadlock, FindingKind::LockOrder, "/usr/bin/janus");
  const auto streams = b.lock(ResourceKind::GlibMutex, "participant->streams_mutex", "Participant");
  const auto handle = b.lock(ResourceKind::GlibMutex, "handle->mutex", "Handle");
  const auto worker = b.thread("http-worker");
  const auto admin = b.thread("admin");
  const Frames base = {frame("ice_thread", "/src/janus/src/ice.c", 903),
                       frame("g_thread_proxy", "../glib/gthread.c", 831), plumbing("start_thread"),
                       plumbing("clone3")};
  Frames took = {plumbing("g_mutex_lock"),
                 frame("incoming_rtp", "/src/janus/src/plugins/videoroom.c", 812),
                 frame("plugin_incoming_rtp", "/src/janus/src/ice.c", 611)};
  took.insert(took.end(), base.begin(), base.end());
  Frames asks = {plumbing("g_mutex_lock"),
                 frame("send_keyframe_request", "/src/janus/src/ice.c", 640),
                 inlined("relay_pli", "/src/janus/src/plugins/videoroom.c", 790),
                 frame("request_keyframe", "/src/janus/src/plugins/videoroom.c", 801),
                 frame("incoming_rtp", "/src/janus/src/plugins/videoroom.c", 830),
                 frame("plugin_incoming_rtp", "/src/janus/src/ice.c", 611)};
  asks.insert(asks.end(), base.begin(), base.end());
  b.holds(worker, streams, took);
  b.wants(worker, handle, asks, {admin});
  b.holds(admin, handle,
          {plumbing("g_mutex_lock"), frame("admin_handle_info", "/src/janus/src/janus.c", 2210),
           frame("admin_thread", "/src/janus/src/janus.c", 2301)});
  b.wants(
      admin, streams,
      {plumbing("g_mutex_lock"), frame("query_session", "/src/janus/src/plugins/videoroom.c", 1490),
       frame("admin_handle_info", "/src/janus/src/janus.c", 2224),
       frame("admin_thread", "/src/janus/src/janus.c", 2301)},
      {worker}, Mode::Exclusive, 3200ms);
  b.assume(model::AssumptionCode::OwnersRelease);
  return b.get();
}

// A callback under a lock takes the lock again.
inline Finding self_lock() {
  Builder b(Verdict::Deadlock, FindingKind::SelfLock, "/opt/chat/bin/server");
  const auto mutex = b.lock(ResourceKind::Mutex, "TlsTransport::ssl_mutex_");
  const auto rx = b.thread("tls-rx");
  const Frames outer = {frame("chat::TlsTransport::receive_loop()", "tls.cpp", 90),
                        plumbing("std::thread::_State_impl<...>::_M_run()"),
                        plumbing("start_thread")};
  Frames took = {plumbing("std::mutex::lock()"),
                 frame("chat::TlsTransport::receive()", "tls.cpp", 120)};
  took.insert(took.end(), outer.begin(), outer.end());
  Frames asks = {plumbing("std::mutex::lock()"),
                 plumbing("std::lock_guard<std::mutex>::lock_guard(std::mutex&)"),
                 frame("chat::TlsTransport::send(std::vector<std::byte> const&)", "tls.cpp", 151),
                 frame("chat::WebSocket::send_ping()", "websocket.cpp", 66),
                 plumbing("std::function<void (int)>::operator()(int) const"),
                 frame("chat::WebSocket::on_message(int)", "websocket.cpp", 41),
                 frame("chat::TlsTransport::receive()", "tls.cpp", 131)};
  asks.insert(asks.end(), outer.begin(), outer.end());
  b.holds(rx, mutex, took);
  b.wants(rx, mutex, asks, {rx});
  b.assume(model::AssumptionCode::OwnersRelease);
  return b.get();
}

// Two threads stop and join the same clock thread, one of them holding what the clock needs.
inline Finding two_joiners() {
  Builder b(Verdict::Deadlock, FindingKind::Join, "/usr/bin/sipd");
  const auto clock_end = b.lock(ResourceKind::Thread, "");
  const auto group = b.lock(ResourceKind::Mutex, "session->group_lock");
  const auto poll = b.thread("poll");
  const auto media = b.thread("media-stop");
  const auto clock = b.thread("dtls-clock");
  b.resource(clock_end).joined = clock;
  b.resource(clock_end).joined_known = true;
  b.holds(poll, group,
          {frame("on_rx_data", "transport_srtp_dtls.c", 700), frame("poll_loop", "ioqueue.c", 88)});
  b.wants(poll, clock_end,
          {plumbing("pthread_join"), frame("clock_stop", "clock_thread.c", 210),
           frame("dtls_on_handshake_done", "transport_srtp_dtls.c", 742),
           frame("on_rx_data", "transport_srtp_dtls.c", 711), frame("poll_loop", "ioqueue.c", 88)},
          {clock});
  b.wants(media, clock_end,
          {plumbing("pthread_join"), frame("clock_stop", "clock_thread.c", 210),
           frame("media_stop", "transport_srtp.c", 1290)},
          {clock}, Mode::Exclusive, 2s);
  b.wants(clock, group,
          {frame("retransmit", "transport_srtp_dtls.c", 655),
           frame("clock_thread", "clock_thread.c", 301)},
          {poll});
  b.assume(model::AssumptionCode::OwnersRelease);
  return b.get();
}

// Lock, join and reader/writer in one cycle, five workers behind it.
inline Finding replication() {
  Builder b(Verdict::Deadlock, FindingKind::Mixed, "/usr/bin/kvrocks");
  const auto guard = b.lock(ResourceKind::RwLock, "Server::works_concurrency_rw_lock_");
  const auto end = b.lock(ResourceKind::Thread, "");
  const auto slaveof = b.thread("worker-1");
  const auto replica = b.thread("master-repl");
  b.resource(end).joined = replica;
  b.resource(end).joined_known = true;
  b.resource(guard).prefers_writers = true;
  b.holds(slaveof, guard,
          {plumbing("std::shared_mutex::lock()"),
           frame("Server::WorkExclusivityGuard()", "src/server/server.cc", 1702),
           frame("Connection::ExecuteCommands()", "src/server/redis_connection.cc", 404)});
  b.wants(slaveof, end,
          {plumbing("pthread_join"), plumbing("std::thread::join()"),
           frame("ReplicationThread::Stop()", "src/cluster/replication.cc", 380),
           frame("Server::RemoveMaster()", "src/server/server.cc", 310),
           frame("CommandSlaveOf::Execute(Server*)", "src/commands/cmd_replication.cc", 55),
           frame("Connection::ExecuteCommands()", "src/server/redis_connection.cc", 431)},
          {replica});
  b.wants(replica, guard,
          {plumbing("std::shared_mutex::lock_shared()"),
           frame("Server::WorkConcurrencyGuard()", "src/server/server.cc", 1698),
           frame("ReplicationThread::ParseWriteBatch(std::string const&)",
                 "src/cluster/replication.cc", 912),
           frame("ReplicationThread::Run()", "src/cluster/replication.cc", 402)},
          {slaveof}, Mode::Shared);
  for (int i = 0; i < 4; ++i) {
    const auto worker = b.thread("worker", Role::Victim);
    b.wants(worker, guard,
            {plumbing("std::shared_mutex::lock_shared()"),
             frame("Server::WorkConcurrencyGuard()", "src/server/server.cc", 1698)},
            {slaveof}, Mode::Shared);
  }
  const auto cron = b.thread("cron", Role::Victim);
  b.wants(
      cron, guard,
      {plumbing("std::shared_mutex::lock()"), frame("Server::cron()", "src/server/server.cc", 733)},
      {slaveof});
  b.assume(model::AssumptionCode::OwnersRelease);
  return b.get();
}

// A token pushed into a full queue under the mutex that all takers need.
inline Finding redis_lock(Verdict verdict = Verdict::Deadlock) {
  Builder b(verdict, FindingKind::Condition, "/usr/bin/locker");
  const auto room = b.lock(ResourceKind::Condition, "gate.not_full");
  const auto mutex = b.lock(ResourceKind::Mutex, "locker.mutex_");
  const auto releaser = b.thread("releaser");
  std::vector<ThreadId> takers;
  takers.reserve(5);
  for (int i = 0; i < 3; ++i) takers.push_back(b.thread("waiter"));
  takers.push_back(b.thread("reader"));
  takers.push_back(b.thread("main"));
  b.holds(releaser, mutex,
          {plumbing("std::mutex::lock()"), frame("Locker::release(Key)", "locker.cpp", 210)});
  b.wants(releaser, room,
          {plumbing("pthread_cond_wait"), plumbing("std::condition_variable::wait(...)"),
           frame("BoundedQueue<Token>::push(Token)", "queue.h", 31),
           frame("Gate::wake_next()", "locker.cpp", 97),
           frame("Locker::release(Key)", "locker.cpp", 216)},
          takers);
  for (size_t i = 0; i < takers.size(); ++i) {
    Frames frames = {plumbing("std::mutex::lock()"),
                     i < 3    ? frame("Locker::cancelled(Waiter&)", "locker.cpp", 141)
                     : i == 3 ? frame("Locker::on_invalidate(Key)", "locker.cpp", 175)
                              : frame("Locker::~Locker()", "locker.cpp", 60)};
    b.wants(takers[i], mutex, frames, {releaser});
  }
  b.assume(model::AssumptionCode::OwnersRelease);
  b.assume(model::AssumptionCode::NoOutsideWaker);
  b.assume(model::AssumptionCode::NoSignalHandlerPosts);
  return b.get();
}

inline Finding stall() {
  Finding finding = redis_lock(Verdict::Stall);
  finding.assumptions.clear();
  finding.reason.code = model::ReasonCode::WakerMayExist;
  finding.reason.thread = ThreadId(finding.threads.size());  // free, so no part of the finding
  finding.reason.thread_name = "metrics";
  return finding;
}

// Three threads, three locks; none has a name.
inline Finding three_cycle() {
  Builder b(Verdict::Possible, FindingKind::LockOrder, "/usr/bin/bank");
  std::vector<ResourceId> locks;
  locks.reserve(3);
  for (int i = 0; i < 3; ++i)
    locks.push_back(b.lock(ResourceKind::Mutex, "", "init at bank.cc:14 in open_account"));
  for (size_t i = 0; i < 3; ++i) b.thread("teller");
  for (size_t i = 0; i < 3; ++i) {
    const std::string from = std::string("transfer_") + static_cast<char>('a' + i);
    b.holds(ThreadId(i), locks[i], {frame(from, "bank.cc", 30 + static_cast<int>(i))},
            Mode::Exclusive, "only the call site is known");
    b.wants(ThreadId(i), locks[(i + 1) % 3],
            {frame("Account::deposit(long)", "bank.cc", 21),
             frame(from, "bank.cc", 33 + static_cast<int>(i)), unknown("/usr/bin/bank", 0x1189)},
            {ThreadId((i + 1) % 3)});
  }
  b.reason(model::ReasonCode::MemoryNotRecorded);
  return b.get();
}

inline Finding refuted_by_gate() {
  Builder b(Verdict::Refuted, FindingKind::LockOrder, "/usr/bin/bank");
  const auto first = b.lock(ResourceKind::Mutex, "first");
  const auto second = b.lock(ResourceKind::Mutex, "second");
  const auto gate = b.lock(ResourceKind::Mutex, "rooms_mutex");
  const auto left = b.thread("left");
  const auto right = b.thread("right");
  for (const auto& [thread, has, asks, function] :
       {std::tuple{left, first, second, "left_side"},
        std::tuple{right, second, first, "right_side"}}) {
    b.holds(thread, gate, {frame(function, "gate.cc", 10)});
    b.holds(thread, has, {frame(function, "gate.cc", 11)});
    b.wants(thread, asks, {frame(function, "gate.cc", 12)});
  }
  b.reason(model::ReasonCode::GateLock);
  b.reason_lock(gate);
  return b.get();
}

inline Finding held_at_exit() {
  Builder b(Verdict::Possible, FindingKind::HeldAtExit, "/usr/bin/indexer");
  const auto mutex = b.lock(ResourceKind::Mutex, "index_mutex");
  const auto worker = b.thread("indexer-3");
  b.holds(worker, mutex,
          {plumbing("pthread_mutex_lock"), frame("index_document", "index.c", 77),
           frame("worker_main", "index.c", 140)});
  return b.get();
}

inline Finding orphan() {
  Builder b(Verdict::Deadlock, FindingKind::Orphan, "/usr/bin/indexer");
  const auto mutex = b.lock(ResourceKind::Mutex, "index_mutex");
  b.resource(mutex).owner_gone = true;
  const auto thread = b.thread("main");
  b.wants(thread, mutex, {plumbing("pthread_mutex_lock"), frame("flush_index", "index.c", 90)});
  return b.get();
}

// Foreign strings at their worst.
inline Finding hostile() {
  Finding finding = videoroom();
  finding.threads[0].name = "\x1b[31mred\n\xff\"";
  finding.resources[0].name =
      "\xe2\x80\xae"
      "evil\r" +
      std::string(5000, 'x');
  finding.resources[1].class_name = std::string("\0\x9b", 2);
  finding.processes[0].exe = "/tmp/\x07/\xc3\x28";
  for (model::Frame& frame : finding.threads[0].wants->stack.frames) {
    frame.function = "f<" + std::string(100000, '<') + "\x1b]0;title\x07";
    frame.file = "/a\nb/" + std::string(3000, '\xfe');
  }
  return finding;
}

inline Report report_of(std::vector<Finding> findings) {
  Report report;
  report.command = "run";
  report.version = "0.1.0";
  report.host = "example";
  report.processes.push_back({4711, "/usr/bin/janus", {"janus", "-o"}, ProcessExit{{}, 9}, ""});
  report.processes.push_back({4790, "/usr/bin/true", {"true"}, ProcessExit{0, {}}, ""});
  report.findings = std::move(findings);
  report.run.threads = 4;
  report.run.locks = 12;
  report.run.acquisitions = 34567;
  report.run.nested = 210;
  report.run.lock_pairs = 6;
  report.run.chains = 7;
  report.run.waits = 31;
  report.run.longest_wait = 1200us;
  report.run.elapsed = 2100ms;
  report.run.judge_cpu = 3ms;
  return report;
}

}  // namespace gordian::report::sample
