// SPDX-License-Identifier: Apache-2.0
#include "report/read_findings.h"

#include "report/words.h"

#include <charconv>
#include <map>
#include <nlohmann/json.hpp>

namespace gordian::report {
namespace {

using ReadJson = nlohmann::json;

constexpr size_t kMostFindings = 10'000;
constexpr size_t kMostThreads = 1'000;
constexpr size_t kMostFrames = 1'000;

std::string text_of(const ReadJson& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

const ReadJson& list_of(const ReadJson& object, const char* key) {
  static const ReadJson none = ReadJson::array();
  const auto found = object.find(key);
  return found != object.end() && found->is_array() ? *found : none;
}

uint64_t hex_of(const ReadJson& object, const char* key) {
  const std::string text = text_of(object, key);
  uint64_t value = 0;
  if (!text.starts_with("0x")) return 0;
  std::from_chars(text.data() + 2, text.data() + text.size(), value, 16);
  return value;
}

int line_of(const ReadJson& frame) {
  const auto found = frame.find("line");
  return found != frame.end() && found->is_number_integer() ? found->get<int>() : 0;
}

model::Stack read_stack(const ReadJson& place) {
  model::Stack stack;
  for (const ReadJson& one : list_of(place, "stack")) {
    if (!one.is_object() || stack.frames.size() == kMostFrames) continue;
    model::Frame frame;
    frame.function = text_of(one, "function");
    frame.file = text_of(one, "file");
    frame.line = line_of(one);
    frame.module = text_of(one, "module");
    frame.module_offset = hex_of(one, "offset");
    frame.pc = frame.module_offset;
    frame.inlined = one.value("inlined", ReadJson(false)) == ReadJson(true);
    frame.plumbing = one.value("plumbing", ReadJson(false)) == ReadJson(true);
    stack.frames.push_back(std::move(frame));
  }
  return stack;
}

// Offsets of different modules may be equal; then the frame that is meant comes first.
uint64_t read_site(const ReadJson& place, model::Stack& stack) {
  const auto at = place.find("at");
  if (at == place.end() || !at->is_object()) return 0;
  const std::string module = text_of(*at, "module");
  const uint64_t offset = hex_of(*at, "offset");
  for (model::Frame& frame : stack.frames)
    if (frame.pc == offset && frame.module != module) frame.pc = 0;
  return offset;
}

class FindingReader {
 public:
  explicit FindingReader(const ReadJson& source) : source_(source) {}

  model::Finding read() {
    const std::string verdict = text_of(source_, "verdict");
    for (const model::Verdict one :
         {model::Verdict::Deadlock, model::Verdict::Confirmed, model::Verdict::Proved,
          model::Verdict::Possible, model::Verdict::Stall, model::Verdict::Refuted})
      if (verdict == verdict_word(one)) finding_.verdict = one;
    const std::string kind = text_of(source_, "kind");
    for (int one = 0; one <= static_cast<int>(model::FindingKind::Mixed); ++one)
      if (kind == finding_kind_word(static_cast<model::FindingKind>(one)))
        finding_.kind = static_cast<model::FindingKind>(one);
    finding_.fingerprint = text_of(source_, "fingerprint");
    for (const ReadJson& resource : list_of(source_, "resources"))
      if (resource.is_object()) read_resource(resource);
    for (const ReadJson& thread : list_of(source_, "threads"))
      if (thread.is_object() && finding_.threads.size() < kMostThreads) read_thread(thread);
    return std::move(finding_);
  }

 private:
  void read_resource(const ReadJson& source) {
    model::Resource resource;
    resource.id = id_of(text_of(source, "id"));
    const std::string kind = text_of(source, "kind");
    for (int one = 0; one <= static_cast<int>(model::ResourceKind::Custom); ++one)
      if (kind == resource_kind_word(static_cast<model::ResourceKind>(one)))
        resource.kind = static_cast<model::ResourceKind>(one);
    resource.name = text_of(source, "name");
    finding_.resources.push_back(std::move(resource));
  }

  void read_thread(const ReadJson& source) {
    model::FindingThread thread;
    thread.id = static_cast<model::ThreadId>(finding_.threads.size());
    thread.name = text_of(source, "name");
    thread.role = text_of(source, "role") == role_word(model::Role::Victim) ? model::Role::Victim
                                                                            : model::Role::Knot;
    for (const ReadJson& one : list_of(source, "holds")) {
      if (!one.is_object()) continue;
      model::FindingHold hold;
      hold.resource = id_of(text_of(one, "resource"));
      hold.stack = read_stack(one);
      hold.site = read_site(one, hold.stack);
      thread.holds.push_back(std::move(hold));
    }
    const auto wants = source.find("wants");
    if (wants != source.end() && wants->is_object()) {
      model::FindingWant want;
      want.resource = id_of(text_of(*wants, "resource"));
      want.stack = read_stack(*wants);
      want.site = read_site(*wants, want.stack);
      thread.wants = std::move(want);
    }
    finding_.threads.push_back(std::move(thread));
  }

  model::ResourceId id_of(const std::string& name) {
    const auto number = static_cast<uint32_t>(ids_.size());
    return ids_.try_emplace(name, static_cast<model::ResourceId>(number)).first->second;
  }

  const ReadJson& source_;
  model::Finding finding_;
  std::map<std::string, model::ResourceId> ids_;
};

}  // namespace

Result<std::vector<model::Finding>> read_findings(const std::string& json) {
  const ReadJson report = ReadJson::parse(json, nullptr, false);
  if (report.is_discarded() || !report.is_object() || !report.contains("findings"))
    return Error("neither a recording nor a report of gordian",
                 "gordian run writes them, with --record FILE and --json FILE");
  const auto schema = report.find("schema");
  if (schema == report.end() || *schema != ReadJson(1))
    return Error("a report of another schema than 1", "use the gordian that wrote it");
  std::vector<model::Finding> findings;
  for (const ReadJson& finding : list_of(report, "findings"))
    if (finding.is_object() && findings.size() < kMostFindings)
      findings.push_back(FindingReader(finding).read());
  return findings;
}

}  // namespace gordian::report
