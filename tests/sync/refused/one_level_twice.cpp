// SPDX-License-Identifier: Apache-2.0
// REFUSED: lock order: this level does not come after all levels held
#include <gordian/with_lock.h>

enum class level { handles, streams };
gordian::at_level<level::handles> one("one");
gordian::at_level<level::handles> two("two");

int main() {
  gordian::order_token<> nothing_held;
  gordian::with_lock(nothing_held, one, [&](auto& token) {
#ifdef MISUSE
    gordian::with_lock(token, two, [] {});
#else
    (void)token;
#endif
  });
}
