// SPDX-License-Identifier: Apache-2.0
#include "board.h"

#include <cstdio>
#include <new>
#include <stdexcept>
#include <string_view>
#include <sys/mman.h>
#include <unistd.h>

namespace soak {
namespace {

constexpr unsigned kValueBits = 22;
constexpr uint64_t kValueMask = (1ULL << kValueBits) - 1;

Board* map(int fd) {
  void* const memory = mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) throw std::runtime_error("no memory to share");
  return static_cast<Board*>(memory);
}

}  // namespace

SharedBoard::SharedBoard() : fd_(memfd_create("soak", 0)) {
  if (fd_ < 0 || ftruncate(fd_, sizeof(Board)) != 0) throw std::runtime_error("no memory to share");
  board_ = new (map(fd_)) Board;
}

SharedBoard::SharedBoard(int fd) : fd_(fd), board_(map(fd)) {}

void Board::violation(const std::string& what) {
  const uint64_t number = violations++;
  if (number >= words.size()) return;
  std::snprintf(words[number].data(), words[number].size(), "%s", what.c_str());
}

gordian::redis::client_options options_for(const Board& board, unsigned process) {
  using gordian::redis::topology;
  gordian::redis::client_options options;
  options.servers.clear();
  for (const auto& url : board.urls[process % 2])
    if (url[0] != 0) options.servers.emplace_back(url);
  const std::string_view name = board.topology;
  options.kind = name == "independent" ? topology::independent
                 : name == "sentinel"  ? topology::sentinel
                 : name == "cluster"   ? topology::cluster
                                       : topology::standalone;
  options.sentinel_master = kSentinelMaster;
  options.fencing = board.fencing;
  return options;
}

void raise_to(std::atomic<uint64_t>& word, uint64_t value) {
  uint64_t now = word;
  while (now < value && !word.compare_exchange_weak(now, value)) {
  }
}

FencedStore::FencedStore(Board& board, LockCheck& check, uint64_t token)
    : board_(board), check_(check), token_(token - board.first_token) {
  uint64_t now = check_.stored;
  do {
    if (now >> kValueBits > token_) return;
    read_ = (token_ << kValueBits) | (now & kValueMask);
  } while (!check_.stored.compare_exchange_weak(now, read_));
  open_ = true;
}

bool FencedStore::add_one() {
  uint64_t now = read_;
  const uint64_t next = (token_ << kValueBits) | ((read_ + 1) & kValueMask);
  if (check_.stored.compare_exchange_strong(now, next)) return true;
  if (now >> kValueBits == token_)
    board_.violation("a stale write would be accepted: two acquisitions have token " +
                     std::to_string(token_ + board_.first_token));
  return false;
}

}  // namespace soak
