// SPDX-License-Identifier: Apache-2.0
// Random calls of what copies and fills, against loops that go byte by byte: what they leave in the
// target, in the bytes around it, and what they return. Exits with 1 at the first difference.
//
// The argument: the seed. -fno-builtin: so that each call reaches the library, and each loop stays
// a loop.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <cwchar>

namespace {

constexpr size_t kMost = 600;  // more than two of the pieces that copies are cut into
constexpr size_t kRoom = 64 + 3 * kMost + 64;
constexpr int kRounds = 12000;

// Of the same place in both the library and the model write the same bytes.
alignas(64) char real[kRoom], model[kRoom], before[kRoom];
uint64_t random_state;

uint64_t draw(uint64_t below) {
  random_state = random_state * 6364136223846793005U + 1442695040888963407U;
  return (random_state >> 33) % below;
}

// Short ones often: most mistakes are at the ends.
size_t draw_length() { return draw(2) == 0 ? draw(20) : draw(kMost + 1); }

struct Case {
  const char* name;
  size_t to, from, size;  // places in the room, and bytes
  int byte;
};

void fill_room() {
  for (char& byte : before) byte = static_cast<char>(1 + draw(255));
  for (size_t i = 0; i < kRoom; ++i) real[i] = model[i] = before[i];
}

// A zero at the end of a text, in both rooms.
void end_text(size_t at) { before[at] = real[at] = model[at] = '\0'; }

void fail(const Case& now, const char* what, size_t at) {
  printf("%s(to %zu, from %zu, size %zu, byte %d): %s at %zu\n", now.name, now.to, now.from,
         now.size, now.byte, what, at);
  exit(1);
}

// `returned` and `expected`: places in the room; those that are not there are -1.
void compare(const Case& now, std::ptrdiff_t returned, std::ptrdiff_t expected) {
  for (size_t i = 0; i < kRoom; ++i)
    if (real[i] != model[i]) fail(now, "another byte", i);
  if (returned != expected) fail(now, "returned another place", static_cast<size_t>(returned));
}

std::ptrdiff_t place(const void* result) {
  return result == nullptr ? -1 : static_cast<const char*>(result) - real;
}

// ---- the models

void model_copy(size_t to, size_t from, size_t size) {
  for (size_t i = 0; i < size; ++i) model[to + i] = before[from + i];
}
void model_fill(size_t to, int byte, size_t size) {
  for (size_t i = 0; i < size; ++i) model[to + i] = static_cast<char>(byte);
}
size_t model_length(size_t at, size_t most) {
  size_t length = 0;
  while (length < most && before[at + length] != '\0') ++length;
  return length;
}

// ---- the cases. Places that do not overlap, but for those that may.

Case draw_apart(const char* name, size_t most) {
  const size_t size = most < kMost ? draw(most + 1) : draw_length();
  const size_t low = 64 + draw(64), high = low + kMost + draw(64);
  const bool is_up = draw(2) == 0;
  return {name, is_up ? high : low, is_up ? low : high, size, static_cast<int>(draw(256))};
}
Case draw_overlapping(const char* name) {
  const size_t size = draw_length();
  return {name, 64 + draw(size + 64), 64 + draw(size + 64), size, 0};
}

// What copies a number of bytes and returns the target, or its end.
template <typename Copy>
void try_copy(Case now, Copy copy, bool returns_end) {
  void* const result = copy(real + now.to, real + now.from, now.size);
  model_copy(now.to, now.from, now.size);
  compare(now, place(result), static_cast<std::ptrdiff_t>(now.to + (returns_end ? now.size : 0)));
}

template <typename Copy>
void try_wide_copy(Case now, Copy copy) {
  // The rooms are aligned, and so are wide texts.
  now.to &= ~size_t{3};
  now.from &= ~size_t{3};
  now.size /= sizeof(wchar_t);
  void* const result = copy(reinterpret_cast<wchar_t*>(real + now.to),
                            reinterpret_cast<const wchar_t*>(real + now.from), now.size);
  model_copy(now.to, now.from, now.size * sizeof(wchar_t));
  compare(now, place(result), static_cast<std::ptrdiff_t>(now.to));
}

void try_fill(Case now) {
  void* const result = memset(real + now.to, now.byte, now.size);
  model_fill(now.to, now.byte, now.size);
  compare(now, place(result), static_cast<std::ptrdiff_t>(now.to));
}

void try_copy_until(Case now) {
  size_t found = 0;
  while (found < now.size && before[now.from + found] != static_cast<char>(now.byte)) ++found;
  const bool is_found = found < now.size;
  const size_t copied = is_found ? found + 1 : now.size;
  void* const result = memccpy(real + now.to, real + now.from, now.byte, now.size);
  model_copy(now.to, now.from, copied);
  compare(now, place(result), is_found ? static_cast<std::ptrdiff_t>(now.to + copied) : -1);
}

// `size` is the length of the text.
template <typename Copy>
void try_text(Case now, Copy copy, bool returns_end) {
  end_text(now.from + now.size);
  const void* const result = copy(real + now.to, real + now.from);
  model_copy(now.to, now.from, now.size + 1);
  compare(now, place(result), static_cast<std::ptrdiff_t>(now.to + (returns_end ? now.size : 0)));
}

// Sometimes the text is longer than what is asked for, and does not end at all.
template <typename Copy>
void try_start(Case now, Copy copy, bool returns_end) {
  const size_t zero = draw_length();
  if (draw(4) != 0 && zero < kMost) end_text(now.from + zero);
  const size_t length = model_length(now.from, now.size);
  const void* const result = copy(real + now.to, real + now.from, now.size);
  model_copy(now.to, now.from, length);
  model_fill(now.to + length, 0, now.size - length);
  compare(now, place(result), static_cast<std::ptrdiff_t>(now.to + (returns_end ? length : 0)));
}

void try_append(Case now, bool is_whole) {
  const size_t had = draw(kMost - now.size);
  end_text(now.to + had);
  const size_t zero = is_whole ? now.size : draw(kMost);
  if (is_whole || draw(4) != 0) end_text(now.from + zero);
  const size_t length = is_whole ? now.size : model_length(now.from, now.size);
  char* const to = real + now.to;
  const char* const result =
      is_whole ? strcat(to, real + now.from) : strncat(to, real + now.from, now.size);
  model_copy(now.to + had, now.from, length);
  model_fill(now.to + had + length, 0, 1);
  compare(now, place(result), static_cast<std::ptrdiff_t>(now.to));
}

void try_one(uint64_t which) {
  fill_room();
  switch (which) {
    case 0:
      return try_copy(draw_apart("memcpy", kMost), memcpy, false);
    case 1:
      return try_copy(draw_overlapping("memmove"), memmove, false);
    case 2:
      return try_copy(draw_apart("mempcpy", kMost), mempcpy, true);
    case 3:
      return try_copy_until(draw_apart("memccpy", kMost));
    case 4:
      return try_fill(draw_apart("memset", kMost));
    case 5:
      return try_wide_copy(draw_apart("wmemcpy", kMost), wmemcpy);
    case 6:
      return try_wide_copy(draw_overlapping("wmemmove"), wmemmove);
    case 7:
      return try_text(draw_apart("strcpy", kMost - 1), strcpy, false);
    case 8:
      return try_text(draw_apart("stpcpy", kMost - 1), stpcpy, true);
    case 9:
      return try_start(draw_apart("strncpy", kMost), strncpy, false);
    case 10:
      return try_start(draw_apart("stpncpy", kMost), stpncpy, true);
    case 11:
      return try_append(draw_apart("strcat", kMost - 2), true);
    default:
      return try_append(draw_apart("strncat", kMost - 2), false);
  }
}

}  // namespace

int main(int argc, char** argv) {
  random_state = argc > 1 ? strtoull(argv[1], nullptr, 10) : 1;
  for (int round = 0; round < kRounds; ++round) try_one(draw(13));
}
