// SPDX-License-Identifier: Apache-2.0
#include "process/type_path.h"

#include <gtest/gtest.h>

namespace gordian::process {
namespace {

using Kind = PathPart::Kind;

PathPart member(std::string name, std::string owner = "Owner") {
  return {.kind = Kind::Member, .name = std::move(name), .owner = std::move(owner), .index = 0};
}
PathPart index(uint64_t i) { return {.kind = Kind::Index, .name = {}, .owner = {}, .index = i}; }
PathPart follow(Kind kind) { return {.kind = kind, .name = {}, .owner = {}, .index = 0}; }

std::string rendered(const std::string& variable, const TypePath& path) {
  const std::optional<PathName> name = render_path(variable, path);
  return name ? name->name : "";
}

TEST(RenderPath, JoinsMembersPointersAndIndices) {
  const PathPart pointer = follow(Kind::Pointer);
  const PathPart reference = follow(Kind::Reference);
  EXPECT_EQ(rendered("room", {pointer, member("mutex")}), "room->mutex");
  EXPECT_EQ(rendered("room", {reference, member("mutex")}), "room.mutex");
  EXPECT_EQ(rendered("g_state", {member("shards"), index(2)}), "g_state.shards[2]");
  EXPECT_EQ(rendered("locks", {index(3)}), "locks[3]");
  EXPECT_EQ(rendered("lock", {}), "lock");
}

TEST(RenderPath, LeavesOutWhatTheStandardLibraryCallsItsOwn) {
  EXPECT_EQ(rendered("conns", {member("_M_impl"), index(3), member("_M_t"), follow(Kind::Pointer),
                               member("mutex_")}),
            "conns[3]->mutex_");
}

TEST(RenderPath, ThisBecomesTheClassOrNothing) {
  const PathPart pointer = follow(Kind::Pointer);
  EXPECT_EQ(rendered("this", {pointer, member("guard_", "Server")}), "Server::guard_");
  EXPECT_EQ(rendered("this", {pointer, member("state", "Server"), member("mutex", "State")}),
            "Server::state.mutex");
  EXPECT_EQ(rendered("this", {pointer, member("peer", "Server"), pointer, member("mutex", "Peer")}),
            "peer->mutex");
}

TEST(RenderPath, ALambdaHasItsCaptures) {
  const PathPart pointer = follow(Kind::Pointer);
  EXPECT_EQ(rendered("__closure", {pointer, member("__room"), pointer, member("mutex")}),
            "room->mutex");
  EXPECT_EQ(rendered("__closure", {pointer, member("__this"), pointer, member("guard_", "Server")}),
            "Server::guard_");
}

TEST(RenderPath, APointerToTheLockItselfIsNoName) {
  EXPECT_EQ(rendered("mutex", {follow(Kind::Pointer)}), "");
  EXPECT_EQ(rendered("holder", {member("_M_device"), follow(Kind::Pointer)}), "");
  EXPECT_EQ(rendered("this", {follow(Kind::Pointer)}), "");
}

TEST(RenderPath, TellsTheTypeOfTheOwner) {
  EXPECT_EQ(render_path("room", {follow(Kind::Pointer), member("mutex", "Room")})->owner_type,
            "Room");
}

}  // namespace
}  // namespace gordian::process
