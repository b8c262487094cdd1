// SPDX-License-Identifier: Apache-2.0
// Laying out text: colours, line breaks, stacks.
#pragma once

#include "model/stack.h"
#include "report/text.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace gordian::report {

enum class Style : uint8_t { Plain, Red, Yellow, Green, Bold, Dim };

// The text itself unless colours were asked for.
std::string styled(Style style, const std::string& text, const TextOptions& options);

// Breaks at blanks; every line but the first begins with `indent`. Ends with a newline.
std::string wrapped(std::string_view text, const std::string& first, const std::string& indent);

// How many outermost frames of `a` need not be shown again beside `b`: those they have in common,
// if that saves some lines.
size_t common_tail(const model::Stack& a, const model::Stack& b);

// One line a frame, plumbing folded, cut in the middle if long. The outermost `skip` frames are
// left out, with a word that they stand below.
std::string stack_text(const model::Stack& stack, const TextOptions& options, size_t skip = 0);

}  // namespace gordian::report
