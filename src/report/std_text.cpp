// SPDX-License-Identifier: Apache-2.0
#include "report/std_text.h"

namespace gordian::report {

using model::Mode;
using model::TraceEvent;
using model::TraceOp;

namespace {

struct Word {
  const char* operation;
  char object;  // first letter of the argument
};

Word word_of(const TraceEvent& event) {
  const bool shared = event.mode == Mode::Shared;
  switch (event.op) {
    case TraceOp::Request:
      return {shared ? "rreq" : "req", 'L'};
    case TraceOp::Acquire:
      return {event.by_try ? (shared ? "tracq" : "tacq") : (shared ? "racq" : "acq"), 'L'};
    case TraceOp::Release:
      return {shared ? "rrel" : "rel", 'L'};
    case TraceOp::Exchange:  // of texts alone: no recording has it
      return {shared ? "rel" : "acq", 'L'};
    case TraceOp::Read:
      return {"r", 'V'};
    case TraceOp::Write:
      return {"w", 'V'};
    case TraceOp::Fork:
      return {"fork", 'T'};
    case TraceOp::Join:
      return {event.by_try ? "tjoin" : "join", 'T'};
    case TraceOp::Wait:
      return {"wait", 'L'};
    case TraceOp::Notify:
      return {"notify", 'L'};
    case TraceOp::NotifyAll:
      break;
  }
  return {"notifyAll", 'L'};
}

}  // namespace

void append_std_line(const TraceEvent& event, const std::string& place, std::string& text) {
  const Word word = word_of(event);
  text += 'T' + std::to_string(static_cast<uint32_t>(event.thread)) + '|' + word.operation + '(' +
          word.object + std::to_string(event.object) + ")|";
  for (const char c : place) text += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
  text += '\n';
}

}  // namespace gordian::report
