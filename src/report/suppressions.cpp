// SPDX-License-Identifier: Apache-2.0
#include "report/suppressions.h"

#include "base/file.h"
#include "base/text.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cstdio>
#include <utility>

namespace gordian::report {

using model::Finding;
using model::FindingHold;
using model::FindingThread;
using model::Frame;
using model::Resource;
using model::Role;
using model::Stack;
using std::chrono::year_month_day;

namespace {

constexpr std::array<std::pair<std::string_view, PatternKind>, 5> kKinds = {{
    {"lock", PatternKind::Lock},
    {"function", PatternKind::Function},
    {"file", PatternKind::File},
    {"library", PatternKind::Library},
    {"fingerprint", PatternKind::Fingerprint},
}};

std::optional<year_month_day> find_date(std::string_view text) {
  int year = 0;
  unsigned month = 0;
  unsigned day = 0;
  if (text.size() != 10 || text[4] != '-' || text[7] != '-') return std::nullopt;
  const auto number = [](std::string_view digits, auto& value) {
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    return error == std::errc() && end == digits.data() + digits.size();
  };
  if (!number(text.substr(0, 4), year) || !number(text.substr(5, 2), month) ||
      !number(text.substr(8, 2), day))
    return std::nullopt;
  const year_month_day date{std::chrono::year(year), std::chrono::month(month),
                            std::chrono::day(day)};
  if (!date.ok()) return std::nullopt;
  return date;
}

std::string to_text(year_month_day date) {
  std::array<char, 32> out{};
  std::snprintf(out.data(), out.size(), "%04d-%02u-%02u", static_cast<int>(date.year()),
                static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()));
  return out.data();
}

// Takes "until=..." off the end of the reason, also in brackets.
Result<std::optional<year_month_day>> take_until(std::string_view& reason) {
  constexpr std::string_view kUntil = "until=";
  const size_t at = reason.rfind(kUntil);
  const bool is_word =
      at != std::string_view::npos &&
      (at == 0 || reason[at - 1] == ' ' || reason[at - 1] == '\t' || reason[at - 1] == '[');
  if (!is_word) return std::optional<year_month_day>();
  std::string_view value = trimmed(reason.substr(at + kUntil.size()));
  if (value.ends_with(']')) value.remove_suffix(1);
  const std::optional<year_month_day> date = find_date(value);
  if (!date)
    return Error("until=" + escape_for_terminal(value) + " is not a date",
                 "write until=YYYY-MM-DD at the end of the line");
  reason = reason.substr(0, at);
  if (reason.ends_with('[')) reason.remove_suffix(1);
  reason = trimmed(reason);
  return date;
}

Result<Suppression> parse_line(std::string_view line) {
  const std::string form = "a line is KIND:PATTERN  # REASON  [until=YYYY-MM-DD]";
  const size_t colon = line.find(':');
  const auto kind = std::find_if(kKinds.begin(), kKinds.end(), [&](const auto& entry) {
    return colon != std::string_view::npos && entry.first == trimmed(line.substr(0, colon));
  });
  if (kind == kKinds.end())
    return Error("no known kind of pattern",
                 form + "; KIND is lock, function, file, library or fingerprint");
  std::string_view rest = line.substr(colon + 1);
  // The reason begins at a '#' behind a blank: "{lambda#1}" is a function.
  size_t hash = 0;
  while ((hash = rest.find('#', hash)) != std::string_view::npos &&
         (hash == 0 || (rest[hash - 1] != ' ' && rest[hash - 1] != '\t')))
    ++hash;
  const std::string_view glob = trimmed(rest.substr(0, hash));
  if (glob.empty()) return Error("the pattern is empty", form);
  std::string_view reason =
      hash == std::string_view::npos ? std::string_view() : trimmed(rest.substr(hash + 1));
  GORDIAN_TRY(const std::optional<year_month_day> until, take_until(reason));
  if (reason.empty())
    return Error("no reason given",
                 "say after a # why this may be ignored: the next reader will ask");
  Suppression rule;
  rule.kind = kind->second;
  rule.glob = glob;
  rule.reason = reason;
  rule.until = until;
  return rule;
}

// A path matches as a whole or by its last component.
bool path_matches(std::string_view glob, std::string_view path) {
  return !path.empty() && (glob_matches(glob, path) || glob_matches(glob, base_name(path)));
}

bool frame_matches(const Suppression& rule, const Frame& frame) {
  switch (rule.kind) {
    case PatternKind::Function: {
      if (frame.function.empty()) return false;
      const std::string_view name = frame.function;
      return glob_matches(rule.glob, name) ||
             glob_matches(rule.glob, name.substr(0, name.find('(')));
    }
    case PatternKind::File:
      return path_matches(rule.glob, frame.file);
    case PatternKind::Library:
      return path_matches(rule.glob, frame.module);
    default:
      return false;
  }
}

bool stack_matches(const Suppression& rule, const Stack& stack) {
  return std::any_of(stack.frames.begin(), stack.frames.end(),
                     [&](const Frame& frame) { return frame_matches(rule, frame); });
}

bool lock_matches(const Suppression& rule, const Finding& finding, model::ResourceId id) {
  return std::any_of(finding.resources.begin(), finding.resources.end(), [&](const Resource& it) {
    return it.id == id && ((!it.name.empty() && glob_matches(rule.glob, it.name)) ||
                           (!it.class_name.empty() && glob_matches(rule.glob, it.class_name)));
  });
}

// Only the knot counts: a known lock that merely queues behind a new knot must not hide it.
bool rule_matches(const Suppression& rule, const Finding& finding) {
  if (rule.kind == PatternKind::Fingerprint) return glob_matches(rule.glob, finding.fingerprint);
  const auto is_wanted = [&](model::ResourceId id) {
    return std::any_of(finding.threads.begin(), finding.threads.end(), [&](const auto& thread) {
      return thread.role == Role::Knot && thread.wants && thread.wants->resource == id;
    });
  };
  for (const FindingThread& thread : finding.threads) {
    if (thread.role != Role::Knot) continue;
    for (const FindingHold& hold : thread.holds) {
      if (!is_wanted(hold.resource) && finding.kind != model::FindingKind::HeldAtExit) continue;
      if (rule.kind == PatternKind::Lock ? lock_matches(rule, finding, hold.resource)
                                         : stack_matches(rule, hold.stack))
        return true;
    }
    if (!thread.wants) continue;
    if (rule.kind == PatternKind::Lock ? lock_matches(rule, finding, thread.wants->resource)
                                       : stack_matches(rule, thread.wants->stack))
      return true;
  }
  return false;
}

bool has_expired(const Suppression& rule, year_month_day today) {
  return rule.until && std::chrono::sys_days(*rule.until) < std::chrono::sys_days(today);
}

}  // namespace

bool glob_matches(std::string_view glob, std::string_view text) {
  // Linear in practice: after a mismatch only the last star is tried again.
  size_t g = 0;
  size_t t = 0;
  size_t star = std::string_view::npos;
  size_t retry = 0;
  while (t < text.size()) {
    if (g < glob.size() && glob[g] == '*') {
      star = g++;
      retry = t;
    } else if (g < glob.size() && (glob[g] == '?' || glob[g] == text[t])) {
      ++g;
      ++t;
    } else if (star != std::string_view::npos) {
      g = star + 1;
      t = ++retry;
    } else {
      return false;
    }
  }
  while (g < glob.size() && glob[g] == '*') ++g;
  return g == glob.size();
}

std::string to_text(const Suppression& rule) {
  for (const auto& [word, kind] : kKinds)
    if (kind == rule.kind) return std::string(word) + ":" + rule.glob;
  return rule.glob;
}

Result<Suppressions> Suppressions::parse(std::string_view text, std::string_view name) {
  Suppressions result;
  constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  for (size_t number = 1; !text.empty(); ++number) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = trimmed(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.empty() || line.front() == '#') continue;
    const std::string where = std::string(name) + ":" + std::to_string(number);
    GORDIAN_TRY(Suppression rule, parse_line(line).in(where));
    rule.where = where;
    result.rules_.push_back(std::move(rule));
  }
  return result;
}

Result<Suppressions> Suppressions::read(const std::string& path) {
  GORDIAN_TRY(const std::string text, read_file(path));
  return parse(text, path);
}

const Suppression* Suppressions::match(const Finding& finding, year_month_day today) {
  for (Suppression& rule : rules_) {
    if (has_expired(rule, today) || !rule_matches(rule, finding)) continue;
    ++rule.used;
    return &rule;
  }
  return nullptr;
}

std::vector<std::string> Suppressions::unused(year_month_day today) const {
  std::vector<std::string> sentences;
  for (const Suppression& rule : rules_) {
    const std::string start = rule.where + ": " + report::to_text(rule);
    if (has_expired(rule, today)) {
      sentences.push_back(start + " has expired on " + to_text(*rule.until));
    } else if (rule.used == 0) {
      sentences.push_back(start + " matched nothing");
    }
  }
  return sentences;
}

}  // namespace gordian::report
