// What was read of the catalog, kept for as long as it holds. For this folder's own use.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/expiring_cache.h"
#include "tenancy/catalog_changes.h"

namespace meridian::tenancy {

// The least recently used entry makes room; nothing goes by time. A value is read again once after
// what the catalog says of its tenant has changed, by one call; others that come meanwhile, and all
// while the store is silent (I12), are served what was known, and what was not known is
// UNAVAILABLE. So only what may be old for a while belongs here: nothing that a revocation takes
// away. Thread-safe.
template <typename Value>
class CatalogCache {
 public:
  // `changes` and `clock` outlive it.
  CatalogCache(CatalogChanges& changes, Clock& clock, size_t max_entries)
      : changes_(changes), clock_(clock), known_(clock, max_entries) {}

  // `read` gets the value from the store. Only the store's silence makes an old value good: that
  // there is none (NOT_FOUND) is believed at once, and is not kept.
  // What was read longer than `max_age` ago is read again in any case.
  absl::StatusOr<std::shared_ptr<const Value>> Find(
      TenantId tenant, std::string key, const std::function<absl::StatusOr<Value>()>& read,
      absl::Duration max_age = absl::InfiniteDuration()) {
    const uint64_t count = changes_.count(tenant);
    const auto known = known_.Get(key);
    const absl::Duration now = clock_.MonotonicNow();
    if (known && known->value.count == count && now - known->value.read_at <= max_age) {
      return known->value.value;
    }
    if (!changes_.store_answers()) {
      if (known) return known->value.value;
      return absl::UnavailableError("the coordination store does not answer");
    }
    if (known && known->value.being_read->exchange(true)) return known->value.value;
    absl::StatusOr<Value> value = read();
    if (known) known->value.being_read->store(false);
    if (absl::IsUnavailable(value.status())) {
      changes_.StoreFailed();
      if (known) return known->value.value;
    }
    if (!value.ok()) {
      if (absl::IsNotFound(value.status())) known_.Erase(key);
      return value.status();
    }
    auto shared = std::make_shared<const Value>(*std::move(value));
    known_.Put(std::move(key), {shared, count, now, std::make_shared<std::atomic<bool>>(false)},
               absl::InfiniteDuration());
    return shared;
  }

 private:
  struct Known {
    std::shared_ptr<const Value> value;
    uint64_t count = 0;  // of the tenant's changes, before it was read
    absl::Duration read_at;
    std::shared_ptr<std::atomic<bool>> being_read;
  };

  CatalogChanges& changes_;
  Clock& clock_;
  ExpiringCache<Known> known_;
};

}  // namespace meridian::tenancy
