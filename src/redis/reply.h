// SPDX-License-Identifier: Apache-2.0
// hiredis in C++: replies that free themselves, commands as bytes.
#pragma once

#include <cstdint>
#include <hiredis/hiredis.h>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace gordian::redis {

struct FreeReply {
  void operator()(redisReply* reply) const { freeReplyObject(reply); }
};
using Reply = std::unique_ptr<redisReply, FreeReply>;

struct FreeReader {
  void operator()(redisReader* reader) const { redisReaderFree(reader); }
};
using Reader = std::unique_ptr<redisReader, FreeReader>;

// More than this in one reply is no reply to anything we ask: the connection is given up.
inline constexpr size_t kMaxReplyBytes = 16 << 20;

inline std::string_view text_of(const redisReply* reply) {
  if (reply == nullptr) return {};
  if (reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_STATUS ||
      reply->type == REDIS_REPLY_ERROR)
    return {reply->str, static_cast<size_t>(reply->len)};
  return {};
}
inline bool is_error(const redisReply* reply) {
  return reply != nullptr && reply->type == REDIS_REPLY_ERROR;
}
inline bool is_integer(const redisReply* reply, long long number) {
  return reply != nullptr && reply->type == REDIS_REPLY_INTEGER && reply->integer == number;
}
// RESP3 can be read with hiredis 1.0 or later, and RESP2 alone before.
#ifdef GORDIAN_HAS_RESP3
inline constexpr bool kHasResp3 = true;
inline constexpr int kPushType = REDIS_REPLY_PUSH;
#else
inline constexpr bool kHasResp3 = false;
inline constexpr int kPushType = -1;
#endif
// What RESP3 has for a message that answers nothing.
inline bool is_push(const redisReply* reply) {
  return reply != nullptr && reply->type == kPushType;
}
// The element of an array or a push, or null where there is none.
inline const redisReply* element(const redisReply* reply, size_t index) {
  if (reply == nullptr || (reply->type != REDIS_REPLY_ARRAY && !is_push(reply)) ||
      index >= reply->elements)
    return nullptr;
  return reply->element[index];
}

// A command in the wire's form.
std::string command(std::initializer_list<std::string_view> words);
std::string command(const std::vector<std::string_view>& words);
// AUTH as the servers before 6 know it, or with a user. Empty where there is no password.
std::string auth_command(std::string_view user, std::string_view password);
// The server shall tell the client of this id, or the one that asks (0), when a key changes that it
// has read; not if it does so itself, with `no_loop`.
std::string tracking_command(uint64_t pushed_to, bool no_loop);

}  // namespace gordian::redis
