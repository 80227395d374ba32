#include "tenancy/containers.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/status.h"
#include "tenancy/errors.h"
#include "tenancy/names.h"
#include "tenancy/paging.h"

namespace meridian::tenancy {
namespace {

constexpr int kMaxAttempts = 10;

absl::Status Overtaken() {
  return absl::UnavailableError("other changes of the container were faster; try again");
}

}  // namespace

absl::StatusOr<std::optional<ContainerCatalog::Stored>> ContainerCatalog::Find(
    TenantId tenant, std::string_view name) {
  ASSIGN_OR_RETURN(std::optional<CatalogStore::Row> name_row,
                   store_.Get(ContainerNameKey(store_.cluster_key(), tenant, name)));
  if (!name_row) return std::nullopt;
  ASSIGN_OR_RETURN(const std::string bytes, DecodeNameRecord(name_row->value));
  const auto id = ContainerId::FromBytes(bytes);
  if (!id) return absl::DataLossError("a container's name record is damaged");
  ASSIGN_OR_RETURN(std::optional<CatalogStore::Row> row, store_.Get(ContainerKey(tenant, *id)));
  if (!row) return std::nullopt;  // deleted in between
  ASSIGN_OR_RETURN(ContainerRecord record, DecodeContainerRecord(row->value));
  return Stored{std::move(record), *std::move(row), *std::move(name_row)};
}

absl::Status ContainerCatalog::Missing(TenantId tenant, std::string_view name) {
  const absl::StatusOr<StoredTenant> stored = tenants_.GetById(tenant);
  RETURN_IF_ERROR(stored.status());
  return MissingError(Resource::kContainer, ContainerResourceName(stored->record.name, name));
}

absl::StatusOr<ContainerCatalog::Stored> ContainerCatalog::MustFind(TenantId tenant,
                                                                    std::string_view name) {
  ASSIGN_OR_RETURN(std::optional<Stored> stored, Find(tenant, name));
  if (!stored) return Missing(tenant, name);
  return *std::move(stored);
}

absl::StatusOr<ContainerRecord> ContainerCatalog::Get(TenantId tenant, std::string_view name) {
  ASSIGN_OR_RETURN(Stored stored, MustFind(tenant, name));
  return std::move(stored.record);
}

absl::StatusOr<StoredContainer> ContainerCatalog::GetStored(TenantId tenant,
                                                            std::string_view name) {
  ASSIGN_OR_RETURN(Stored stored, MustFind(tenant, name));
  return StoredContainer{std::move(stored.record), std::move(stored.row)};
}

absl::StatusOr<std::optional<StoredContainer>> ContainerCatalog::FindById(TenantId tenant,
                                                                          ContainerId container) {
  ASSIGN_OR_RETURN(std::optional<CatalogStore::Row> row,
                   store_.Get(ContainerKey(tenant, container)));
  if (!row) return std::nullopt;
  ASSIGN_OR_RETURN(ContainerRecord record, DecodeContainerRecord(row->value));
  return StoredContainer{std::move(record), *std::move(row)};
}

absl::StatusOr<PreparedChange> ContainerCatalog::PrepareCreate(const NewContainer& new_container) {
  RETURN_IF_ERROR(CheckContainerName(new_container.name));
  ASSIGN_OR_RETURN(StoredTenant tenant, tenants_.GetById(new_container.tenant));
  ASSIGN_OR_RETURN(std::optional<Stored> existing, Find(new_container.tenant, new_container.name));
  if (existing) {
    if (!new_container.request_id.empty() &&
        existing->record.create_request_id == new_container.request_id) {
      return PreparedChange{std::move(existing->record), {}, {}};
    }
    return ExistsError(ContainerResourceName(tenant.record.name, new_container.name));
  }

  PreparedChange change;
  ContainerRecord& record = change.record;
  record.tenant = new_container.tenant;
  record.id = ContainerId::Draw(store_.random());
  record.name = new_container.name;
  record.redundancy = new_container.redundancy;
  record.home_region = new_container.home_region;
  record.versioning = new_container.versioning;
  record.versioning_generation = 1;
  record.create_time = store_.clock().WallNow();
  record.partitions = {{new_container.partition, "", ""}};
  record.partition_generation = 1;
  record.create_request_id = new_container.request_id;
  ASSIGN_OR_RETURN(crypto::WrappedContainerKeys keys,
                   keys_.CreateContainerKeys(record.tenant, tenant.record.wrapped_kek, record.id));
  record.keks = {{keys.kek_version, std::move(keys.wrapped_kek)}};
  record.wrapped_name_key = std::move(keys.wrapped_name_key);

  std::string name_key = ContainerNameKey(store_.cluster_key(), record.tenant, record.name);
  std::string key = ContainerKey(record.tenant, record.id);
  change.compares = {TenantCatalog::Unchanged(tenant), CatalogStore::Absent(name_key),
                     CatalogStore::Absent(key)};
  change.writes = {store_.Put(std::move(name_key), EncodeNameRecord(record.id.bytes())),
                   store_.Put(std::move(key), Encode(record))};
  ++tenant.record.container_count;
  change.writes.push_back(tenants_.Rewrite(std::move(tenant.record)));
  return change;
}

absl::StatusOr<PreparedChange> ContainerCatalog::PrepareDelete(TenantId tenant,
                                                               ContainerId container) {
  ASSIGN_OR_RETURN(StoredTenant stored_tenant, tenants_.GetById(tenant));
  ASSIGN_OR_RETURN(const std::optional<CatalogStore::Row> row,
                   store_.Get(ContainerKey(tenant, container)));
  const absl::Status gone = absl::NotFoundError("the container has been deleted");
  if (!row) return gone;
  ASSIGN_OR_RETURN(const ContainerRecord record, DecodeContainerRecord(row->value));
  ASSIGN_OR_RETURN(Stored stored, MustFind(tenant, record.name));
  if (stored.record.id != container) return gone;  // just now; another one has the name
  if (stored.record.state != ContainerRecord::State::kDeleting) {
    return absl::FailedPreconditionError("the container is not being deleted");
  }
  CHECK_INVARIANT(stored_tenant.record.container_count > 0,
                  "a tenant's count of containers includes the one found");
  PreparedChange change;
  change.record = std::move(stored.record);
  change.compares = {TenantCatalog::Unchanged(stored_tenant), CatalogStore::Unchanged(stored.row),
                     CatalogStore::Unchanged(stored.name_row)};
  change.writes = {CatalogStore::Delete(stored.row.key), CatalogStore::Delete(stored.name_row.key),
                   CatalogStore::Changed(tenant)};
  change.writes.push_back(CatalogStore::Delete(ClosingKey(tenant, container)));
  change.writes.push_back(CatalogStore::Delete(ConvertingKey(tenant, container)));
  --stored_tenant.record.container_count;
  change.writes.push_back(tenants_.Rewrite(std::move(stored_tenant.record)));
  return change;
}

absl::StatusOr<ContainerCatalog::Listing> ContainerCatalog::List(TenantId tenant,
                                                                 const Page& page) {
  RETURN_IF_ERROR(tenants_.GetById(tenant).status());
  ASSIGN_OR_RETURN(const std::vector<CatalogStore::Row> rows,
                   store_.List(kContainerPrefix + tenant.ToHex() + "/"));
  std::vector<ContainerRecord> containers;
  containers.reserve(rows.size());
  for (const CatalogStore::Row& row : rows) {
    ASSIGN_OR_RETURN(ContainerRecord record, DecodeContainerRecord(row.value));
    containers.push_back(std::move(record));
  }
  ASSIGN_OR_RETURN(
      auto cut, Cut(
                    std::move(containers),
                    [](const ContainerRecord& c) -> const std::string& { return c.name; }, store_,
                    "containers/" + tenant.ToHex(), page));
  return Listing{std::move(cut.items), std::move(cut.next_page_token)};
}

template <typename Change>
absl::StatusOr<ContainerRecord> ContainerCatalog::Update(TenantId tenant, std::string_view name,
                                                         Change change) {
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    ASSIGN_OR_RETURN(Stored stored, MustFind(tenant, name));
    if (!change(stored.record)) return std::move(stored.record);
    ASSIGN_OR_RETURN(const bool committed,
                     store_.Commit(tenant, {{CatalogStore::Unchanged(stored.row)},
                                            {store_.Put(stored.row.key, Encode(stored.record))}}));
    if (committed) return std::move(stored.record);
  }
  return Overtaken();
}

absl::StatusOr<ContainerRecord> ContainerCatalog::SetVersioning(TenantId tenant,
                                                                std::string_view name,
                                                                bool versioning) {
  return Update(tenant, name, [versioning](ContainerRecord& record) {
    const bool changed = std::exchange(record.versioning, versioning) != versioning;
    if (!changed && record.versioning_generation > 0) return false;
    ++record.versioning_generation;
    return true;
  });
}

absl::Status ContainerCatalog::AddPartition(TenantId tenant, ContainerId container,
                                            PartitionId parent, const PartitionRange& child) {
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    ASSIGN_OR_RETURN(std::optional<StoredContainer> stored, FindById(tenant, container));
    if (!stored) return absl::NotFoundError("the container has been deleted");
    std::vector<PartitionRange>& ranges = stored->record.partitions;
    const auto find = [&ranges](PartitionId partition) {
      return std::find_if(ranges.begin(), ranges.end(), [partition](const PartitionRange& range) {
        return range.partition == partition;
      });
    };
    if (find(child.partition) != ranges.end()) return absl::OkStatus();
    const auto range = find(parent);
    // It is being split off itself.
    if (range == ranges.end()) return absl::AbortedError("the parent is not in the map yet");
    if (child.start <= range->start || child.end != range->end) {
      return absl::DataLossError("the container's map does not hold the range that was split");
    }
    range->end = child.start;
    ranges.insert(range + 1, child);
    ++stored->record.partition_generation;
    ASSIGN_OR_RETURN(
        const bool committed,
        store_.Commit(tenant, {{CatalogStore::Unchanged(stored->row)},
                               {store_.Put(stored->row.key, Encode(stored->record))}}));
    if (committed) return absl::OkStatus();
  }
  return Overtaken();
}

absl::StatusOr<ContainerRecord> ContainerCatalog::SetState(TenantId tenant, ContainerId container,
                                                           ContainerRecord::State state) {
  const std::string closing = ClosingKey(tenant, container);
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    ASSIGN_OR_RETURN(const std::optional<CatalogStore::Row> row,
                     store_.Get(ContainerKey(tenant, container)));
    if (!row) return absl::NotFoundError("the container has been deleted");
    ASSIGN_OR_RETURN(ContainerRecord record, DecodeContainerRecord(row->value));
    if (std::exchange(record.state, state) == state) return record;
    coordination::Transaction transaction{{CatalogStore::Unchanged(*row)},
                                          {store_.Put(row->key, Encode(record))}};
    transaction.writes.push_back(state == ContainerRecord::State::kDeleting
                                     ? store_.Put(closing, "")
                                     : CatalogStore::Delete(closing));
    ASSIGN_OR_RETURN(const bool committed, store_.Commit(tenant, std::move(transaction)));
    if (committed) return record;
  }
  return Overtaken();
}

}  // namespace meridian::tenancy
