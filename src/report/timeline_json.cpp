// SPDX-License-Identifier: Apache-2.0
#include "report/timeline_json.h"

#include <algorithm>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <utility>

namespace gordian::report {

using model::TimedEvent;
using model::TimedOp;

namespace {

std::string quoted(const std::string& text) {
  return nlohmann::json(text).dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
}

std::string micros(uint64_t time_ns) {
  return fmt::format("{}.{:03}", time_ns / 1000, time_ns % 1000);
}

}  // namespace

TimelineJson::TimelineJson(Write write) : write_(std::move(write)) {
  write_("{\"displayTimeUnit\":\"ns\",\"traceEvents\":[");
}

void TimelineJson::put(const std::string& event) {
  write_(is_first_ ? "\n" : ",\n");
  is_first_ = false;
  write_(event);
}

void TimelineJson::begin_process(int pid, const std::string& name, Names names) {
  pid_ = pid;
  names_ = std::move(names);
  has_process_ = true;
  put(fmt::format(R"({{"ph":"M","name":"process_name","pid":{},"args":{{"name":{}}}}})", pid_,
                  quoted(name)));
}

std::string TimelineJson::arguments(uint32_t site) const {
  const std::string place = site == 0 ? std::string() : names_.site(site);
  return place.empty() ? "{}" : "{\"at\":" + quoted(place) + "}";
}

void TimelineJson::span(uint32_t uid, const std::string& name, std::string_view category,
                        const Span& span, uint64_t end_ns) {
  put(fmt::format(
      R"({{"ph":"X","cat":"{}","name":{},"pid":{},"tid":{},"ts":{},"dur":{},"args":{}}})", category,
      quoted(name), pid_, uid, micros(span.begin_ns),
      micros(std::max(end_ns, span.begin_ns) - span.begin_ns), arguments(span.site)));
}

// Spans of one track must nest; one that does not gets a track of its own.
void TimelineJson::crossing_span(uint32_t uid, const std::string& name, const Span& span,
                                 uint64_t end_ns) {
  const uint64_t id = ++crossings_;
  const std::string text = quoted(name);
  put(fmt::format(
      R"({{"ph":"b","cat":"hold","name":{},"id":{},"pid":{},"tid":{},"ts":{},"args":{}}})", text,
      id, pid_, uid, micros(span.begin_ns), arguments(span.site)));
  put(fmt::format(R"({{"ph":"e","cat":"hold","name":{},"id":{},"pid":{},"tid":{},"ts":{}}})", text,
                  id, pid_, uid, micros(std::max(end_ns, span.begin_ns))));
}

void TimelineJson::instant(uint32_t uid, const std::string& name, const TimedEvent& event) {
  put(fmt::format(R"({{"ph":"i","s":"t","name":{},"pid":{},"tid":{},"ts":{},"args":{}}})",
                  quoted(name), pid_, uid, micros(event.time_ns), arguments(event.site)));
}

// An arrow joins moments inside of spans: so each gets one of no length.
void TimelineJson::flow(const TimedEvent& event, const char* name, std::string_view phase) {
  const Span moment{.object = 0, .site = 0, .begin_ns = event.time_ns};
  span(event.thread, name, "memory", moment, event.time_ns);
  put(fmt::format(
      R"({{"ph":{},"cat":"memory","name":"reads","id":"{:x}","pid":{},"tid":{},"ts":{}}})", phase,
      event.flow, pid_, event.thread, micros(event.time_ns)));
}

void TimelineJson::wrote(const TimedEvent& event) {
  flow(event, "wrote what others read", R"("s")");
  written_[event.flow] = event.time_ns;
  const auto early = early_reads_.extract(event.flow);
  if (early.empty()) return;
  for (const TimedEvent& one : early.mapped()) read(one);
}

// The clock of a recording is coarse, the coarser the busier the machine was: by it a read may come
// before what it read was written. It is shown when that was, then.
void TimelineJson::read(TimedEvent event) {
  const auto written = written_.find(event.flow);
  if (written == written_.end()) {
    early_reads_[event.flow].push_back(event);
    return;
  }
  event.time_ns = std::max(event.time_ns, written->second);
  show_read(event);
}

void TimelineJson::show_read(const TimedEvent& event) {
  flow(event, "read what another wrote", R"("f","bp":"e")");
}

void TimelineJson::count_waiting(uint64_t time_ns) {
  put(fmt::format(
      R"({{"ph":"C","name":"threads that wait","pid":{},"ts":{},"args":{{"waiting":{}}}}})", pid_,
      micros(time_ns), waiting_));
}

void TimelineJson::begin_wait(Thread& thread, const TimedEvent& event, std::string what) {
  if (thread.waits) end_wait(thread, event.thread, event.time_ns);
  thread.waits = true;
  thread.wait = {.object = event.object, .site = event.site, .begin_ns = event.time_ns};
  thread.waits_for = std::move(what);
  ++waiting_;
  count_waiting(event.time_ns);
}

void TimelineJson::end_wait(Thread& thread, uint32_t uid, uint64_t time_ns) {
  if (!thread.waits) return;
  thread.waits = false;
  span(uid, "waits for " + thread.waits_for, "wait", thread.wait, time_ns);
  --waiting_;
  count_waiting(time_ns);
}

void TimelineJson::release(Thread& thread, uint32_t uid, uint32_t object, uint64_t time_ns) {
  const auto hold = std::find_if(thread.holds.rbegin(), thread.holds.rend(),
                                 [&](const Span& one) { return one.object == object; });
  if (hold == thread.holds.rend()) return;
  const std::string name = "holds " + names_.object(object);
  if (hold == thread.holds.rbegin()) {
    span(uid, name, "hold", *hold, time_ns);
  } else {
    crossing_span(uid, name, *hold, time_ns);
  }
  thread.holds.erase(std::next(hold).base());
}

void TimelineJson::add(const TimedEvent& event) {
  last_ns_ = std::max(last_ns_, event.time_ns);
  Thread& thread = threads_[event.thread];
  switch (event.op) {
    case TimedOp::Begin:
      put(fmt::format(R"({{"ph":"M","name":"thread_name","pid":{},"tid":{},"args":{{"name":{}}}}})",
                      pid_, event.thread, quoted(names_.thread(event.thread))));
      break;
    case TimedOp::End:
      end_wait(thread, event.thread, event.time_ns);
      break;
    case TimedOp::Acquire:
      thread.holds.push_back(
          {.object = event.object, .site = event.site, .begin_ns = event.time_ns});
      break;
    case TimedOp::Release:
      release(thread, event.thread, event.object, event.time_ns);
      break;
    case TimedOp::Ask:
    case TimedOp::Wait:
      begin_wait(thread, event, names_.object(event.object));
      break;
    case TimedOp::AskJoin:
      begin_wait(thread, event, "the end of " + names_.thread(event.other));
      break;
    case TimedOp::Answer:
    case TimedOp::Wake:
      end_wait(thread, event.thread, event.time_ns);
      break;
    case TimedOp::Signal:
      instant(event.thread, "signals " + names_.object(event.object), event);
      break;
    case TimedOp::Wrote:
      wrote(event);
      break;
    case TimedOp::Read:
      read(event);
      break;
    case TimedOp::TryFailed:
      instant(event.thread, "found " + names_.object(event.object) + " taken", event);
      break;
  }
}

void TimelineJson::end_process() {
  if (!has_process_) return;
  for (auto& [uid, thread] : threads_) {
    end_wait(thread, uid, last_ns_);
    while (!thread.holds.empty()) release(thread, uid, thread.holds.back().object, last_ns_);
  }
  threads_.clear();
  for (const auto& [flow_id, reads] : early_reads_)
    for (const TimedEvent& event : reads) show_read(event);
  early_reads_.clear();
  written_.clear();
  last_ns_ = 0;
  waiting_ = 0;
  has_process_ = false;
}

void TimelineJson::finish() {
  end_process();
  write_("\n]}\n");
}

}  // namespace gordian::report
