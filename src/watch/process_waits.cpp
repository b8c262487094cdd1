// SPDX-License-Identifier: Apache-2.0
#include "watch/process_waits.h"

#include "analysis/find_stuck.h"
#include "base/file.h"
#include "base/text.h"
#include "process/live.h"
#include "watch/socket_peer.h"

#include <algorithm>
#include <charconv>
#include <dirent.h>
#include <fcntl.h>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <unistd.h>

namespace gordian::watch {
namespace {

using model::Activity;
using model::ResourceKind;
using process::ProcessFacts;
using process::ThreadFacts;

constexpr uint64_t kAnyChild = 0;
constexpr uint64_t kWaitidPid = 1;  // P_PID

enum class Call : uint8_t { None, Reads, Writes, WaitsForChild };

Call call_of(const ThreadFacts& thread) {
  if (!thread.blocked) return Call::None;
  switch (thread.syscall) {
    case 0:   // read
    case 19:  // readv
    case 45:  // recvfrom
    case 47:  // recvmsg
      return Call::Reads;
    case 1:   // write
    case 20:  // writev
    case 44:  // sendto
    case 46:  // sendmsg
      return Call::Writes;
    case 61:   // wait4
    case 247:  // waitid
      return Call::WaitsForChild;
    default:
      return Call::None;
  }
}

std::string proc(int pid, const std::string& rest) {
  return "/proc/" + std::to_string(pid) + "/" + rest;
}

std::string read_link(const std::string& path) {
  char text[256];
  const ssize_t size = readlink(path.c_str(), text, sizeof text);
  return size > 0 ? std::string(text, static_cast<size_t>(size)) : std::string();
}

// "pipe:[4711]" as `kind` "pipe".
std::optional<uint64_t> inode_in(const std::string& link, const std::string& kind) {
  if (!link.starts_with(kind + ":[")) return std::nullopt;
  uint64_t inode = 0;
  const char* const begin = link.data() + kind.size() + 2;
  const auto [end, error] = std::from_chars(begin, link.data() + link.size(), inode);
  if (error != std::errc() || *end != ']') return std::nullopt;
  return inode;
}

// What a thread is blocked on, and by which open files others can end that.
struct End {
  bool is_socket = false;
  bool reads = false;
  uint64_t inode = 0;
  uint64_t peer = 0;  // of sockets
  bool operator<(const End& other) const {
    return std::tie(is_socket, reads, inode, peer) <
           std::tie(other.is_socket, other.reads, other.inode, other.peer);
  }
};

std::optional<End> find_end(int pid, const ThreadFacts& thread, bool reads) {
  const std::string link =
      read_link(proc(pid, "fd/" + std::to_string(static_cast<int>(thread.args[0]))));
  if (const auto inode = inode_in(link, "pipe")) return End{.reads = reads, .inode = *inode};
  const auto inode = inode_in(link, "socket");
  const auto peer = inode ? find_socket_peer(pid, *inode) : std::nullopt;
  if (!peer) return std::nullopt;
  return End{.is_socket = true, .reads = reads, .inode = *inode, .peer = *peer};
}

bool may_use(int pid, const std::string& fd, bool to_write) {
  const Result<std::string> text = read_file(proc(pid, "fdinfo/" + fd), 1 << 12);
  const size_t at = text ? text->find("flags:") : std::string::npos;
  if (at == std::string::npos) return true;
  const unsigned long flags = std::strtoul(text->c_str() + at + 6, nullptr, 8);
  return (flags & O_ACCMODE) != (to_write ? O_RDONLY : O_WRONLY);
}

// Of a pipe the other side; of sockets also their own, which may be shut down.
bool has_waker(int pid, const End& end) {
  DIR* const opened = opendir(proc(pid, "fd").c_str());
  if (opened == nullptr) return false;
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(opened, closedir);
  while (const dirent* const entry = readdir(dir.get())) {
    const std::string link = read_link(proc(pid, std::string("fd/") + entry->d_name));
    const auto inode = inode_in(link, end.is_socket ? "socket" : "pipe");
    if (!inode || (*inode != end.inode && (!end.is_socket || *inode != end.peer))) continue;
    if (end.is_socket || may_use(pid, entry->d_name, end.reads)) return true;
  }
  return false;
}

std::set<int> find_wakers(const End& end) {
  std::set<int> wakers;
  for (const int pid : process::list_processes())
    if (pid != getpid() && has_waker(pid, end)) wakers.insert(pid);
  return wakers;
}

// The children one of which ends the wait by ending.
std::set<int> find_children(int pid, const ThreadFacts& thread) {
  const std::vector<int> children = process::list_children(pid);
  const bool is_waitid = thread.syscall == 247;
  const uint64_t number =
      is_waitid ? (thread.args[0] == kWaitidPid ? thread.args[1] : kAnyChild) : thread.args[0];
  const int wanted = static_cast<int>(number);
  if (wanted > 0 && std::find(children.begin(), children.end(), wanted) != children.end())
    return {wanted};
  return {children.begin(), children.end()};
}

struct ProcessWait {
  size_t process = 0;
  size_t thread = 0;  // of the snapshot
  ResourceKind kind = ResourceKind::Pipe;
  End end;
  std::set<int> wakers;  // processes
  std::string name;
};

std::string name_of_child(const std::set<int>& children) {
  if (children.size() != 1) return "any child process";
  const std::string exe = process::read_exe(*children.begin());
  return "child process " + std::string(base_name(exe));
}

// A process that has a thread at work can go on.
bool all_wait(const process::DecodedWaits& decoded, const ProcessFacts& process, size_t first) {
  for (size_t i = 0; i < process.threads.size(); ++i) {
    const model::Thread& thread = decoded.snapshot.threads[first + i];
    if (process.threads[i].gone || (thread.wait && !thread.wait->timed)) continue;
    if (call_of(process.threads[i]) == Call::None) return false;
  }
  return true;
}

std::vector<ProcessWait> find_waits(const process::DecodedWaits& decoded,
                                    std::span<const ProcessFacts> processes) {
  std::vector<ProcessWait> waits;
  std::map<End, std::set<int>> known;
  size_t first = 0;
  for (size_t i = 0; i < processes.size(); first += processes[i++].threads.size()) {
    const int pid = processes[i].process.pid;
    if (!all_wait(decoded, processes[i], first)) continue;
    for (size_t j = 0; j < processes[i].threads.size(); ++j) {
      const ThreadFacts& thread = processes[i].threads[j];
      const Call call = call_of(thread);
      if (call == Call::None) continue;
      ProcessWait wait{.process = i, .thread = first + j, .end = {}, .wakers = {}, .name = {}};
      if (call == Call::WaitsForChild) {
        wait.kind = ResourceKind::Child;
        wait.wakers = find_children(pid, thread);
        wait.name = name_of_child(wait.wakers);
      } else {
        const std::optional<End> end = find_end(pid, thread, call == Call::Reads);
        if (!end) continue;
        wait.end = *end;
        const auto [place, is_new] = known.try_emplace(*end);
        if (is_new) place->second = find_wakers(*end);
        wait.wakers = place->second;
        wait.name = std::string(end->is_socket ? "socket" : "pipe") + " on descriptor " +
                    std::to_string(static_cast<int>(thread.args[0]));
      }
      if (!wait.wakers.empty()) waits.push_back(std::move(wait));
    }
  }
  return waits;
}

bool is_ours(const model::Resource& resource) {
  return resource.kind == ResourceKind::Pipe || resource.kind == ResourceKind::Child;
}

}  // namespace

std::vector<int> find_partners(const process::DecodedWaits& decoded,
                               std::span<const ProcessFacts> processes) {
  std::set<int> partners;
  for (const ProcessWait& wait : find_waits(decoded, processes))
    partners.insert(wait.wakers.begin(), wait.wakers.end());
  for (const ProcessFacts& process : processes) partners.erase(process.process.pid);
  return {partners.begin(), partners.end()};
}

void add_process_waits(process::DecodedWaits& decoded, std::span<const ProcessFacts> processes) {
  model::Snapshot& snapshot = decoded.snapshot;
  std::map<int, size_t> indices;
  for (size_t i = 0; i < processes.size(); ++i) indices[processes[i].process.pid] = i;
  std::map<std::pair<End, std::set<int>>, model::ResourceId> resources;
  for (const ProcessWait& wait : find_waits(decoded, processes)) {
    // Of a process that nobody looks into nothing is known: it may be at work.
    if (!std::all_of(wait.wakers.begin(), wait.wakers.end(),
                     [&](int pid) { return indices.contains(pid); }))
      continue;
    const auto [place, is_new] =
        resources.try_emplace({wait.end, wait.wakers},
                              model::ResourceId{static_cast<uint32_t>(snapshot.resources.size())});
    if (is_new) {
      model::Resource resource;
      resource.id = place->second;
      resource.kind = wait.kind;
      resource.process = model::ProcessId{static_cast<uint32_t>(wait.process)};
      resource.address = wait.end.inode;
      resource.process_shared = true;
      resource.wakers_closed = true;
      resource.name = wait.name;
      for (const model::Thread& thread : snapshot.threads) {
        const int pid = snapshot.processes[static_cast<size_t>(thread.process)].pid;
        if (wait.wakers.contains(pid) && thread.activity != Activity::Gone)
          resource.only_wakers.push_back(thread.id);
      }
      // The pipe to itself that a signal handler writes to.
      resource.posts_from_handler_possible =
          wait.kind == ResourceKind::Pipe &&
          wait.wakers.contains(processes[wait.process].process.pid) &&
          snapshot.processes[wait.process].handles_signals;
      snapshot.resources.push_back(std::move(resource));
    }
    model::Thread& thread = snapshot.threads[wait.thread];
    thread.activity = Activity::Waiting;
    thread.busy = false;
    model::Wait process_wait;
    process_wait.resource = place->second;
    process_wait.doubt = wait.kind == ResourceKind::Child
                             ? "a signal from outside could end the child"
                             : "somebody unseen may have the other end";
    thread.wait = std::move(process_wait);
  }
  drop_free_process_waits(snapshot);
}

void drop_free_process_waits(model::Snapshot& snapshot) {
  const bool any = std::any_of(snapshot.resources.begin(), snapshot.resources.end(), is_ours);
  if (!any) return;
  const std::vector<model::ThreadId> stuck = analysis::find_stuck_threads(snapshot);
  for (model::Thread& thread : snapshot.threads) {
    if (!thread.wait || !is_ours(snapshot.resources[static_cast<size_t>(thread.wait->resource)]) ||
        std::binary_search(stuck.begin(), stuck.end(), thread.id))
      continue;
    thread.activity = Activity::Running;
    thread.wait.reset();
  }
}

}  // namespace gordian::watch
