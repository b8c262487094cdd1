// SPDX-License-Identifier: Apache-2.0
// Any bytes as an order file: read, added to, written and read again, it still says the same.
#include "base/check.h"
#include "report/order_file.h"
#include "report/order_text.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using gordian::report::OrderFile;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  gordian::Result<OrderFile> file = OrderFile::parse(text, "fuzz");
  if (!file) return 0;
  file->add("m*", "n o");
  const size_t pairs = file->order().order.size();
  const gordian::Result<OrderFile> again = OrderFile::parse(file->text(), "fuzz");
  GORDIAN_CHECK(again);
  GORDIAN_CHECK(again->order().order.size() == pairs);
  GORDIAN_CHECK(again->order().any.size() == file->order().any.size());
  GORDIAN_CHECK(!gordian::report::order_dot(again->order()).empty());
  return 0;
}
