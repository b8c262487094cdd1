// SPDX-License-Identifier: Apache-2.0
// Our constructor. The first hook may be earlier (another library's constructor); both call
// start().
#include "runtime/board.h"

namespace {

__attribute__((constructor)) void start_at_load() { gordian::runtime::ensure_started(); }

}  // namespace
