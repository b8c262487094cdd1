// SPDX-License-Identifier: Apache-2.0
// The compiler behind gordian cc and gordian c++, and how it is run.
#pragma once

#include "base/result.h"

#include <string>
#include <vector>

namespace gordian::cli {

using CompilerWords = std::vector<std::string>;

struct Compiler {
  CompilerWords words = {};
  bool is_clang = false;
  std::string version = {};  // of gcc, as it says itself: "12.2.0"; empty: it does not say
};

// The one that GORDIAN_CC or GORDIAN_CXX names, or the system's. Never gordian itself.
Result<CompilerWords> find_compiler(bool is_cxx);

// What it is it is asked, which starts it: names tell little behind a launcher (ccache) or a
// script.
Compiler ask_compiler(const CompilerWords& words, bool is_cxx);

// The exit status; ended by a signal: 128 and its number, as shells say it.
Result<int> run_words(const CompilerWords& words);

// What it prints, if it ends with success. Nobody sees its errors.
Result<std::string> read_words(const CompilerWords& words);

}  // namespace gordian::cli
