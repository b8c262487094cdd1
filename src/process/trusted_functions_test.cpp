// SPDX-License-Identifier: Apache-2.0
#include "process/trusted_functions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace gordian::process {
namespace {

TEST(TrustedFunctions, KnowThoseThatCarryNothing) {
  for (const char* name : {"malloc", "pthread_mutex_lock", "sqrt", "sqrtf", "sinl", "getpid"})
    EXPECT_TRUE(is_trusted_function(name)) << name;
}

TEST(TrustedFunctions, NotThoseThatAnswerIntoMemoryOrCarrySomethingUnseen) {
  for (const char* name :
       {"read", "recvmsg", "scanf", "aio_read", "process_vm_readv", "getdents64", "remquo",
        "lgamma_r", "", "f", "mq_receive", "strfry", "vfork", "_Fork", "at_quick_exit"})
    EXPECT_FALSE(is_trusted_function(name)) << name;
}

// Not this very program: a sanitizer answers its calls before libc does.
TEST(TrustedFunctions, TellWhatAProgramCallsBesidesThem) {
  const std::vector<std::string> all = find_unfollowed("/bin/ls", {});
  EXPECT_THAT(all, testing::Contains("strlen"));
  EXPECT_THAT(all, testing::Not(testing::Contains("malloc")));
  EXPECT_THAT(find_unfollowed("/bin/ls", {"/lib/x86_64-linux-gnu/libc.so.6"}), testing::IsEmpty());
  EXPECT_THAT(find_unfollowed("/dev/null", {}), testing::IsEmpty());
  EXPECT_THAT(find_unfollowed("/no/such/file", {}), testing::IsEmpty());
}

}  // namespace
}  // namespace gordian::process
