// SPDX-License-Identifier: Apache-2.0
// REFUSED: lock order: this level does not come after all levels held
#include <gordian/with_lock.h>

enum class level { handles, streams };
gordian::at_level<level::handles> handles("handles");
gordian::at_level<level::streams> streams("streams");

int main() {
  gordian::order_token<> nothing_held;
#ifdef MISUSE
  auto& first = streams;
  auto& second = handles;
#else
  auto& first = handles;
  auto& second = streams;
#endif
  gordian::with_lock(nothing_held, first,
                     [&](auto& token) { gordian::with_lock(token, second, [] {}); });
}
