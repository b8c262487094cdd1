// SPDX-License-Identifier: Apache-2.0
#include "base/result.h"

#include "base/text.h"

#include <cerrno>
#include <system_error>

namespace gordian {

Error Error::from_errno(std::string_view what) { return from_errno(what, errno); }

Error Error::from_errno(std::string_view what, int error_number) {
  std::string message(what);
  if (!message.empty()) message += ": ";
  message += std::generic_category().message(error_number);
  return Error(std::move(message));
}

Error Error::in(std::string_view object) && {
  message.insert(0, ": ");
  message.insert(0, object);
  return std::move(*this);
}

std::string to_text(const Error& error) {
  std::string text = "gordian: " + escape_for_terminal(error.message) + "\n";
  if (!error.hint.empty()) text += "  hint: " + escape_for_terminal(error.hint) + "\n";
  return text;
}

}  // namespace gordian
