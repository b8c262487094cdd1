// SPDX-License-Identifier: Apache-2.0
// The public errors. Their destructors stand here so that their type information is in one library.
#include "gordian/redis_lock.h"

namespace gordian::redis {
namespace {

class LockCategory : public std::error_category {
 public:
  [[nodiscard]] const char* name() const noexcept override { return "gordian.redis"; }
  [[nodiscard]] std::string message(int code) const override {
    switch (static_cast<errc>(code)) {
      case errc::not_acquired:
        return "held by somebody else";
      case errc::lost:
        return "the lease was lost";
      case errc::deadline:
        return "not acquired before the deadline";
      case errc::cancelled:
        return "cancelled";
      case errc::transport:
        return "the server cannot be asked";
      case errc::deadlock:
        return "deadlock";
      case errc::reentry:
        return "re-entry";
      case errc::closed:
        return "the client is closed";
      case errc::misuse:
        return "cannot work";
    }
    return "unknown";
  }
};

}  // namespace

const std::error_category& lock_category() noexcept {
  static const LockCategory category;
  return category;
}

std::error_code make_error_code(errc code) noexcept {
  return {static_cast<int>(code), lock_category()};
}

lock_error::~lock_error() = default;
not_acquired_error::~not_acquired_error() = default;
lost_error::~lost_error() = default;
deadline_error::~deadline_error() = default;
cancelled_error::~cancelled_error() = default;
transport_error::~transport_error() = default;
reentry_error::~reentry_error() = default;
closed_error::~closed_error() = default;
misuse_error::~misuse_error() = default;

deadlock_error::deadlock_error(const std::string& what, std::vector<deadlock_member> cycle)
    : lock_error(errc::deadlock, what),
      cycle_(std::make_shared<const std::vector<deadlock_member>>(std::move(cycle))) {}
deadlock_error::~deadlock_error() = default;

}  // namespace gordian::redis
