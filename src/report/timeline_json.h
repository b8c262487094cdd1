// SPDX-License-Identifier: Apache-2.0
// Timed events -> a Chrome trace (the JSON that Perfetto and chrome://tracing read): for each
// thread what it held and what it waited for, and how many threads were waiting.
#pragma once

#include "model/timeline.h"

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace gordian::report {

class TimelineJson {
 public:
  struct Names {
    std::function<std::string(uint32_t uid)> thread;
    std::function<std::string(uint32_t object)> object;
    std::function<std::string(uint32_t site)> site;
  };
  // `write` gets the text piece by piece.
  using Write = std::function<void(std::string_view)>;

  explicit TimelineJson(Write write);
  // One process; its events follow.
  void begin_process(int pid, const std::string& name, Names names);
  void add(const model::TimedEvent& event);
  // Spans that are still open end with the last event of their process.
  void end_process();
  void finish();

 private:
  struct Span {
    uint32_t object = 0;
    uint32_t site = 0;
    uint64_t begin_ns = 0;
  };
  struct Thread {
    std::vector<Span> holds;
    Span wait;
    bool waits = false;
    std::string waits_for;
  };

  void begin_wait(Thread& thread, const model::TimedEvent& event, std::string what);
  void end_wait(Thread& thread, uint32_t uid, uint64_t time_ns);
  void release(Thread& thread, uint32_t uid, uint32_t object, uint64_t time_ns);
  void span(uint32_t uid, const std::string& name, std::string_view category, const Span& span,
            uint64_t end_ns);
  void crossing_span(uint32_t uid, const std::string& name, const Span& span, uint64_t end_ns);
  void instant(uint32_t uid, const std::string& name, const model::TimedEvent& event);
  void wrote(const model::TimedEvent& event);
  void read(model::TimedEvent event);
  void show_read(const model::TimedEvent& event);
  void flow(const model::TimedEvent& event, const char* name, std::string_view phase);
  void count_waiting(uint64_t time_ns);
  void put(const std::string& event);
  [[nodiscard]] std::string arguments(uint32_t site) const;

  Write write_;
  Names names_;
  int pid_ = 0;
  bool has_process_ = false;
  bool is_first_ = true;
  uint64_t last_ns_ = 0;
  uint64_t crossings_ = 0;
  uint32_t waiting_ = 0;
  std::unordered_map<uint32_t, Thread> threads_;
  std::unordered_map<uint64_t, uint64_t> written_;                            // when, by flow
  std::unordered_map<uint64_t, std::vector<model::TimedEvent>> early_reads_;  // by flow
};

}  // namespace gordian::report
