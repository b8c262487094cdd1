// SPDX-License-Identifier: Apache-2.0
// Tells of a run: as things happen, and at the end with hazards, last lines and files.
#pragma once

#include "analysis/told.h"
#include "base/file.h"
#include "base/result.h"
#include "cli/run_options.h"
#include "report/report.h"
#include "report/suppressions.h"
#include "report/text.h"
#include "watch/run.h"

#include <optional>
#include <string>

namespace gordian::cli {

class RunReporter final : public watch::Audience {
 public:
  // `command` is what JSON calls it. The options must outlive it.
  RunReporter(const RunCommandLine& options, const char* command)
      : options_(options), command_(command) {}

  // Reads and opens what the options name: asked before the program runs, not after.
  Result<void> open();

  void on_headline(const model::Finding& finding) override;
  bool on_finding(const model::Finding& source) override;
  void on_notice(const std::string& notice) override;

  // What the run showed of an order file; before finish().
  void set_order(report::OrderReport order) { report_.order = std::move(order); }

  // What the recording of the run says of its hazards, before finish(). Says so if it cannot.
  void predict(const watch::RecordOptions& record, watch::RunOutcome& outcome);

  // Hazards, the last lines, the files. The exit status of gordian, if it is not the program's.
  std::optional<int> finish(const watch::RunOutcome& outcome);

  // Steered runs of the same program along what was only possible. Then as finish().
  Result<std::optional<int>> confirm();

 private:
  [[nodiscard]] std::optional<int> status() const;
  bool is_suppressed(const model::Finding& finding);
  [[nodiscard]] bool is_worth_closing() const;
  void fill(const watch::RunOutcome& outcome);
  void say(const std::string& text);
  void write_json();

  const RunCommandLine& options_;
  const char* command_;
  std::optional<report::Suppressions> suppressions_;
  report::TextOptions text_;
  report::Report report_;
  FileDescriptor log_;
  analysis::Told told_;
  bool noticed_ = false;
  bool write_failed_ = false;
};

// Whether a report could be written there: asked before the program runs, not after.
Result<void> check_writable(const std::string& path);

// The exit status of gordian: what was told, else the program's own. A program that died of a
// signal ends gordian by the same one.
int end_as(const watch::RunOutcome& outcome, std::optional<int> told);

}  // namespace gordian::cli
