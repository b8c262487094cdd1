// SPDX-License-Identifier: Apache-2.0
#include "report/lock_class.h"

#include <gtest/gtest.h>

namespace gordian::report {
namespace {

model::Resource lock(const char* name, const char* class_name = "") {
  model::Resource resource;
  resource.name = name;
  resource.class_name = class_name;
  return resource;
}

TEST(LockClass, AMemberIsNamedByItsTypeNotByTheVariable) {
  EXPECT_EQ(lock_class(lock("h->mutex", "Handle")), "Handle::mutex");
  EXPECT_EQ(lock_class(lock("session.handle->mutex", "Handle")), "Handle::mutex");
}

TEST(LockClass, AStaticLockIsItsSymbol) {
  EXPECT_EQ(lock_class(lock("rooms_mutex")), "rooms_mutex");
}

TEST(LockClass, ElementsOfAnArrayAreOneClass) {
  EXPECT_EQ(lock_class(lock("pool[17]")), "pool[]");
  EXPECT_EQ(lock_class(lock("shards[3].lock", "Shard")), "Shard::lock");
}

TEST(LockClass, ABirthplaceHasNoLine) {
  EXPECT_EQ(lock_class(lock("", "init at room.c:12 in room_create")),
            "init at room.c in room_create");
  EXPECT_EQ(lock_class(lock("", "first locked at room_enter+0x1f")), "first locked at room_enter");
}

TEST(LockClass, AnOffsetIntoALibraryIsNoName) {
  EXPECT_EQ(lock_class(lock("", "first locked at libfoo.so.1+0x12f0")), "");
  EXPECT_EQ(lock_class(lock("")), "");
}

TEST(LockClass, TemplatesAndScopesKeepTheirColons) {
  EXPECT_EQ(lock_class(lock("this->m", "ns::Slot<int*>")), "ns::Slot<int*>::m");
}

TEST(LockClass, TerminalsAreSafe) {
  EXPECT_EQ(lock_class(lock("\x1b[2J")).find('\x1b'), std::string::npos);
}

}  // namespace
}  // namespace gordian::report
