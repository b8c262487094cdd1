// SPDX-License-Identifier: Apache-2.0
#include "report/order_file.h"

#include "base/file.h"
#include "base/text.h"
#include "model/lock_pattern.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace gordian::report {
namespace {

constexpr size_t kMaxWord = 2000;
constexpr char kHeader[] =
    "# The order in which this program takes its locks, written by `gordian order learn`.\n"
    "# A -> B: A may be held while B is taken, never the other way round. Add comments, put * for\n"
    "# any text, and move what needs no order to [any], as A <-> B. See `man gordian-order`.\n"
    "\n"
    "[order]\n";
constexpr char kForm[] = "a line is: BEFORE -> AFTER  # why, or in [any]: ONE <-> OTHER  # why";

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

void skip_blanks(std::string_view& rest) {
  while (!rest.empty() && is_blank(rest.front())) rest.remove_prefix(1);
}

// A pattern, in quotes or up to the next blank.
Result<std::string> take_word(std::string_view& rest) {
  skip_blanks(rest);
  const bool quoted = rest.starts_with('"');
  if (quoted) rest.remove_prefix(1);
  std::string word;
  bool closed = !quoted;
  while (!rest.empty()) {
    const char sign = rest.front();
    if (quoted ? sign == '"' : is_blank(sign)) {
      closed = true;
      if (quoted) rest.remove_prefix(1);
      break;
    }
    rest.remove_prefix(1);
    if (sign != '\\') {
      word += sign;
      continue;
    }
    if (rest.empty()) return Error("ends in a backslash", kForm);
    if (rest.front() != '"') word += '\\';
    word += rest.front();
    rest.remove_prefix(1);
  }
  if (!closed) return Error("a quote is not closed", kForm);
  if (word.empty()) return Error("a name is missing", kForm);
  if (word.size() > kMaxWord)
    return Error("a name longer than " + count_of(kMaxWord, "byte"), "use a * for a part of it");
  if (!rest.empty() && !is_blank(rest.front()))
    return Error("no blank behind a quoted name", kForm);
  return word;
}

}  // namespace

std::string order_word(const std::string& name) {
  std::string pattern = model::pattern_of_name(name);
  const bool plain = !pattern.empty() && pattern.front() != '#' && pattern.front() != '[' &&
                     pattern.find_first_of(" \t\"") == std::string::npos;
  if (plain) return pattern;
  std::string out = "\"";
  for (const char sign : pattern) {
    if (sign == '"') out += '\\';
    out += sign;
  }
  return out + '"';
}

OrderFile::OrderFile(const std::string& name) : OrderFile(*parse(kHeader, name)) {}

Result<OrderFile> OrderFile::read(const std::string& path) {
  GORDIAN_TRY(const std::string text, read_file(path, kMaxOrderBytes));
  return parse(text, path);
}

Result<void> OrderFile::parse_title(std::string_view line) {
  const std::string_view title = line.substr(0, line.find_first_of(" \t#"));
  std::string_view behind = line.substr(title.size());
  skip_blanks(behind);
  if (!behind.empty() && behind.front() != '#') return Error("text behind a section's title");
  if (title != "[order]" && title != "[any]")
    return Error("no such section: " + escape_for_terminal(title.substr(0, 60)),
                 "there are [order] and [any]; a lock whose name begins so needs quotes");
  section_ = title == "[order]" ? Section::Order : Section::Any;
  ++sections_;
  if (section_ == Section::Order && first_order_ == 0) first_order_ = sections_;
  lines_.back().section = sections_;
  return {};
}

Result<void> OrderFile::parse_line(Line& line) {
  std::string_view rest = line.text;
  skip_blanks(rest);
  while (!rest.empty() && is_blank(rest.back())) rest.remove_suffix(1);
  if (rest.empty()) return {};
  line.is_comment = rest.front() == '#';
  if (line.is_comment) return {};
  if (std::any_of(rest.begin(), rest.end(),
                  [](char c) { return static_cast<unsigned char>(c) < ' ' && c != '\t'; }))
    return Error("has a control character", "is it an order file?");
  if (rest.starts_with("<<<<<<<") || rest.starts_with("=======") || rest.starts_with(">>>>>>>"))
    return Error("a merge that was not finished", "choose lines of both sides: none contradict");

  if (rest.front() == '[') return parse_title(rest);
  if (section_ == Section::None)
    return Error("a line before the first section", "begin with [order]");

  const bool is_any = section_ == Section::Any;
  GORDIAN_TRY(std::string before, take_word(rest));
  GORDIAN_TRY(const std::string arrow, take_word(rest));
  if (arrow != (is_any ? "<->" : "->"))
    return Error("no " + std::string(is_any ? "<->" : "->") + " between two names",
                 std::string(kForm) + "; a name with blanks needs quotes");
  GORDIAN_TRY(std::string after, take_word(rest));
  skip_blanks(rest);
  if (!rest.empty() && rest.front() != '#') return Error("text behind the second name", kForm);
  if (!rest.empty()) rest.remove_prefix(1);
  skip_blanks(rest);
  if (is_any && rest.empty())
    return Error("no reason given",
                 "say behind a # why these need no order: the next reader will ask");
  const bool wild = model::is_wildcard(before) || model::is_wildcard(after);
  if (wild && ++wildcards_ > kMaxWildcardLines)
    return Error("more than " + count_of(kMaxWildcardLines, "line") + " with a *");
  if (!is_any && wild && before == after)
    return Error("both sides are the same pattern, so that it says nothing",
                 "to leave their order open, write it in [any]");
  (is_any ? order_.any : order_.order)
      .push_back(
          {.before = before, .after = after, .line = lines_.size(), .reason = std::string(rest)});
  if (!is_any) {
    line.is_pair = true;
    line.before = std::move(before);
    line.after = std::move(after);
  }
  return {};
}

Result<OrderFile> OrderFile::parse(std::string_view text, const std::string& name) {
  OrderFile file;
  file.order_.name = name;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view source = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (source.ends_with('\r')) {
      source.remove_suffix(1);
      file.has_crlf_ = true;
    }
    file.lines_.push_back({.text = std::string(source), .section = file.sections_});
    const std::string where = name + ":" + std::to_string(file.lines_.size());
    if (file.lines_.size() > kMaxOrderLines)
      return Error("more than " + count_of(kMaxOrderLines, "line"), "is it an order file?")
          .in(where);
    GORDIAN_TRY(, file.parse_line(file.lines_.back()).in(where));
  }
  return file;
}

std::string OrderFile::text() const {
  std::string out;
  for (const Line& line : lines_) {
    out += line.text;
    out += has_crlf_ ? "\r\n" : "\n";
  }
  return out;
}

void OrderFile::add(const std::string& before, const std::string& after) {
  Line line{.text = order_word(before) + " -> " + order_word(after),
            .is_pair = true,
            .before = model::pattern_of_name(before),
            .after = model::pattern_of_name(after)};
  if (first_order_ == 0) {
    if (!lines_.empty() && !lines_.back().text.empty())
      lines_.push_back({.text = "", .section = sections_});
    first_order_ = ++sections_;
    lines_.push_back({.text = "[order]", .section = first_order_});
  }
  line.section = first_order_;
  // Behind the title, or the last pair; or in front of the first that comes later, with what is
  // said above that one.
  size_t place = 0;
  for (size_t i = 0; i < lines_.size(); ++i) {
    const Line& there = lines_[i];
    if (there.section != first_order_) continue;
    if (place == 0) place = i + 1;
    if (!there.is_pair) continue;
    if (std::tie(line.before, line.after) < std::tie(there.before, there.after)) {
      for (place = i; lines_[place - 1].is_comment; --place) {
      }
      break;
    }
    place = i + 1;
  }
  order_.order.push_back({.before = line.before, .after = line.after});
  lines_.insert(lines_.begin() + static_cast<ptrdiff_t>(place), std::move(line));
}

}  // namespace gordian::report
