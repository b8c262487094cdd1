// SPDX-License-Identifier: Apache-2.0
// Build step: hides exported symbols whose name starts with PREFIX from the dynamic linker.
//
//   hide_symbols LIBRARY PREFIX
//
// libgordian.so can stand in for GLib's functions, but a program without GLib must not see any of
// them appear. The dynamic linker skips a definition whose value is zero, so the file carries zero
// and the runtime puts the values back, in memory, once GLib itself is in the process
// (src/runtime/glib_presence.cpp).
#include <cstdio>
#include <cstring>
#include <elf.h>
#include <fcntl.h>
#include <span>
#include <string_view>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace {

int fail(const char* path, const char* why) {
  std::fprintf(stderr, "hide_symbols: %s: %s\n", path, why);
  return 1;
}

// Zeroes the values; returns how many, or -1 if the file has no dynamic symbols.
int hide(char* image, std::string_view prefix) {
  const auto& header = *reinterpret_cast<const Elf64_Ehdr*>(image);
  const std::span sections(reinterpret_cast<const Elf64_Shdr*>(image + header.e_shoff),
                           header.e_shnum);
  for (const Elf64_Shdr& section : sections) {
    if (section.sh_type != SHT_DYNSYM) continue;
    const char* names = image + sections[section.sh_link].sh_offset;
    const std::span symbols(reinterpret_cast<Elf64_Sym*>(image + section.sh_offset),
                            section.sh_size / sizeof(Elf64_Sym));
    int hidden = 0;
    for (Elf64_Sym& symbol : symbols) {
      if (symbol.st_shndx == SHN_UNDEF) continue;
      if (!std::string_view(names + symbol.st_name).starts_with(prefix)) continue;
      symbol.st_value = 0;
      ++hidden;
    }
    return hidden;
  }
  return -1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return fail("usage", "hide_symbols LIBRARY PREFIX");
  const int file = open(argv[1], O_RDWR | O_CLOEXEC);
  struct stat status {};
  if (file < 0 || fstat(file, &status) != 0) return fail(argv[1], "cannot open for writing");
  void* image = mmap(nullptr, static_cast<size_t>(status.st_size), PROT_READ | PROT_WRITE,
                     MAP_SHARED, file, 0);
  if (image == MAP_FAILED) return fail(argv[1], "cannot map");
  if (std::memcmp(image, ELFMAG, SELFMAG) != 0) return fail(argv[1], "not an ELF file");
  if (hide(static_cast<char*>(image), argv[2]) < 0) return fail(argv[1], "no dynamic symbols");
  return 0;
}
