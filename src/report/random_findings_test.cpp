// SPDX-License-Identifier: Apache-2.0
// Findings may come from a damaged board: whatever ids, counts and names they hold, each form of
// the report stays in its bounds, and JSON stays JSON.
#include "report/fingerprint.h"
#include "report/json.h"
#include "report/sample_findings.h"
#include "report/suppressions.h"
#include "report/text.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <random>

namespace gordian::report {
namespace {

class Dice {
 public:
  explicit Dice(uint32_t seed) : engine_(seed) {}

  uint32_t below(uint32_t limit) { return static_cast<uint32_t>(engine_() % limit); }
  bool one_in(uint32_t n) { return below(n) == 0; }

  std::string bytes() {
    if (one_in(3)) return {};
    std::string text(below(one_in(10) ? 3000 : 20), '\0');
    for (char& c : text)
      c = one_in(2) ? static_cast<char>(below(256)) : "<>(){}:*~ a\"\\"[below(14)];
    return text;
  }

 private:
  std::mt19937 engine_;
};

model::Stack random_stack(Dice& dice) {
  model::Stack stack;
  for (uint32_t i = dice.below(dice.one_in(10) ? 200 : 8); i > 0; --i) {
    model::Frame frame;
    frame.function = dice.bytes();
    frame.file = dice.bytes();
    frame.module = dice.bytes();
    frame.line = static_cast<int>(dice.below(3)) - 1;
    frame.plumbing = dice.one_in(3);
    frame.inlined = dice.one_in(4);
    stack.frames.push_back(frame);
  }
  stack.note = dice.bytes();
  return stack;
}

model::Finding random_finding(Dice& dice) {
  model::Finding finding;
  finding.verdict = static_cast<model::Verdict>(dice.below(7));
  finding.kind = static_cast<model::FindingKind>(dice.below(14));
  finding.reason.code = static_cast<model::ReasonCode>(dice.below(22));
  finding.reason.detail = dice.bytes();
  if (dice.one_in(2)) finding.reason.thread = model::ThreadId(dice.below(8));
  if (dice.one_in(2)) finding.reason.resource = model::ResourceId(dice.below(8));
  for (uint32_t i = dice.below(4); i > 0; --i)
    finding.assumptions.push_back(static_cast<model::AssumptionCode>(dice.below(6)));
  for (uint32_t i = dice.below(6); i > 0; --i) {
    model::Resource resource;
    resource.id = model::ResourceId(dice.below(8));
    resource.kind = static_cast<model::ResourceKind>(dice.below(21));
    resource.name = dice.bytes();
    resource.class_name = dice.bytes();
    resource.joined_known = dice.one_in(2);
    resource.joined = model::ThreadId(dice.below(8));
    resource.owner_gone = dice.one_in(6);
    resource.semaphore_like = dice.one_in(6);
    finding.resources.push_back(resource);
  }
  for (uint32_t i = dice.below(3); i > 0; --i) {
    model::Process process;
    process.id = model::ProcessId(dice.below(3));
    process.exe = dice.bytes();
    finding.processes.push_back(process);
  }
  for (uint32_t i = dice.below(7); i > 0; --i) {
    model::FindingThread thread;
    thread.id = model::ThreadId(dice.below(8));
    thread.process = model::ProcessId(dice.below(3));
    thread.name = dice.bytes();
    thread.role = dice.one_in(3) ? model::Role::Victim : model::Role::Knot;
    for (uint32_t h = dice.below(4); h > 0; --h) {
      model::FindingHold hold;
      hold.resource = model::ResourceId(dice.below(8));
      hold.mode = static_cast<model::Mode>(dice.below(2));
      hold.stack = random_stack(dice);
      thread.holds.push_back(hold);
    }
    if (!dice.one_in(5)) {
      model::FindingWant want;
      want.resource = model::ResourceId(dice.below(8));
      want.mode = static_cast<model::Mode>(dice.below(2));
      want.waited = std::chrono::nanoseconds(dice.below(1000000)) - std::chrono::nanoseconds(10);
      want.stack = random_stack(dice);
      for (uint32_t o = dice.below(4); o > 0; --o)
        want.owners.push_back(model::ThreadId(dice.below(10)));
      thread.wants = want;
    }
    finding.threads.push_back(thread);
  }
  return finding;
}

TEST(RandomFindings, AreToldInEveryForm) {
  constexpr std::chrono::year_month_day kToday{std::chrono::year(2026), std::chrono::month(11),
                                               std::chrono::day(20)};
  for (uint32_t seed = 0; seed < 60; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Dice dice(seed);
    const model::Finding finding = random_finding(dice);

    const std::string text = to_text(finding, {.color = false, .show_refuted = true});
    EXPECT_LT(text.size(), 200000U);
    for (const char c : text) {
      const auto byte = static_cast<unsigned char>(c);
      ASSERT_TRUE(byte == '\n' || byte >= 0x20) << "byte " << int{byte};
    }
    EXPECT_EQ(headline(finding).find('\n'), headline(finding).size() - 1);
    EXPECT_EQ(fingerprint(finding).size(), 16U);

    const std::string json = to_json(sample::report_of({finding}));
    ASSERT_TRUE(nlohmann::json::accept(json));

    Result<Suppressions> rules =
        Suppressions::parse(dice.bytes() + "\nfunction:*<* # x\n", "known");
    if (rules) rules->match(finding, kToday);
  }
}

}  // namespace
}  // namespace gordian::report
