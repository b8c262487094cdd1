// SPDX-License-Identifier: Apache-2.0
// A file's bytes: mapped, or, of a pipe, read to its end.
#pragma once

#include "base/result.h"

#include <memory>
#include <string>
#include <string_view>

namespace gordian::trace {

class MappedFile {
 public:
  // Errors name the path.
  static Result<std::shared_ptr<const MappedFile>> open(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  [[nodiscard]] std::string_view bytes() const { return bytes_; }

 private:
  MappedFile() = default;

  void* address_ = nullptr;
  std::string copy_;  // of what cannot be mapped
  std::string_view bytes_;
};

}  // namespace gordian::trace
