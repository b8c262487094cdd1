// SPDX-License-Identifier: Apache-2.0
#include "redis/reply.h"

#include <new>

namespace gordian::redis {
namespace {

std::string format(const std::string_view* words, size_t count) {
  std::vector<const char*> pointers(count);
  std::vector<size_t> sizes(count);
  for (size_t i = 0; i < count; ++i) {
    pointers[i] = words[i].data();
    sizes[i] = words[i].size();
  }
  char* bytes = nullptr;
  const auto size =
      redisFormatCommandArgv(&bytes, static_cast<int>(count), pointers.data(), sizes.data());
  if (size < 0 || bytes == nullptr) throw std::bad_alloc();
  std::string text(bytes, static_cast<size_t>(size));
  redisFreeCommand(bytes);
  return text;
}

}  // namespace

std::string command(std::initializer_list<std::string_view> words) {
  return format(words.begin(), words.size());
}

std::string command(const std::vector<std::string_view>& words) {
  return format(words.data(), words.size());
}

std::string auth_command(std::string_view user, std::string_view password) {
  if (password.empty()) return {};
  return user.empty() ? command({"AUTH", password}) : command({"AUTH", user, password});
}

std::string tracking_command(uint64_t pushed_to, bool no_loop) {
  const std::string id = std::to_string(pushed_to);
  std::vector<std::string_view> words{"CLIENT", "TRACKING", "ON"};
  if (pushed_to != 0) words.insert(words.end(), {"REDIRECT", id});
  words.emplace_back("OPTOUT");
  if (no_loop) words.emplace_back("NOLOOP");
  return command(words);
}

}  // namespace gordian::redis
