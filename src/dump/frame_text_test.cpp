// SPDX-License-Identifier: Apache-2.0
#include "dump/frame_text.h"

#include <gtest/gtest.h>
#include <string>

namespace gordian::dump {
namespace {

TEST(FrameText, ReadsGdbsFrame) {
  const Frame frame =
      parse_frame("#3  0x00007f10 in ns::f<void (int)> (this=0x55d0, text=\"a) (b\") at x.cpp:12");
  EXPECT_EQ(frame.pc, 0x7f10u);
  EXPECT_EQ(frame.function, "ns::f<void (int)>");
  EXPECT_EQ(frame.args, "this=0x55d0, text=\"a) (b\"");
  EXPECT_EQ(frame.file, "x.cpp");
  EXPECT_EQ(frame.line, 12);
}

TEST(FrameText, ReadsFunctionsThatShowTheirParameters) {
  const Frame frame = parse_frame(
      "#2  0x0000561e23a3eca7 in std::function<void ()>::operator()() const (this=0x7f) at f.h:5");
  EXPECT_EQ(frame.function, "std::function<void ()>::operator()() const");
  EXPECT_EQ(frame.args, "this=0x7f");
  EXPECT_EQ(parse_frame("#1  0x01 in std::thread::join() ()").function, "std::thread::join()");
}

TEST(FrameText, ReadsALibrariesFrameWithoutANumber) {
  const Frame frame = parse_frame("#0  syscall () at ../sysdeps/unix/syscall.S:38");
  EXPECT_EQ(frame.function, "syscall");
  EXPECT_EQ(parse_frame("#2  0x00007f in  () at /lib/libglib-2.0.so.0").module,
            "/lib/libglib-2.0.so.0");
  EXPECT_EQ(parse_frame("#2  0x00007f in ?? () from /lib/libx.so").function, "");
  EXPECT_EQ(parse_frame("#2  0x00007f in ?? () from /lib/libx.so").module, "/lib/libx.so");
}

TEST(FrameText, ReadsEuStackSystemdAndLldb) {
  const Frame eu = parse_frame("#1  0x00007f12 pthread_mutex_lock@@GLIBC_2.2.5 - /lib/libc.so.6");
  EXPECT_EQ(eu.function, "pthread_mutex_lock@@GLIBC_2.2.5");
  EXPECT_EQ(eu.module, "/lib/libc.so.6");
  const Frame placed = parse_frame("#1  0x00007f12 work(int)\n    /src/a.cpp:31:7");
  EXPECT_EQ(placed.function, "work(int)");
  EXPECT_EQ(placed.file, "/src/a.cpp");
  EXPECT_EQ(placed.line, 31);
  const Frame core = parse_frame("#0  0x00007f12 __lll_lock_wait (libc.so.6 + 0x8c7a0)");
  EXPECT_EQ(core.function, "__lll_lock_wait");
  EXPECT_EQ(core.module, "libc.so.6");
  const Frame lldb = parse_frame(
      "  * frame #2: 0x00007f12 app`work(pool=0x0000000000aa0010) + 21 at pool.cpp:44:3");
  EXPECT_EQ(lldb.function, "work");
  EXPECT_EQ(lldb.args, "pool=0x0000000000aa0010");
  EXPECT_EQ(lldb.module, "app");
  EXPECT_EQ(lldb.line, 44);
}

TEST(FrameText, ReadsTheFrameOfARowOfThreads) {
  const Frame frame = parse_frame("0x00007f12 in __lll_lock_wait () from /lib/libpthread.so.0");
  EXPECT_EQ(frame.pc, 0x7f12u);
  EXPECT_EQ(frame.function, "__lll_lock_wait");
}

TEST(FrameText, KnowsAFrameFromProse) {
  EXPECT_EQ(frame_number("#12 0x0 in f ()"), 12);
  EXPECT_EQ(frame_number("  frame #3: 0x0 x`f"), 3);
  EXPECT_FALSE(frame_number("#12: see there"));
  EXPECT_FALSE(frame_number("# 12"));
  EXPECT_FALSE(frame_number("#include <x>"));
  EXPECT_FALSE(frame_number("#99999999999999999999 f ()"));
}

TEST(FrameText, EuStackKnowsFramesWithoutNames) {
  const Frame frame = parse_frame("#5  0x00007f8e452d44a3 - /usr/lib/libstdc++.so.6.0.30");
  EXPECT_EQ(frame.function, "");
  EXPECT_EQ(frame.module, "/usr/lib/libstdc++.so.6.0.30");
}

TEST(FrameText, FindsAnArgumentByItsWholeName) {
  const std::string_view args = "mutex_type=1, mutex=mutex@entry=0x55d0 <rooms+8>, a=@0x10: {...}";
  EXPECT_EQ(find_argument(args, "mutex"), "mutex@entry=0x55d0 <rooms+8>");
  EXPECT_EQ(find_argument("mutex@entry=0x55d0, b=1", "mutex"), "0x55d0");
  EXPECT_EQ(find_argument(args, "a"), "0x10: {...}");
  EXPECT_EQ(find_argument(args, "type"), "");
}

TEST(FrameText, ABracketInAStringIsNone) {
  FrameEnd end;
  end.add("#1 f (s=\"((\", c=40 '(', ");
  EXPECT_TRUE(end.is_open());
  end.add("b=1) at x.c:1");
  EXPECT_FALSE(end.is_open());
}

TEST(FrameText, AnUnfinishedFrameKeepsWhatIsThere) {
  const Frame frame = parse_frame("#1  0x10 in work (pool=0x55d0, job=");
  EXPECT_EQ(frame.function, "work");
  EXPECT_EQ(frame.args, "pool=0x55d0, job=");
}

}  // namespace
}  // namespace gordian::dump
