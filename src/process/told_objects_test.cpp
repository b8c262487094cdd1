// SPDX-License-Identifier: Apache-2.0
#include "process/told_objects.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace gordian::process {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr char kGnuMap[] = R"(Archive member included to satisfy reference by file (symbol)

.text.a(member.o)             plain.o (.text)

Discarded input sections

 .text          0x0000000000000000        0xf dropped.o

Linker script and memory map

.plt            0x0000000000001020       0x10
 *(.plt)
 .plt           0x0000000000001020       0x10 /usr/lib/Scrt1.o

.text           0x0000000000001040      0x103
 *(.text .stub .text.* .gnu.linkonce.t.*)
 .text          0x0000000000001040       0x22 told.o
                0x0000000000001040                _start
 .text          0x0000000000001062        0x0 data only.o
 *fill*         0x0000000000001062        0xe 
 .text.a_long_name_of_a_function
                0x0000000000001070       0xb9 lib.a(member.o)

hot             0x0000000000001143        0xf
 hot            0x0000000000001143        0xf with blank.o
                0x0000000000001143                plain_function

hottest         0x0000000000001160        0xf
 hottest        0x0000000000001160        0xf data.o

.rodata         0x0000000000002000        0x4
 .rodata        0x0000000000002000        0x4 constants.o
)";

TEST(ToldObjects, FindWhatBroughtCodeInAMapOfGnuLd) {
  EXPECT_THAT(code_inputs(kGnuMap, {".text"}), ElementsAre("lib.a(member.o)", "told.o"));
  EXPECT_THAT(code_inputs(kGnuMap, {".plt", "hot"}),
              ElementsAre("/usr/lib/Scrt1.o", "with blank.o"));
  EXPECT_THAT(code_inputs(kGnuMap, {}), IsEmpty());
}

TEST(ToldObjects, FindWhatBroughtCodeInAMapOfGold) {
  constexpr char kMap[] = R"(Memory map

.plt            0x0000000000000680       0x20
 ** PLT         0x0000000000000680       0x20

.text           0x00000000000006a0      0x103
 .text          0x00000000000006a0       0x22 told.o
                0x00000000000006a0                main
 ** fill        0x00000000000006c2        0xe
 .text          0x00000000000006d0        0x0 empty.o
)";
  EXPECT_THAT(code_inputs(kMap, {".text", ".plt"}), ElementsAre("told.o"));
}

TEST(ToldObjects, FindWhatBroughtCodeInAMapOfLld) {
  constexpr char kMap[] =
      R"(             VMA              LMA     Size Align Out     In      Symbol
             678              678        4     4 .rodata
             678              678        4     4         constants.o:(.rodata)
            1760             1760      103    16 .text
            1760             1760       22    16         told.o:(.text)
            1760             1760       22     1                 _start
            1849             1849        0     1         note.o:(.text)
            1849             1849        f     1         lib.a(member.o):(.text._Z1fi)
            1849             1849        f     1                 f(int)
            1885             1885        f     1 hot
            1885             1885        f     1         plain.o:(hot)
            18a0             18a0       20    16 .plt
            18a0             18a0       20    16         <internal>:(.plt)
)";
  EXPECT_THAT(code_inputs(kMap, {".text", "hot", ".plt"}),
              ElementsAre("lib.a(member.o)", "plain.o", "told.o"));
  EXPECT_THAT(code_inputs(kMap, {".text"}), ElementsAre("lib.a(member.o)", "told.o"));
}

TEST(ToldObjects, TrustWhatIsTheCompilersByNameAndPlace) {
  const std::vector<std::string> inputs = {"/usr/lib/../lib/crt1.o", "/usr/lib/crtbeginS.o",
                                           "/usr/lib/libgcc.a(x.o)"};
  EXPECT_THAT(find_untold(inputs, {"/no/such/folder", "/usr/lib"}), IsEmpty());
  EXPECT_EQ(find_untold(inputs, {"/usr"}), inputs);
  EXPECT_EQ(find_untold(inputs, {}), inputs);
  EXPECT_THAT(find_untold({"/usr/lib/plain.o", "/no/such/folder/crt1.o", "crt1.o"},
                          {"/usr/lib", "/no/such/folder"}),
              ElementsAre("/usr/lib/plain.o", "/no/such/folder/crt1.o", "crt1.o"));
}

TEST(ToldObjects, FindNothingInWhatIsNoMap) {
  for (const char* text :
       {"", "\n\n", " 0x", ".text", ".text\n 0x 0x", "0 0 0 0", "0 0 1 1 .text\n"})
    EXPECT_THAT(code_inputs(text, {".text"}), IsEmpty()) << text;
  EXPECT_THAT(find_code_sections("/dev/null"), IsEmpty());
  EXPECT_THAT(find_code_sections("/no/such/file"), IsEmpty());
  EXPECT_THAT(find_code_sections("/bin/ls"), testing::Contains(".text"));
  EXPECT_THAT(find_code_sections("/bin/ls"), testing::Not(testing::Contains(".rodata")));
}

}  // namespace
}  // namespace gordian::process
