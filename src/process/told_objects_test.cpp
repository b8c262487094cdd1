// SPDX-License-Identifier: Apache-2.0
#include "process/told_objects.h"

#include "base/file.h"

#include <cstdint>
#include <elf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>
#include <string_view>
#include <unistd.h>

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

template <class T>
std::string_view bytes_of(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

// An object as a compiler or `ld -r` leaves it.
class Object {
 public:
  // `code`: a section for each. `told`: the bytes of the sources. `seals`: of the objects it is
  // made of.
  Object(const std::vector<std::string>& code, std::string_view told, size_t seals) {
    const std::string_view names("\0__tsan_init\0.text\0.gordian.told\0.gordian.seal", 47);
    Elf64_Sym symbols[2] = {};
    symbols[1].st_name = 1;  // of nothing here: undefined
    add(0, SHT_STRTAB, 0, names);
    add(0, SHT_SYMTAB, 0, bytes_of(symbols));
    sections_.back().sh_link = 1;
    sections_.back().sh_entsize = sizeof symbols[0];
    for (const std::string& text : code) add_section_of_code(text);
    add(19, SHT_PROGBITS, SHF_EXCLUDE, told);
    if (seals > 0) add(33, SHT_PROGBITS, SHF_EXCLUDE, std::string(seals * sizeof(uint64_t), '\0'));
    write();
  }

  [[nodiscard]] std::string path() const { return "/proc/self/fd/" + std::to_string(file_.get()); }
  [[nodiscard]] bool tells() const { return find_untold({path()}, {}).empty(); }

  // As a linker that adds a section to what is sealed already.
  void add_code(std::string_view text) {
    std::string seal(sizeof(uint64_t), '\0');
    const Elf64_Shdr& last = sections_.back();
    ASSERT_EQ(pread(file_.get(), seal.data(), seal.size(), static_cast<off_t>(last.sh_offset)),
              static_cast<ssize_t>(seal.size()));
    contents_.replace(last.sh_offset - sizeof(Elf64_Ehdr), seal.size(), seal);
    add_section_of_code(text);
    write();
  }

 private:
  void add_section_of_code(std::string_view text) {
    add(13, SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR, text);
  }

  void add(Elf64_Word name, Elf64_Word type, Elf64_Xword flags, std::string_view contents) {
    Elf64_Shdr header = {};
    header.sh_name = name;
    header.sh_type = type;
    header.sh_flags = flags;
    header.sh_offset = sizeof(Elf64_Ehdr) + contents_.size();
    header.sh_size = contents.size();
    contents_ += contents;
    contents_.resize((contents_.size() + 7) / 8 * 8);
    sections_.push_back(header);
  }

  void write() {
    Elf64_Ehdr head = {};
    for (size_t i = 0; i < SELFMAG; ++i) head.e_ident[i] = static_cast<unsigned char>(ELFMAG[i]);
    head.e_ident[EI_CLASS] = ELFCLASS64;
    head.e_ident[EI_DATA] = ELFDATA2LSB;
    head.e_ident[EI_VERSION] = EV_CURRENT;
    head.e_type = ET_REL;
    head.e_machine = EM_X86_64;
    head.e_version = EV_CURRENT;
    head.e_ehsize = sizeof head;
    head.e_shentsize = sizeof(Elf64_Shdr);
    head.e_shoff = sizeof head + contents_.size();
    head.e_shnum = static_cast<Elf64_Half>(sections_.size());
    head.e_shstrndx = 1;
    std::string all(bytes_of(head));
    all += contents_;
    for (const Elf64_Shdr& section : sections_) all += bytes_of(section);
    ASSERT_EQ(pwrite(file_.get(), all.data(), all.size(), 0), static_cast<ssize_t>(all.size()));
  }

  FileDescriptor file_ = create_nameless();
  std::vector<Elf64_Shdr> sections_ = {Elf64_Shdr{}};
  std::string contents_;
};

TEST(ToldObjects, TellWhenSealedAndAllOfTheirSourcesDo) {
  const Object object({"code", "more"}, "\1", 1);
  EXPECT_FALSE(object.tells()) << "not sealed";
  ASSERT_TRUE(seal_object(object.path()).has_value());
  EXPECT_TRUE(object.tells());

  const Object several({"code"}, "\1\1", 2);
  ASSERT_TRUE(seal_object(several.path()).has_value());
  EXPECT_TRUE(several.tells());

  for (const std::string_view told : {std::string_view("\1\0", 2), std::string_view()}) {
    const Object other({"code"}, told, 1);
    ASSERT_TRUE(seal_object(other.path()).has_value());
    EXPECT_FALSE(other.tells()) << told.size();
  }
  const Object without_room({"code"}, "\1", 0);
  ASSERT_TRUE(seal_object(without_room.path()).has_value());
  EXPECT_FALSE(without_room.tells());
}

TEST(ToldObjects, TellNothingOnceCodeWasAdded) {
  Object object({"code"}, "\1", 1);
  ASSERT_TRUE(seal_object(object.path()).has_value());
  object.add_code("");
  EXPECT_TRUE(object.tells()) << "there is nothing in it";
  Object other({"code"}, "\1", 1);
  ASSERT_TRUE(seal_object(other.path()).has_value());
  other.add_code("added");
  EXPECT_FALSE(other.tells());
}

TEST(ToldObjects, SealNothingElse) {
  EXPECT_TRUE(seal_object("/dev/null").has_value());
  EXPECT_TRUE(seal_object("/no/such/file").has_value());
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
