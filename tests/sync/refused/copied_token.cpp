// SPDX-License-Identifier: Apache-2.0
// REFUSED: use of deleted function|call to deleted constructor
#include <gordian/with_lock.h>

int main() {
  gordian::order_token<> token;
#ifdef MISUSE
  gordian::order_token<> kept = token;
  (void)kept;
#endif
  (void)token;
}
