// SPDX-License-Identifier: Apache-2.0
// What `gordian confirm` and `gordian run --confirm` share: finding after finding, run after run,
// with a line for each.
#pragma once

#include "base/result.h"
#include "model/finding.h"
#include "report/report.h"
#include "report/text.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace gordian::cli {

struct ConfirmOptions {
  std::vector<std::string> command;
  bool children = true;
  unsigned tries = 20;
  std::optional<uint64_t> replay = {};  // this seed alone
  std::chrono::milliseconds hold{2000};
  std::chrono::nanoseconds limit{std::chrono::seconds(60)};
  bool quiet = false;
};

// Numbers the findings as they stand in `findings`, from 1; those that steering cannot bring about
// are passed over, and so is all but `only` if that is not 0. Adds the attempts and the confirmed
// deadlocks to `report`, and says everything as it happens. Nonzero: the signal by which the user
// asked to end.
Result<int> confirm_findings(const std::vector<model::Finding>& findings, size_t only,
                             const ConfirmOptions& options, const report::TextOptions& text,
                             const std::function<void(const std::string&)>& say,
                             report::Report& report);

// How reports look on standard error.
report::TextOptions text_for_stderr();

}  // namespace gordian::cli
