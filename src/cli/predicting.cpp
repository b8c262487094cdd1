// SPDX-License-Identifier: Apache-2.0
#include "cli/predicting.h"

#include "analysis/predict.h"
#include "base/text.h"
#include "cli/recorded_words.h"
#include "format/memory.h"
#include "report/fingerprint.h"
#include "trace/mapped_file.h"
#include "trace/memory_gaps.h"
#include "trace/recording_reader.h"
#include "trace/std_reader.h"

#include <memory>
#include <span>
#include <utility>

namespace gordian::cli {
namespace {

// Puts the trace's own names where the analysis left numbers.
void name(model::Finding& finding, const trace::StdReader& reader) {
  finding.source = reader.path();
  for (model::Resource& resource : finding.resources) {
    resource.name_is_id = true;
    resource.name = resource.kind == model::ResourceKind::Thread
                        ? reader.thread_name(resource.joined)
                        : reader.lock_name(static_cast<uint32_t>(resource.id));
  }
  for (model::FindingThread& thread : finding.threads) {
    thread.name = reader.thread_name(thread.id);
    for (model::FindingHold& hold : thread.holds)
      hold.place = reader.site_name(static_cast<uint32_t>(hold.site));
    if (thread.wants)
      thread.wants->place = reader.site_name(static_cast<uint32_t>(thread.wants->site));
  }
  if (finding.reason.thread)
    finding.reason.thread_name = reader.thread_name(*finding.reason.thread);
  if (!finding.witness) return;
  for (model::WitnessStep& step : finding.witness->steps)
    step.thread_name = reader.thread_name(step.thread);
}

bool tells_memory(const trace::RecordingFacts& facts, const PredictOptions& options) {
  return options.memory == MemoryRecorded::Auto && (facts.memory & format::kMemoryTold) != 0;
}

void add(const trace::RunSketch& sketch, bool complete, report::TraceTotals& totals) {
  // A process that took no lock (it only became another program, or has just begun) has no say.
  if (sketch.acquisitions > 0 && totals.acquisitions == 0) {
    totals.complete_memory = complete;
  } else if (sketch.acquisitions > 0 || totals.acquisitions == 0) {
    totals.complete_memory = complete && (totals.runs == 0 || totals.complete_memory);
  }
  totals.events += sketch.events;
  totals.threads += sketch.threads;
  totals.locks += sketch.used_locks;
  totals.acquisitions += sketch.acquisitions;
  totals.nested += sketch.nested;
  ++totals.runs;
}

// What both kinds of files have: read twice, judged once. `Read` is called as
// read(detail, sink, progress) and returns Result<void>.
template <typename Reader, typename Read>
Result<std::vector<model::Finding>> predict_run(Reader& reader, const Read& read,
                                                const std::string& label,
                                                const PredictOptions& options,
                                                report::TraceTotals& totals,
                                                const ShowProgress& show) {
  const uint64_t all = 2 * reader.byte_count();
  analysis::LockOrderScan scan;
  GORDIAN_TRY(, read(
                    trace::Detail::Locks,
                    [&](std::span<const model::TraceEvent> events) { scan.add(events); },
                    [&](uint64_t done, uint64_t) { show(label, done, all); }));
  const analysis::Candidates candidates = scan.finish(reader.size());
  totals.patterns_cut = totals.patterns_cut || candidates.orders_cut;
  const bool reads_memory = options.memory != MemoryRecorded::None && reader.size().has_memory;
  const bool complete = options.memory == MemoryRecorded::Complete ||
                        (reads_memory && !reader.size().has_partial_memory);
  add({.events = reader.size().events,
       .acquisitions = candidates.acquisitions,
       .nested = candidates.nested,
       .threads = reader.size().threads,
       .used_locks = candidates.used_locks},
      complete, totals);
  if (!candidates.any()) return std::vector<model::Finding>();

  analysis::TraceIndex index(candidates, reader.size());
  GORDIAN_TRY(, read(
                    reads_memory ? trace::Detail::Memory : trace::Detail::Sites,
                    [&](std::span<const model::TraceEvent> events) { index.add(events); },
                    [&](uint64_t done, uint64_t) { show(label, all / 2 + done, all); }));
  index.finish();
  show("judging", 0, 1);
  analysis::Prediction prediction = analysis::predict(
      index, candidates, reader.size(), {.complete_memory = complete, .swaps = options.swaps});
  totals.patterns += prediction.patterns;
  totals.unchecked += prediction.unchecked;
  totals.patterns_cut = totals.patterns_cut || prediction.patterns_cut;
  totals.searches_cut = totals.searches_cut || prediction.searches_cut;
  totals.trace_cut = totals.trace_cut || prediction.trace_cut;
  return std::move(prediction.findings);
}

}  // namespace

Result<std::vector<model::Finding>> predict_recording(trace::RecordingFile file,
                                                      const PredictOptions& options,
                                                      report::TraceTotals& totals,
                                                      const ShowProgress& show) {
  const std::string path = file.path();
  totals.ends_early = totals.ends_early || !file.damage().empty();
  std::vector<model::Finding> all;
  std::string gap;  // of the first process that has one
  bool any_tells = false;
  for (trace::RecordingRun& run : trace::runs_of(std::move(file))) {
    const auto read = [&](trace::Detail detail, const trace::EventSink& sink,
                          const trace::ProgressSink& progress) {
      run.read(detail, sink, progress);
      return Result<void>();
    };
    totals.missing += run.facts().lost + run.facts().dropped_objects + run.facts().dropped_threads;
    totals.ends_early = totals.ends_early || !run.facts().has_end || !run.facts().damage.empty();
    any_tells = any_tells || tells_memory(run.facts(), options);
    const std::string label = "reading " + escape_for_terminal(path);
    const trace::RunSketch sketch =
        run.sketch([&](uint64_t done, uint64_t) { show(label, done, 2 * run.byte_count()); });
    if (!sketch.needs_order && !analysis::has_order_cycle(sketch.nestings)) {
      const bool tells_all =
          options.memory != MemoryRecorded::None && trace::missed_memory(run.facts()).empty();
      if (sketch.acquisitions > 0 && gap.empty()) gap = trace::missed_memory(run.facts());
      add(sketch, options.memory == MemoryRecorded::Complete || tells_all, totals);
      continue;
    }
    GORDIAN_TRY(std::vector<model::Finding> findings,
                predict_run(run, read, label, options, totals, show));
    totals.missing += run.facts().left_out;
    put_into_words(findings, run);
    const std::string missed = trace::missed_memory(run.facts());
    if (gap.empty()) gap = missed;
    for (model::Finding& finding : findings) {
      if (finding.reason.code == model::ReasonCode::MemoryNotRecorded &&
          finding.reason.detail.empty() && tells_memory(run.facts(), options))
        finding.reason.detail = missed;
      finding.source = path;
      finding.fingerprint = report::fingerprint(finding);
      all.push_back(std::move(finding));
    }
  }
  // Where no program tells, there is nothing to say.
  if (any_tells && totals.memory_gap.empty()) totals.memory_gap = gap;
  return all;
}

Result<std::vector<model::Finding>> predict_file(const std::string& path,
                                                 const PredictOptions& options,
                                                 report::TraceTotals& totals,
                                                 const ShowProgress& show) {
  GORDIAN_TRY(std::shared_ptr<const trace::MappedFile> file, trace::MappedFile::open(path));
  ++totals.files;
  if (trace::RecordingFile::is_recording(file->bytes())) {
    GORDIAN_TRY(trace::RecordingFile recording, trace::RecordingFile::over(std::move(file), path));
    return predict_recording(std::move(recording), options, totals, show);
  }
  trace::StdReader reader = trace::StdReader::over(std::move(file), path);
  const auto read = [&](trace::Detail detail, const trace::EventSink& sink,
                        const trace::ProgressSink& progress) {
    return reader.read(detail, sink, progress);
  };
  const std::string label = "reading " + escape_for_terminal(path);
  GORDIAN_TRY(std::vector<model::Finding> findings,
              predict_run(reader, read, label, options, totals, show));
  for (model::Finding& finding : findings) {
    name(finding, reader);
    finding.fingerprint = report::fingerprint(finding);
  }
  return findings;
}

}  // namespace gordian::cli
