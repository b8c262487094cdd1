// SPDX-License-Identifier: Apache-2.0
// What to call the dynamic loader's locks, which have no symbols of their own.
#pragma once

#include <string_view>

namespace gordian::model {

// The variable in which the loader of glibc keeps them; dlopen() holds one of them to its end.
constexpr bool is_loader_state(std::string_view symbol) {
  return symbol.starts_with("_rtld_global");
}
inline constexpr std::string_view kLoaderLock = "the dynamic loader's lock";

}  // namespace gordian::model
