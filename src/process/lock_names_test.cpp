// SPDX-License-Identifier: Apache-2.0
// The names are those of this very file: the child is forked from the test and blocks in it.
#include "process/lock_names.h"

#include "process/blocked_child.h"
#include "process/debug_info.h"
#include "process/modules.h"

#include <array>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

// Things a user might write, outside the namespaces that count as plumbing.
namespace chat {

pthread_mutex_t rooms_mutex = PTHREAD_MUTEX_INITIALIZER;
std::mutex locks[4];

struct State {
  int users = 0;
  std::mutex mutex;
  std::array<std::mutex, 3> shards;
};
State g_state;

struct Connection {
  int fd = 0;
  std::mutex mutex;
};

struct Base {
  virtual ~Base() = default;
  std::mutex base_mutex;
};

class Server : public Base {
 public:
  [[gnu::noinline]] void lock_own(gordian::process::ChildFacts& facts);
  [[gnu::noinline]] void lock_base(gordian::process::ChildFacts& facts);
  [[gnu::noinline]] void lock_connection(gordian::process::ChildFacts& facts);

  int port = 0;
  std::mutex guard;
  std::vector<std::unique_ptr<Connection>> conns;
};

pthread_mutex_t& native(std::mutex& mutex) { return *mutex.native_handle(); }

void Server::lock_own(gordian::process::ChildFacts& facts) {
  gordian::process::block_on(facts, native(guard));
  asm volatile("" ::"r"(this) : "memory");
}

void Server::lock_base(gordian::process::ChildFacts& facts) {
  gordian::process::block_on(facts, native(base_mutex));
  asm volatile("" ::"r"(this) : "memory");
}

void Server::lock_connection(gordian::process::ChildFacts& facts) {
  gordian::process::block_on(facts, native(conns[3]->mutex));
  asm volatile("" ::"r"(this) : "memory");
}

[[gnu::noinline]] void lock_participant(gordian::process::ChildFacts& facts,
                                        Connection* participant) {
  gordian::process::block_on(facts, native(participant->mutex));
  asm volatile("" ::"r"(participant) : "memory");
}

// Says nothing of whose lock it is.
[[gnu::noinline]] void lock_any(gordian::process::ChildFacts& facts, pthread_mutex_t* any) {
  gordian::process::block_on(facts, *any);
  asm volatile("" ::"r"(any) : "memory");
}

[[gnu::noinline]] void lock_through_wrapper(gordian::process::ChildFacts& facts, Connection* peer) {
  lock_any(facts, peer->mutex.native_handle());
  asm volatile("" ::"r"(peer) : "memory");
}

[[gnu::noinline]] void lock_local(gordian::process::ChildFacts& facts) {
  Connection here;
  gordian::process::block_on(facts, native(here.mutex));
  asm volatile("" ::"r"(&here) : "memory");
}

[[gnu::noinline]] void lock_shared(gordian::process::ChildFacts& facts,
                                   const std::shared_ptr<Connection>& shared) {
  gordian::process::block_on(facts, native(shared->mutex));
  asm volatile("" ::"r"(&shared) : "memory");
}

}  // namespace chat

namespace gordian::process {
namespace {

class LockNames : public ::testing::Test {
 protected:
  static bool has_debug_info() {
    Symbols symbols(getpid(), read_modules(getpid()).value_or(std::vector<Module>()));
    uint64_t bias = 0;
    return symbols.debug_info().find_dwarf(reinterpret_cast<uint64_t>(&chat::lock_any), &bias) !=
           nullptr;
  }

  void SetUp() override {
    if (!has_debug_info()) GTEST_SKIP() << "built without debug information";
  }

  static std::optional<LockName> member_name(const std::function<void(ChildFacts&)>& body) {
    const BlockedChild child(body);
    const Symbols symbols(child.pid(), read_modules(child.pid()).value_or(std::vector<Module>()));
    const ProcessMemory memory(child.pid());
    const UnwoundStack stack = unwind(symbols, RegisterSet(child.facts().registers), memory);
    return find_member_name(symbols, child.facts().address, model::ResourceKind::Mutex,
                            {{&stack, &memory}});
  }

  template <typename Lock>
  static std::string static_name(Lock& lock) {
    const Symbols symbols(getpid(), read_modules(getpid()).value_or(std::vector<Module>()));
    const auto name = find_static_member_name(symbols, reinterpret_cast<uint64_t>(&lock),
                                              model::ResourceKind::Mutex);
    return name ? name->name : "";
  }
};

TEST_F(LockNames, AStaticLockIsItsSymbol) {
  EXPECT_EQ(static_name(chat::rooms_mutex), "chat::rooms_mutex");
}

TEST_F(LockNames, AnArrayOfLocksHasIndices) {
  EXPECT_EQ(static_name(chat::locks[0]), "chat::locks[0]");
  EXPECT_EQ(static_name(chat::locks[3]), "chat::locks[3]");
}

TEST_F(LockNames, AMemberOfAStaticObjectHasItsPath) {
  EXPECT_EQ(static_name(chat::g_state.mutex), "chat::g_state.mutex");
  EXPECT_EQ(static_name(chat::g_state.shards[1]), "chat::g_state.shards[1]");
}

TEST_F(LockNames, AStaticLockOfAFunctionNamesTheFunctionToo) {
  static std::mutex once_a_run;
  EXPECT_THAT(static_name(once_a_run), ::testing::EndsWith("TestBody::once_a_run"));
}

TEST_F(LockNames, AParameterThatPointsToTheOwner) {
  const auto name =
      member_name([](ChildFacts& facts) { chat::lock_participant(facts, new chat::Connection); });
  ASSERT_TRUE(name);
  EXPECT_EQ(name->name, "participant->mutex");
  EXPECT_EQ(name->owner_type, "Connection");
}

TEST_F(LockNames, ThisGivesTheClass) {
  const auto name = member_name([](ChildFacts& facts) { (new chat::Server)->lock_own(facts); });
  ASSERT_TRUE(name);
  EXPECT_EQ(name->name, "Server::guard");
  EXPECT_EQ(name->owner_type, "Server");
}

TEST_F(LockNames, AMemberOfABaseBelongsToTheBase) {
  const auto name = member_name([](ChildFacts& facts) { (new chat::Server)->lock_base(facts); });
  ASSERT_TRUE(name);
  EXPECT_EQ(name->name, "Base::base_mutex");
}

TEST_F(LockNames, ThroughAVectorOfPointers) {
  const auto name = member_name([](ChildFacts& facts) {
    auto* server = new chat::Server;
    for (int i = 0; i < 5; ++i) server->conns.push_back(std::make_unique<chat::Connection>());
    server->lock_connection(facts);
  });
  ASSERT_TRUE(name);
  EXPECT_EQ(name->name, "conns[3]->mutex");
  EXPECT_EQ(name->owner_type, "Connection");
}

TEST_F(LockNames, ThroughASharedPointer) {
  const auto name = member_name(
      [](ChildFacts& facts) { chat::lock_shared(facts, std::make_shared<chat::Connection>()); });
  ASSERT_TRUE(name);
  EXPECT_EQ(name->name, "shared->mutex");
}

TEST_F(LockNames, ALocalObject) {
  const auto name = member_name(chat::lock_local);
  ASSERT_TRUE(name);
  EXPECT_EQ(name->name, "here.mutex");
}

TEST_F(LockNames, AWrapperDoesNotNameIt) {
  const auto name = member_name(
      [](ChildFacts& facts) { chat::lock_through_wrapper(facts, new chat::Connection); });
  ASSERT_TRUE(name);
  EXPECT_EQ(name->name, "peer->mutex");
}

TEST_F(LockNames, AnAddressNobodyPointsToHasNoName) {
  const BlockedChild child(
      [](ChildFacts& facts) { chat::lock_participant(facts, new chat::Connection); });
  const Symbols symbols(child.pid(), read_modules(child.pid()).value_or(std::vector<Module>()));
  const ProcessMemory memory(child.pid());
  const UnwoundStack stack = unwind(symbols, RegisterSet(child.facts().registers), memory);
  for (const uint64_t offset : {4, 12, 100, 4096})
    EXPECT_FALSE(find_member_name(symbols, child.facts().address + offset,
                                  model::ResourceKind::Mutex, {{&stack, &memory}}));
}

// Steps, not time: they are the same on every machine, and far from the limit of a search.
TEST_F(LockNames, AnOrdinarySearchTakesFewSteps) {
  const BlockedChild child(
      [](ChildFacts& facts) { chat::lock_participant(facts, new chat::Connection); });
  const Symbols symbols(child.pid(), read_modules(child.pid()).value_or(std::vector<Module>()));
  const ProcessMemory memory(child.pid());
  const UnwoundStack stack = unwind(symbols, RegisterSet(child.facts().registers), memory);
  const auto find = [&](SearchBudget& budget) {
    return find_member_name(symbols, child.facts().address, model::ResourceKind::Mutex,
                            {{&stack, &memory}}, &budget);
  };
  SearchBudget enough(100000);
  EXPECT_TRUE(find(enough));
  SearchBudget too_few(20);
  EXPECT_FALSE(find(too_few));
}

TEST_F(LockNames, AResourceIsNamedOrGetsItsBirthplace) {
  const Symbols symbols(getpid(), read_modules(getpid()).value_or(std::vector<Module>()));
  model::Resource known;
  known.address = reinterpret_cast<uint64_t>(&chat::locks[2]);
  name_resource(symbols, known, {});
  EXPECT_EQ(known.name, "chat::locks[2]");

  model::Resource annotated = known;
  annotated.name = "the second lock";
  name_resource(symbols, annotated, {});
  EXPECT_EQ(annotated.name, "the second lock");

  const auto heap = std::make_unique<std::mutex>();
  model::Resource unknown;
  unknown.address = reinterpret_cast<uint64_t>(heap.get());
  unknown.birth_site = reinterpret_cast<uint64_t>(&chat::lock_any) + 8;
  unknown.born_by_init = true;
  name_resource(symbols, unknown, {});
  EXPECT_EQ(unknown.name, "");
  EXPECT_THAT(unknown.class_name,
              ::testing::MatchesRegex("init at lock_names_test.cpp:[0-9]+ in chat::lock_any"));
}

}  // namespace
}  // namespace gordian::process
