// SPDX-License-Identifier: Apache-2.0
// Builds snapshots by hand, for tests and benchmarks.
#pragma once

#include "model/snapshot.h"

#include <chrono>
#include <cstdint>
#include <string>

namespace gordian::analysis {

// Everything is definite, and every wait an hour old, unless said otherwise.
class TestSnapshot {
 public:
  TestSnapshot() {
    snapshot.taken = std::chrono::hours(2);
    process();
  }

  model::ProcessId process() {
    const auto id = static_cast<model::ProcessId>(snapshot.processes.size());
    snapshot.processes.emplace_back();
    snapshot.processes.back().id = id;
    return id;
  }
  model::ThreadId thread(model::ProcessId process = {}) {
    const auto id = static_cast<model::ThreadId>(snapshot.threads.size());
    model::Thread& thread = snapshot.threads.emplace_back();
    thread.id = id;
    thread.process = process;
    thread.tid = static_cast<int>(snapshot.threads.size()) + 100;
    return id;
  }
  model::ResourceId resource(model::ResourceKind kind = model::ResourceKind::Mutex) {
    const auto id = static_cast<model::ResourceId>(snapshot.resources.size());
    model::Resource& resource = snapshot.resources.emplace_back();
    resource.id = id;
    resource.kind = kind;
    return id;
  }
  model::ResourceId join_of(model::ThreadId joined) {
    const model::ResourceId id = resource(model::ResourceKind::Thread);
    of(id).joined = joined;
    of(id).joined_known = true;
    return id;
  }

  TestSnapshot& holds(model::ThreadId thread, model::ResourceId resource,
                      model::Mode mode = model::Mode::Exclusive) {
    model::Hold& hold = of(thread).holds.emplace_back();
    hold.resource = resource;
    hold.mode = mode;
    return *this;
  }
  TestSnapshot& wants(model::ThreadId thread, model::ResourceId resource,
                      model::Mode mode = model::Mode::Exclusive) {
    of(thread).activity = model::Activity::Waiting;
    model::Wait& wait = of(thread).wait.emplace();
    wait.resource = resource;
    wait.mode = mode;
    wait.definite = true;
    wait.since = std::chrono::hours(1);
    return *this;
  }
  TestSnapshot& reads(model::ThreadId thread, model::ResourceId resource) {
    return holds(thread, resource, model::Mode::Shared);
  }
  TestSnapshot& wants_to_read(model::ThreadId thread, model::ResourceId resource) {
    return wants(thread, resource, model::Mode::Shared);
  }
  TestSnapshot& waited(model::ThreadId thread, std::chrono::nanoseconds age) {
    of(thread).wait->since = snapshot.taken - age;
    return *this;
  }
  TestSnapshot& gone(model::ThreadId thread) {
    of(thread).activity = model::Activity::Gone;
    return *this;
  }

  model::Thread& of(model::ThreadId id) { return snapshot.threads[static_cast<uint32_t>(id)]; }
  model::Resource& of(model::ResourceId id) {
    return snapshot.resources[static_cast<uint32_t>(id)];
  }

  model::Snapshot snapshot;
};

}  // namespace gordian::analysis
