#include "tenancy/directory.h"

#include <string>
#include <utility>

#include "base/status.h"
#include "tenancy/catalog_cache.h"
#include "tenancy/containers.h"
#include "tenancy/errors.h"
#include "tenancy/tenants.h"

namespace meridian::tenancy {

class Directory::Impl {
 public:
  Impl(CatalogStore& store, crypto::KeyHierarchy& keys, CatalogChanges& changes, Options options)
      : keys_(keys),
        store_(store, CatalogStore::kLookupDeadline),
        known_tenants_(changes, store.clock(), options.max_entries),
        known_containers_(changes, store.clock(), options.max_entries) {}

  absl::StatusOr<std::shared_ptr<const TenantRecord>> FindTenant(TenantId tenant) {
    return known_tenants_.Find(tenant, std::string(tenant.bytes()),
                               [&]() -> absl::StatusOr<TenantRecord> {
                                 ASSIGN_OR_RETURN(StoredTenant stored, tenants_.GetById(tenant));
                                 return std::move(stored.record);
                               });
  }

  absl::StatusOr<std::shared_ptr<const Container>> FindContainer(TenantId tenant,
                                                                 std::string_view name,
                                                                 absl::Duration max_age) {
    return known_containers_.Find(
        tenant, std::string(tenant.bytes()).append(name),
        [&] { return ReadContainer(tenant, name); }, max_age);
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

  crypto::KeyHierarchy& keys_;
  CatalogStore store_;
  TenantCatalog tenants_{store_, keys_};
  ContainerCatalog containers_{store_, tenants_, keys_};
  CatalogCache<TenantRecord> known_tenants_;
  CatalogCache<Container> known_containers_;
};

Directory::Directory(CatalogStore& store, crypto::KeyHierarchy& keys, CatalogChanges& changes,
                     Options options)
    : impl_(std::make_unique<Impl>(store, keys, changes, options)) {}

Directory::~Directory() = default;

absl::StatusOr<std::shared_ptr<const TenantRecord>> Directory::FindTenant(TenantId tenant) {
  return impl_->FindTenant(tenant);
}

absl::StatusOr<std::shared_ptr<const Directory::Container>> Directory::FindContainer(
    TenantId tenant, std::string_view name) {
  return impl_->FindContainer(tenant, name, absl::InfiniteDuration());
}

absl::StatusOr<std::shared_ptr<const Directory::Container>> Directory::RereadContainer(
    TenantId tenant, std::string_view name) {
  return impl_->FindContainer(tenant, name, kRereadInterval);
}

absl::StatusOr<std::shared_ptr<const crypto::ContainerKeys>> Directory::OpenKeys(
    const Container& container, uint32_t kek_version) {
  return impl_->OpenKeys(container, kek_version);
}

}  // namespace meridian::tenancy
