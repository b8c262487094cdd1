// SPDX-License-Identifier: Apache-2.0
// A vector for hundreds of millions of small things. A std::vector moves them when it grows: for a
// moment the old and the new are both there, and half of the new has been touched for nothing.
// Memory of that size the kernel can move without copying (realloc), and what was not touched
// takes no room.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <type_traits>
#include <utility>

namespace gordian::analysis {

template <typename T>
class GrowingArray {
  static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>);

 public:
  GrowingArray() = default;
  GrowingArray(GrowingArray&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)),
        size_(std::exchange(other.size_, 0)),
        room_(std::exchange(other.room_, 0)) {}
  GrowingArray& operator=(GrowingArray&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(room_, other.room_);
    return *this;
  }
  ~GrowingArray() { std::free(data_); }

  void push_back(const T& value) {
    if (size_ == room_) make_room(room_ < 16 ? 16 : room_ + room_ / 2);
    data_[size_++] = value;
  }
  // New ones are left as they are.
  void resize(size_t size) {
    if (size > room_) make_room(size);
    size_ = size;
  }

  [[nodiscard]] size_t size() const { return size_; }
  [[nodiscard]] const T* data() const { return data_; }
  [[nodiscard]] const T* begin() const { return data_; }
  [[nodiscard]] const T* end() const { return data_ + size_; }
  T& operator[](size_t index) { return data_[index]; }
  const T& operator[](size_t index) const { return data_[index]; }
  T& back() { return data_[size_ - 1]; }

 private:
  void make_room(size_t room) {
    void* const moved =
        room > SIZE_MAX / sizeof(T) ? nullptr : std::realloc(data_, room * sizeof(T));
    if (moved == nullptr) throw std::bad_alloc();
    data_ = static_cast<T*>(moved);
    room_ = room;
  }

  T* data_ = nullptr;
  size_t size_ = 0;
  size_t room_ = 0;
};

}  // namespace gordian::analysis
