// SPDX-License-Identifier: Apache-2.0
#include "report/order_text.h"

#include "base/text.h"
#include "report/labels.h"
#include "report/layout.h"
#include "report/order_file.h"
#include "report/words.h"

#include <algorithm>
#include <string_view>
#include <utility>

namespace gordian::report {
namespace {

using model::Finding;
using model::FindingHold;
using model::FindingThread;
using model::OrderFault;
using model::OrderStep;
using model::OrderViolation;
using model::SeenPair;

constexpr size_t kMaxViolations = 50;
constexpr size_t kMaxAdded = 200;

std::string pair_text(const std::string& before, const std::string& after) {
  return order_word(before) + " -> " + order_word(after);
}

std::string described(const Labels& labels, model::ResourceId id, const std::string& class_name) {
  std::string name = labels.resource(id);
  const std::string kind = with_article(labels.kind_of(id));
  return name == class_name ? name + ", " + kind : name + ", " + kind + " of " + class_name;
}

// Who took what, with both stacks.
std::string evidence_text(const OrderReport& order, const SeenPair& seen,
                          const TextOptions& options) {
  const Finding& sample = order.samples[seen.pair.sample];
  const Labels labels(sample);
  const FindingThread& thread = sample.threads.front();
  const FindingHold& hold = thread.holds[seen.pair.hold];
  const model::Process& process = sample.processes.front();
  std::string out =
      styled(Style::Bold,
             "thread " + labels.threads({thread.id}) + " (pid " + std::to_string(process.pid) +
                 ", " + clean(base_name(process.exe)) + ")",
             options) +
      "\n";
  out += wrapped("holds " + described(labels, hold.resource, seen.held) + ", taken at", "    ",
                 "    ");
  const size_t common = common_tail(hold.stack, thread.wants->stack);
  out += stack_text(hold.stack, options, common < hold.stack.frames.size() ? common : 0);
  out += wrapped("takes " + described(labels, thread.wants->resource, seen.wanted) + ", at", "    ",
                 "    ");
  return out + stack_text(thread.wants->stack, options);
}

std::string steps_text(const OrderReport& order, const OrderViolation& violation,
                       const TextOptions& options) {
  std::string out;
  for (const OrderStep& step : violation.opposite) {
    const std::string pair = pair_text(step.before, step.after);
    if (step.line != 0)
      out += wrapped(clean(order.file, 200) + ":" + std::to_string(step.line) + " says " + pair +
                         (step.seen >= 0 ? ", and this run did so as well:" : ""),
                     "", "    ");
    else
      out += wrapped("this run also did " + pair + ":", "", "    ");
    if (step.seen >= 0)
      out +=
          "\n" + evidence_text(order, order.seen[static_cast<size_t>(step.seen)], options) + "\n";
  }
  return out;
}

std::string advice_text(const OrderReport& order, const OrderViolation& violation) {
  const SeenPair& seen = order.seen[violation.seen];
  const std::string any = order_word(seen.held) + " <-> " + order_word(seen.wanted);
  switch (violation.fault) {
    case OrderFault::AgainstFile:
      return "What to change: take " + seen.wanted + " first, or release " + seen.held +
             " before. If the file is wrong, correct its line; if both orders are right, say why "
             "in [any]: " +
             any;
    case OrderFault::AgainstRun:
      return "What to change: decide on one order, keep to it at all these places, and write it "
             "into the file. If both are right, say why in [any]: " +
             any;
    case OrderFault::Instances:
      return "What to change: take locks of this class in one order, by address or by a key, or "
             "together with std::scoped_lock. If something else excludes both orders at once, say "
             "so in [any]: " +
             any;
  }
  return {};
}

std::string violation_text(const OrderReport& order, const OrderViolation& violation,
                           const TextOptions& options) {
  const SeenPair& seen = order.seen[violation.seen];
  std::string title =
      "LOCK ORDER VIOLATED: " + seen.wanted + " taken while " + seen.held + " is held; ";
  switch (violation.fault) {
    case OrderFault::AgainstFile:
      title += "the file has it the other way round";
      break;
    case OrderFault::AgainstRun:
      title += "this run took them the other way round too";
      break;
    case OrderFault::Instances:
      title += "two locks of one class, in both orders";
      break;
  }
  return styled(Style::Red, title, options) + "\n\n" + evidence_text(order, seen, options) + "\n" +
         steps_text(order, violation, options) + "\n" +
         wrapped(advice_text(order, violation), "", "  ") + "\n";
}

std::string added_text(const OrderReport& order, const TextOptions& options) {
  std::string out = styled(Style::Yellow,
                           "gordian: " + count_of(order.outcome.added.size(), "new lock order") +
                               (order.learns ? " added to " : " not in ") + clean(order.file, 200),
                           options) +
                    "\n";
  const size_t shown = std::min(order.outcome.added.size(), kMaxAdded);
  for (size_t i = 0; i < shown; ++i) {
    const SeenPair& seen = order.seen[order.outcome.added[i]];
    const FindingThread& thread = order.samples[seen.pair.sample].threads.front();
    out += "  " + pair_text(seen.held, seen.wanted);
    if (const model::Frame* const frame = first_own_frame(thread.wants->stack))
      out += "    in " + place_label(frame);
    out += "\n";
  }
  if (shown < order.outcome.added.size())
    out += "  ... and " + std::to_string(order.outcome.added.size() - shown) + " more\n";
  return out;
}

std::string dot_word(std::string_view text) { return dot_quoted(clean(text, 200)); }

}  // namespace

std::string order_text(const OrderReport& order, const TextOptions& options, bool quiet) {
  std::string out;
  const size_t shown = std::min(order.outcome.violations.size(), kMaxViolations);
  for (size_t i = 0; i < shown; ++i)
    out += violation_text(order, order.outcome.violations[i], options);
  if (shown < order.outcome.violations.size())
    out +=
        "... and " + std::to_string(order.outcome.violations.size() - shown) + " more violations\n";
  if (quiet) return out;
  if (!order.outcome.added.empty()) out += added_text(order, options);
  if (order.nameless > 0)
    out += "gordian: " + count_of(order.nameless, "pair") +
           " of locks left out: a lock without a name that lasts (build with -g)\n";
  if (order.cut) out += "gordian: there were more lock orders than could be looked at\n";
  return out;
}

std::string order_listing(const model::LockOrder& order) {
  std::string out;
  for (const model::OrderRule& rule : order.order)
    out += clean(rule.before) + " -> " + clean(rule.after) + "\n";
  return out;
}

std::string order_dot(const model::LockOrder& order) {
  std::string out = "digraph lock_order {\n  rankdir=LR;\n  node [shape=box];\n";
  for (const model::OrderRule& rule : order.order)
    out += "  " + dot_word(rule.before) + " -> " + dot_word(rule.after) +
           (rule.reason.empty() ? "" : " [label=" + dot_word(rule.reason) + "]") + ";\n";
  for (const model::OrderRule& rule : order.any)
    out += "  " + dot_word(rule.before) + " -> " + dot_word(rule.after) +
           " [dir=both, style=dashed, label=" + dot_word(rule.reason) + "];\n";
  return out + "}\n";
}

}  // namespace gordian::report
