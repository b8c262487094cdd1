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

}  // namespace gordian::redis
