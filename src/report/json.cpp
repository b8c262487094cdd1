// SPDX-License-Identifier: Apache-2.0
#include "report/json.h"

#include "base/text.h"
#include "report/advice.h"
#include "report/fingerprint.h"
#include "report/labels.h"
#include "report/text.h"
#include "report/words.h"

#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>

namespace gordian::report {

using model::Finding;
using model::FindingHold;
using model::FindingThread;
using model::FindingWant;
using model::Frame;
using model::Resource;
using model::Stack;
using Json = nlohmann::ordered_json;

namespace {

constexpr int kSchema = 1;

Json text(std::string_view bytes) { return to_valid_utf8(bytes); }

std::string hex(uint64_t value) {
  std::array<char, 24> digits{};
  std::snprintf(digits.data(), digits.size(), "0x%llx", static_cast<unsigned long long>(value));
  return digits.data();
}

double seconds(std::chrono::nanoseconds duration) {
  return std::chrono::duration<double>(duration).count();
}

Json frame_json(const Frame& frame) {
  Json out;
  out["function"] = text(frame.function);
  out["file"] = text(frame.file);
  out["line"] = frame.line;
  out["module"] = text(frame.module);
  out["offset"] = hex(frame.module_offset);
  out["inlined"] = frame.inlined;
  out["plumbing"] = frame.plumbing;
  return out;
}

Json stack_json(const Stack& stack) {
  Json out = Json::array();
  for (const Frame& frame : stack.frames) out.push_back(frame_json(frame));
  return out;
}

// Where it happened, in words: the first frame that is the program's own.
Json site_json(const Stack& stack, uint64_t site, const std::string& place) {
  const Frame* frame = first_own_frame(stack);
  if (frame == nullptr && !place.empty()) return text(place);
  if (frame == nullptr) return hex(site);
  if (frame->function.empty() && !frame->module.empty())
    return text(frame->module + "+" + hex(frame->module_offset));
  return text(place_label(frame));
}

// The place in a form that another run of the same program can use; null: no module is known.
Json at_json(const Stack& stack, uint64_t site) {
  for (const Frame& frame : stack.frames) {
    if (frame.pc != site || frame.module.empty()) continue;
    return {{"module", text(frame.module)}, {"offset", hex(frame.module_offset)}};
  }
  return nullptr;
}

Json hold_json(const Labels& labels, const FindingHold& hold) {
  Json out;
  out["resource"] = labels.resource_number(hold.resource);
  out["mode"] = mode_word(hold.mode);
  out["site"] = site_json(hold.stack, hold.site, hold.place);
  out["at"] = at_json(hold.stack, hold.site);
  out["stack"] = stack_json(hold.stack);
  if (hold.inferred) out["inferred"] = true;
  if (!hold.stack.note.empty()) out["note"] = text(hold.stack.note);
  return out;
}

Json want_json(const Labels& labels, const FindingThread& thread) {
  const FindingWant& want = *thread.wants;
  Json out;
  out["resource"] = labels.resource_number(want.resource);
  out["mode"] = mode_word(want.mode);
  out["site"] = site_json(want.stack, want.site, want.place);
  out["at"] = at_json(want.stack, want.site);
  out["stack"] = stack_json(want.stack);
  if (!want.stack.note.empty()) out["note"] = text(want.stack.note);
  out["seconds"] = seconds(want.waited);
  out["owners"] = Json::array();
  for (const model::ThreadId owner : labels.owners(thread))
    if (const FindingThread* found = labels.find_thread(owner)) out["owners"].push_back(found->tid);
  return out;
}

Json thread_json(const Labels& labels, const FindingThread& thread) {
  const model::Process* process = labels.find_process(thread.process);
  Json out;
  out["name"] = text(thread.name);
  out["tid"] = thread.tid;
  out["pid"] = process == nullptr ? Json(nullptr) : Json(process->pid);
  out["role"] = role_word(thread.role);
  out["holds"] = Json::array();
  for (const FindingHold& hold : thread.holds) out["holds"].push_back(hold_json(labels, hold));
  out["wants"] = thread.wants ? want_json(labels, thread) : Json(nullptr);
  return out;
}

Json resource_json(const Labels& labels, const Resource& resource) {
  Json out;
  out["id"] = labels.resource_number(resource.id);
  out["kind"] = resource_kind_word(resource.kind);
  out["name"] = text(resource.name);
  out["class"] = text(resource.class_name);
  out["address"] = hex(resource.address);
  out["generation"] = resource.generation;
  if (resource.level >= 0) out["level"] = resource.level;
  return out;
}

std::string fingerprint_of(const Finding& finding) {
  return finding.fingerprint.empty() ? fingerprint(finding) : finding.fingerprint;
}

std::string summary_of(const Finding& finding) {
  std::string line = headline(finding);
  if (line.ends_with('\n')) line.pop_back();
  return line;
}

Json witness_json(const Finding& finding, const model::Witness& witness) {
  const Labels labels(finding);
  Json out;
  out["order"] = witness.in_recorded_order ? "recorded" : "swapped";
  out["replayed"] = witness.replayed;
  out["complete"] = witness.is_complete;
  out["events"] = witness.event_count;
  out["steps"] = Json::array();
  for (const model::WitnessStep& step : witness.steps)
    out["steps"].push_back(
        {{"thread", text(step.thread_name)}, {"from", step.from_line}, {"to", step.to_line}});
  out["stops"] = Json::array();
  for (const model::WitnessStop& stop : witness.stops) {
    const FindingThread* const thread = labels.find_thread(stop.thread);
    out["stops"].push_back({{"thread", thread == nullptr ? Json(nullptr) : text(thread->name)},
                            {"before", stop.line}});
  }
  return out;
}

Json finding_json(const Finding& finding) {
  const Labels labels(finding);
  Json out;
  out["verdict"] = verdict_word(finding.verdict);
  out["kind"] = finding_kind_word(finding.kind);
  out["fingerprint"] = text(fingerprint_of(finding));
  out["summary"] = text(summary_of(finding));
  out["advice"] = text(advice(labels));
  out["reason"] = text(reason_sentence(finding, labels));
  out["assumptions"] = Json::array();
  for (const std::string& sentence : assumption_sentences(finding))
    out["assumptions"].push_back(text(sentence));
  out["threads"] = Json::array();
  for (const FindingThread* thread : labels.threads())
    out["threads"].push_back(thread_json(labels, *thread));
  out["resources"] = Json::array();
  for (const Resource* resource : labels.resources())
    out["resources"].push_back(resource_json(labels, *resource));
  if (!finding.source.empty()) {
    out["file"] = text(finding.source);
    out["similar"] = finding.similar;
  }
  if (finding.witness) out["witness"] = witness_json(finding, *finding.witness);
  return out;
}

Json process_json(const ReportProcess& process) {
  Json out;
  out["pid"] = process.pid;
  out["exe"] = text(process.exe);
  out["argv"] = Json::array();
  for (const std::string& argument : process.argv) out["argv"].push_back(text(argument));
  out["exit"] = nullptr;
  if (process.exit && process.exit->signal) out["exit"] = {{"signal", *process.exit->signal}};
  if (process.exit && process.exit->code) out["exit"] = {{"code", *process.exit->code}};
  if (!process.unwatched.empty()) out["unwatched"] = text(process.unwatched);
  return out;
}

Json dropped_json(const Dropped& dropped) {
  Json out;
  out["threads"] = dropped.threads;
  out["locks"] = dropped.locks;
  out["holds"] = dropped.holds;
  out["chains"] = dropped.chains;
  out["blocks"] = dropped.blocks;
  out["repeats"] = dropped.repeats;
  out["inexact_events"] = dropped.inexact_events;
  out["searches"] = dropped.searches;
  return out;
}

Json run_json(const RunSummary& run) {
  Json out;
  out["threads"] = run.threads;
  out["locks"] = run.locks;
  out["acquisitions"] = run.acquisitions;
  out["nested"] = run.nested;
  out["nested_threads"] = run.nested_threads;
  out["lock_pairs"] = run.lock_pairs;
  out["chains"] = run.chains;
  out["waits"] = run.waits;
  out["longest_wait_seconds"] = seconds(run.longest_wait);
  out["elapsed_seconds"] = seconds(run.elapsed);
  out["judge_cpu_seconds"] = seconds(run.judge_cpu);
  return out;
}

Json trace_json(const TraceTotals& trace) {
  Json out;
  out["files"] = trace.files;
  out["events"] = trace.events;
  out["threads"] = trace.threads;
  out["locks"] = trace.locks;
  out["acquisitions"] = trace.acquisitions;
  out["nested"] = trace.nested;
  out["patterns"] = trace.patterns;
  out["unchecked"] = trace.unchecked;
  out["patterns_cut"] = trace.patterns_cut;
  out["searches_cut"] = trace.searches_cut;
  out["trace_cut"] = trace.trace_cut;
  out["complete_memory"] = trace.complete_memory;
  if (!trace.memory_gap.empty()) out["memory_gap"] = trace.memory_gap;
  out["missing"] = trace.missing;
  out["ends_early"] = trace.ends_early;
  out["elapsed_seconds"] = seconds(trace.elapsed);
  return out;
}

Json attempt_json(const SteeredAttempt& attempt) {
  Json out;
  if (attempt.finding != 0) out["finding"] = attempt.finding;
  out["seed"] = attempt.seed;
  out["way"] = text(attempt.way);
  out["arrivals"] = attempt.arrivals;
  out["schedule"] = hex(attempt.schedule);
  out["new_nestings"] = attempt.new_nestings;
  out["confirmed"] = attempt.confirmed;
  out["diverged"] = text(attempt.diverged);
  out["elapsed_seconds"] = seconds(attempt.elapsed);
  return out;
}

Json suppressed_json(const SuppressedFinding& item) {
  Json out;
  out["verdict"] = verdict_word(item.finding.verdict);
  out["kind"] = finding_kind_word(item.finding.kind);
  out["fingerprint"] = text(fingerprint_of(item.finding));
  out["summary"] = text(summary_of(item.finding));
  out["rule"] = text(item.rule);
  out["where"] = text(item.where);
  out["reason"] = text(item.reason);
  return out;
}

Json order_pair_json(const OrderReport& order, size_t index) {
  const model::SeenPair& seen = order.seen[index];
  const Finding& sample = order.samples[seen.pair.sample];
  const Labels labels(sample);
  Json out;
  out["held"] = text(seen.held);
  out["wanted"] = text(seen.wanted);
  out["thread"] = thread_json(labels, sample.threads.front());
  out["resources"] = Json::array();
  for (const Resource* resource : labels.resources())
    out["resources"].push_back(resource_json(labels, *resource));
  return out;
}

Json order_json(const OrderReport& order) {
  Json out;
  out["file"] = text(order.file);
  out["violations"] = Json::array();
  for (const model::OrderViolation& violation : order.outcome.violations) {
    Json one = order_pair_json(order, violation.seen);
    one["against"] = violation.fault == model::OrderFault::AgainstFile  ? "file"
                     : violation.fault == model::OrderFault::AgainstRun ? "run"
                                                                        : "instances";
    one["opposite"] = Json::array();
    for (const model::OrderStep& step : violation.opposite) {
      Json entry = step.seen < 0 ? Json({{"held", text(step.before)}, {"wanted", text(step.after)}})
                                 : order_pair_json(order, static_cast<size_t>(step.seen));
      entry["line"] = step.line == 0 ? Json(nullptr) : Json(step.line);
      one["opposite"].push_back(std::move(entry));
    }
    out["violations"].push_back(std::move(one));
  }
  out["new"] = Json::array();
  for (const size_t index : order.outcome.added)
    out["new"].push_back(order_pair_json(order, index));
  out["confirmed"] = order.outcome.confirmed;
  out["excepted"] = order.outcome.excepted;
  out["nameless"] = order.nameless;
  out["cut"] = order.cut;
  return out;
}

}  // namespace

std::string to_json(const Report& report) {
  Json out;
  out["schema"] = kSchema;
  out["command"] = text(report.command);
  out["gordian"] = text(report.version);
  out["host"] = text(report.host);
  out["processes"] = Json::array();
  for (const ReportProcess& process : report.processes)
    out["processes"].push_back(process_json(process));
  out["findings"] = Json::array();
  for (const Finding& finding : report.findings) out["findings"].push_back(finding_json(finding));
  out["dropped"] = dropped_json(report.dropped);
  out["suppressed"] = Json::array();
  for (const SuppressedFinding& item : report.suppressed)
    out["suppressed"].push_back(suppressed_json(item));
  out["unused_suppressions"] = Json::array();
  for (const std::string& sentence : report.unused_suppressions)
    out["unused_suppressions"].push_back(text(sentence));
  if (!report.attempts.empty()) {
    out["attempts"] = Json::array();
    for (const SteeredAttempt& attempt : report.attempts)
      out["attempts"].push_back(attempt_json(attempt));
  }
  if (report.trace) {
    out["trace"] = trace_json(*report.trace);
  } else if (report.attempts.empty() || report.run.threads > 0) {
    out["run"] = run_json(report.run);
  }
  if (report.order) out["order"] = order_json(*report.order);
  // All strings are valid UTF-8 by now; `replace` keeps a mistake of ours from throwing.
  return out.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace gordian::report
