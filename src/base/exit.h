// SPDX-License-Identifier: Apache-2.0
// What every command's exit status means. 66 is the value people know from ThreadSanitizer.
#pragma once

namespace gordian {

enum class Exit : int {
  Clean = 0,    // nothing found, or only what may be wrong and --strict was not given
  Failed = 2,   // could not do the job: bad arguments, unreadable input, no permission
  Found = 66,   // a finding that cannot be wrong; with --strict any finding
  OurBug = 70,  // caught in main
};

}  // namespace gordian
