// SPDX-License-Identifier: Apache-2.0
#include "cli/report_head.h"

#include <cstdlib>
#include <string_view>
#include <unistd.h>

namespace gordian::cli {

report::Report make_report(const std::string& command) {
  report::Report report;
  report.command = command;
  report.version = GORDIAN_VERSION;
  char host[256] = "";
  gethostname(host, sizeof(host) - 1);
  report.host = host;
  return report;
}

bool wants_color(int descriptor) {
  const char* const terminal = getenv("TERM");
  const char* const no_color = getenv("NO_COLOR");
  return isatty(descriptor) == 1 && terminal != nullptr && std::string_view(terminal) != "dumb" &&
         (no_color == nullptr || *no_color == '\0');
}

}  // namespace gordian::cli
