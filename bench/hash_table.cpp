// SPDX-License-Identifier: Apache-2.0
// A lock-heavy hash table: two threads look up, insert and erase under 64 mutexes.
//
// hash_table [operations of each thread]: prints nanoseconds of processor time for one operation.
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace {

struct Entry {
  uint64_t key = 0;
  uint64_t value = 0;
  std::unique_ptr<Entry> next;
};

class Table {
 public:
  void add(uint64_t key, uint64_t amount) {
    Shard& shard = shard_of(key);
    const std::lock_guard hold(shard.mutex);
    Entry* entry = find(shard, key);
    if (entry == nullptr) {
      auto& head = bucket_of(shard, key);
      auto made = std::make_unique<Entry>();
      made->key = key;
      made->next = std::move(head);
      head = std::move(made);
      entry = head.get();
      ++shard.entries;
    }
    entry->value += amount;
  }

  uint64_t get(uint64_t key) {
    Shard& shard = shard_of(key);
    const std::lock_guard hold(shard.mutex);
    const Entry* const entry = find(shard, key);
    return entry == nullptr ? 0 : entry->value;
  }

  void erase(uint64_t key) {
    Shard& shard = shard_of(key);
    const std::lock_guard hold(shard.mutex);
    for (std::unique_ptr<Entry>* at = &bucket_of(shard, key); *at; at = &(*at)->next) {
      if ((*at)->key != key) continue;
      *at = std::move((*at)->next);
      --shard.entries;
      return;
    }
  }

 private:
  static constexpr size_t kShards = 64, kBuckets = 16;
  struct alignas(64) Shard {
    std::mutex mutex;
    uint64_t entries = 0;
    std::array<std::unique_ptr<Entry>, kBuckets> buckets;
  };

  Shard& shard_of(uint64_t key) { return shards_[key % kShards]; }
  static std::unique_ptr<Entry>& bucket_of(Shard& shard, uint64_t key) {
    return shard.buckets[key / kShards % kBuckets];
  }
  static Entry* find(Shard& shard, uint64_t key) {
    Entry* entry = bucket_of(shard, key).get();
    while (entry != nullptr && entry->key != key) entry = entry->next.get();
    return entry;
  }

  std::array<Shard, kShards> shards_;
};

constexpr uint64_t kKeys = 8192;  // eight in a bucket

uint64_t work(Table& table, uint64_t seed, long operations) {
  uint64_t sum = 0;
  for (long i = 0; i < operations; ++i) {
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    const uint64_t key = seed % kKeys;
    switch (seed >> 32 & 15) {
      case 0:
        table.erase(key);
        break;
      case 1:
      case 2:
      case 3:
        table.add(key, 1);
        break;
      default:
        sum += table.get(key);
    }
  }
  return sum;
}

}  // namespace

int main(int argc, char** argv) {
  const long operations = argc > 1 ? std::atol(argv[1]) : 1'000'000;
  const auto table = std::make_unique<Table>();
  for (uint64_t key = 0; key < kKeys; ++key) table->add(key, key);
  const std::clock_t begin = std::clock();
  uint64_t first = 0, second = 0;
  std::thread other([&] { second = work(*table, 88172645463325252U, operations); });
  first = work(*table, 362436069362436069U, operations);
  other.join();
  const double took = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
  std::printf("%.1f\n", took * 1e9 / static_cast<double>(2 * operations));
  return first + second == 0 ? 1 : 0;
}
