// SPDX-License-Identifier: Apache-2.0
#include "redis/lease_resource.h"

#include "gordian/annotate.h"

#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

namespace gordian::redis {
namespace {

constexpr size_t kMaxResources = 100'000;

struct Resources {
  std::mutex mutex;
  std::unordered_map<std::string, std::unique_ptr<char>> by_key;
};

}  // namespace

const void* lease_resource(std::string_view realm, std::string_view name) {
  if (gordian_annotations_in_use == nullptr) return nullptr;
  // Never destroyed: threads may hold leases while the program ends.
  static Resources& resources = *new Resources;
  std::string key(realm);
  key.append(1, ':').append(name);
  const std::lock_guard lock(resources.mutex);
  if (const auto found = resources.by_key.find(key); found != resources.by_key.end())
    return found->second.get();
  if (resources.by_key.size() >= kMaxResources) return nullptr;
  auto resource = std::make_unique<char>();
  const void* const address = resource.get();
  GORDIAN_CREATED(address);
  GORDIAN_NAMED(address, std::string(name).c_str());
  resources.by_key.emplace(std::move(key), std::move(resource));
  return address;
}

}  // namespace gordian::redis
