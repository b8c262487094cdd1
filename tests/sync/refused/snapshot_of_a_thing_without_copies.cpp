// SPDX-License-Identifier: Apache-2.0
// REFUSED: snapshot() copies the data
#include <gordian/guarded.h>

#include <memory>

int main() {
#ifdef MISUSE
  const gordian::guarded<std::unique_ptr<int>> data;
#else
  const gordian::guarded<std::shared_ptr<int>> data;
#endif
  (void)data.snapshot();
}
