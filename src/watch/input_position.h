// SPDX-License-Identifier: Apache-2.0
// Where standard input stands, if it is a file: a program that is run again reads the same then.
// What came through a pipe or from a terminal is gone.
#pragma once

#include <sys/types.h>
#include <unistd.h>

namespace gordian::watch {

class InputPosition {
 public:
  InputPosition() : at_(lseek(STDIN_FILENO, 0, SEEK_CUR)) {}
  void restore() const {
    if (at_ >= 0) lseek(STDIN_FILENO, at_, SEEK_SET);
  }

 private:
  off_t at_;
};

}  // namespace gordian::watch
