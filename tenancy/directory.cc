#include "tenancy/directory.h"

#include <atomic>
#include <functional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "base/status.h"
#include "tenancy/errors.h"

namespace meridian::tenancy {
namespace {

// After the store could not be read, one caller in this time tries again; the others are served
// what is known without waiting.
constexpr absl::Duration kProbeInterval = absl::Seconds(1);

// Whether the store answers. Thread-safe.
class StoreHealth {
 public:
  // Whether to ask the store at `now`.
  bool ShouldAsk(absl::Duration now) {
    absl::MutexLock lock(&mutex_);
    if (answers_) return true;
    if (now < next_probe_) return false;
    next_probe_ = now + kProbeInterval;
    return true;
  }
  void Record(bool answered, absl::Duration now) {
    absl::MutexLock lock(&mutex_);
    answers_ = answered;
    if (!answered) next_probe_ = now + kProbeInterval;
  }

 private:
  absl::Mutex mutex_;
  bool answers_ ABSL_GUARDED_BY(mutex_) = true;
  absl::Duration next_probe_ ABSL_GUARDED_BY(mutex_);
};

// What was read, when, and how many changes had been announced by then.
template <typename Value>
struct Known {
  std::shared_ptr<const Value> value;
  absl::Duration fresh_until;
  uint64_t changes_seen = 0;
};

}  // namespace

class Directory::Impl {
 public:
  Impl(CatalogStore& store, TenantCatalog& tenants, ContainerCatalog& containers,
       crypto::KeyHierarchy& keys, Options options)
      : options_(options),
        clock_(store.clock()),
        tenants_(tenants),
        containers_(containers),
        keys_(keys),
        known_tenants_(clock_, options.max_entries),
        known_containers_(clock_, options.max_entries),
        tenant_watch_(store.coordination().Watch(kTenantPrefix, [this] { ++changes_; })),
        container_watch_(store.coordination().Watch(kContainerPrefix, [this] { ++changes_; })) {}

  absl::StatusOr<std::shared_ptr<const TenantRecord>> FindTenant(TenantId tenant) {
    return Find<TenantRecord>(known_tenants_, std::string(tenant.bytes()),
                              [&]() -> absl::StatusOr<TenantRecord> {
                                ASSIGN_OR_RETURN(StoredTenant stored, tenants_.GetById(tenant));
                                return std::move(stored.record);
                              });
  }

  absl::StatusOr<std::shared_ptr<const Container>> FindContainer(TenantId tenant,
                                                                 std::string_view name) {
    return Find<Container>(known_containers_, std::string(tenant.bytes()).append(name),
                           [&] { return ReadContainer(tenant, name); });
  }

  absl::StatusOr<std::shared_ptr<const crypto::ContainerKeys>> OpenKeys(const Container& container,
                                                                        uint32_t kek_version) {
    ASSIGN_OR_RETURN(const crypto::WrappedContainerKeys wrapped,
                     container.record.KeysOf(kek_version));
    return keys_.OpenContainer(container.tenant.id, container.tenant.wrapped_kek,
                               container.record.id, wrapped);
  }

 private:
  absl::StatusOr<Container> ReadContainer(TenantId tenant, std::string_view name) {
    ASSIGN_OR_RETURN(ContainerRecord record, containers_.Get(tenant, name));
    ASSIGN_OR_RETURN(StoredTenant stored, tenants_.GetById(tenant));
    if (record.state != ContainerRecord::State::kActive) {
      return MissingError(Resource::kContainer, ContainerResourceName(stored.record.name, name));
    }
    return Container{std::move(stored.record), std::move(record)};
  }

  // What is known under `key`, read again by `read` if it is not fresh. Only the store's silence
  // makes a stale answer good: that something is missing is believed at once.
  template <typename Value, typename Read>
  absl::StatusOr<std::shared_ptr<const Value>> Find(ExpiringCache<Known<Value>>& cache,
                                                    std::string key, Read read) {
    const absl::Duration now = clock_.MonotonicNow();
    const uint64_t changes = changes_.load();
    const auto known = cache.Get(key);
    if (known) {
      const bool fresh = now < known->value.fresh_until && changes == known->value.changes_seen;
      if (fresh || !health_.ShouldAsk(now)) return known->value.value;
    }
    absl::StatusOr<Value> value = read();
    const bool unavailable = absl::IsUnavailable(value.status());
    health_.Record(!unavailable, clock_.MonotonicNow());
    if (unavailable && known) return known->value.value;
    if (!value.ok()) {
      if (absl::IsNotFound(value.status())) cache.Erase(key);
      return value.status();
    }
    auto shared = std::make_shared<const Value>(*std::move(value));
    cache.Put(std::move(key), {shared, now + options_.lifetime, changes}, absl::InfiniteDuration());
    return shared;
  }

  const Options options_;
  Clock& clock_;
  TenantCatalog& tenants_;
  ContainerCatalog& containers_;
  crypto::KeyHierarchy& keys_;
  StoreHealth health_;
  // Raised by every hint that something changed.
  std::atomic<uint64_t> changes_{0};
  ExpiringCache<Known<TenantRecord>> known_tenants_;
  ExpiringCache<Known<Container>> known_containers_;
  // Last: they change the above until they go.
  const std::unique_ptr<coordination::CoordinationStore::WatchHandle> tenant_watch_;
  const std::unique_ptr<coordination::CoordinationStore::WatchHandle> container_watch_;
};

Directory::Directory(CatalogStore& store, TenantCatalog& tenants, ContainerCatalog& containers,
                     crypto::KeyHierarchy& keys, Options options)
    : impl_(std::make_unique<Impl>(store, tenants, containers, keys, options)) {}

Directory::~Directory() = default;

absl::StatusOr<std::shared_ptr<const TenantRecord>> Directory::FindTenant(TenantId tenant) {
  return impl_->FindTenant(tenant);
}

absl::StatusOr<std::shared_ptr<const Directory::Container>> Directory::FindContainer(
    TenantId tenant, std::string_view name) {
  return impl_->FindContainer(tenant, name);
}

absl::StatusOr<std::shared_ptr<const crypto::ContainerKeys>> Directory::OpenKeys(
    const Container& container, uint32_t kek_version) {
  return impl_->OpenKeys(container, kek_version);
}

}  // namespace meridian::tenancy
