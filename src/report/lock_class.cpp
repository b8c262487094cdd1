// SPDX-License-Identifier: Apache-2.0
#include "report/lock_class.h"

#include "report/labels.h"

#include <cctype>
#include <cstddef>

namespace gordian::report {
namespace {

constexpr size_t kMaxName = 500;

bool is_digit(char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; }

// "mutex" of "handle->mutex", "state.mutex" and "Handle::mutex".
std::string last_member(const std::string& name) {
  const size_t end = name.find_last_of(".>:");
  return end == std::string::npos ? name : name.substr(end + 1);
}

// "pool[3].lock" -> "pool[].lock".
std::string without_indices(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    out += text[i];
    if (text[i] != '[') continue;
    size_t end = i + 1;
    while (end < text.size() && is_digit(text[end])) ++end;
    if (end < text.size() && text[end] == ']') i = end - 1;
  }
  return out;
}

// "room.c:12 in room_create" -> "room.c in room_create"; "f+0x1f" -> "f".
std::string without_places(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    size_t end = i;
    if (text[i] == ':' && i + 1 < text.size() && is_digit(text[i + 1])) {
      for (end = i + 1; end < text.size() && is_digit(text[end]);) ++end;
    } else if (text.substr(i).starts_with("+0x")) {
      for (end = i + 3;
           end < text.size() && std::isxdigit(static_cast<unsigned char>(text[end])) != 0;)
        ++end;
    }
    if (end > i) {
      i = end - 1;
    } else {
      out += text[i];
    }
  }
  return out;
}

}  // namespace

std::string without_numbers_after_colons(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    out += text[i];
    if (text[i] != ':') continue;
    while (i + 1 < text.size() && is_digit(text[i + 1])) ++i;
  }
  return out;
}

std::string without_addresses(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    out += text[i];
    if (out.ends_with("0x"))
      while (i + 1 < text.size() && std::isxdigit(static_cast<unsigned char>(text[i + 1])) != 0)
        ++i;
  }
  return out;
}

std::string member_name(const model::Resource& resource) {
  const bool is_member = !resource.class_name.empty() && !is_birthplace(resource.class_name);
  return is_member ? resource.class_name + "::" + last_member(resource.name) : resource.name;
}

std::string lock_class(const model::Resource& resource) {
  if (!resource.name.empty())
    return clean(without_indices(without_places(member_name(resource))), kMaxName);
  if (!is_birthplace(resource.class_name)) return {};
  // A place that is an offset into a library does not last, and without it is a crowd.
  if (resource.class_name.find(".so") != std::string::npos &&
      resource.class_name.find("+0x") != std::string::npos)
    return {};
  return clean(without_places(resource.class_name), kMaxName);
}

}  // namespace gordian::report
