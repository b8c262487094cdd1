// SPDX-License-Identifier: Apache-2.0
#include "redis/failure.h"

#include "base/text.h"

#include <utility>

namespace gordian::redis {

std::string quoted(std::string_view name) { return '"' + escape_for_terminal(name) + '"'; }

[[noreturn]] void raise(Failure failure, std::string_view name) {
  const std::string what =
      "lock " + quoted(name) + (failure.what.empty() ? "" : ": " + failure.what);
  switch (failure.code) {
    case errc::not_acquired:
      throw not_acquired_error(what);
    case errc::lost:
      throw lost_error(what);
    case errc::deadline:
      throw deadline_error(what);
    case errc::cancelled:
      throw cancelled_error(what);
    case errc::transport:
      throw transport_error(what);
    case errc::deadlock:
      throw deadlock_error(what, std::move(failure.cycle));
    case errc::reentry:
      throw reentry_error(what);
    case errc::closed:
      throw closed_error(what);
    case errc::misuse:
      break;
  }
  throw misuse_error(what);
}

}  // namespace gordian::redis
