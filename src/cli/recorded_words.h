// SPDX-License-Identifier: Apache-2.0
// The words for what a recording names by numbers: stacks, functions, names of locks and threads,
// from the modules that the recording names, by build-id.
#pragma once

#include "model/finding.h"
#include "trace/recording_reader.h"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>

namespace gordian::process {
class ProcessView;
}

namespace gordian::cli {

void put_into_words(std::span<model::Finding> findings, const trace::RecordingRun& run);

// Names by symbol. The run has been read, and outlives it.
class RecordedNames {
 public:
  explicit RecordedNames(const trace::RecordingRun& run);
  ~RecordedNames();

  [[nodiscard]] std::string thread(model::ThreadId id) const;
  [[nodiscard]] std::string thread_of_uid(uint32_t uid) const;
  // "accounts", or the kind and where it was born.
  [[nodiscard]] std::string lock(uint32_t id) const;
  // Of a slot of the recording: the first lock that was seen there.
  [[nodiscard]] std::string object(uint32_t slot) const;
  // "room.c:12 in room_create"; empty: not known.
  [[nodiscard]] std::string site(uint32_t id) const;

 private:
  const trace::RecordingFacts& facts_;
  std::unique_ptr<process::ProcessView> view_;
  std::unordered_map<uint32_t, uint32_t> lock_of_slot_;
  mutable std::unordered_map<uint32_t, std::string> objects_;
};

}  // namespace gordian::cli
