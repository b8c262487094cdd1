// SPDX-License-Identifier: Apache-2.0
#include "dump/dump.h"

#include "dump/lines.h"
#include "dump/readers.h"

#include <algorithm>
#include <iterator>

namespace gordian::dump {

std::vector<Dump> read_dumps(std::string_view pasted) {
  const Text text = std::make_shared<const std::string>(clean_paste(pasted));
  std::vector<Dump> dumps;
  for (const auto reader : {read_native, read_go, read_java, read_python}) {
    std::vector<Dump> found = reader(text);
    std::move(found.begin(), found.end(), std::back_inserter(dumps));
  }
  std::erase_if(dumps, [](const Dump& dump) {
    return std::all_of(dump.threads.begin(), dump.threads.end(), [](const Thread& thread) {
      return thread.frames.empty() && thread.monitors.empty() && thread.state.empty();
    });
  });
  return dumps;
}

}  // namespace gordian::dump
