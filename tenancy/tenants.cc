#include "tenancy/tenants.h"

#include <utility>

#include "base/status.h"
#include "tenancy/errors.h"
#include "tenancy/names.h"
#include "tenancy/paging.h"

namespace meridian::tenancy {
namespace {

// Transactions that another one overtook are tried again this often.
constexpr int kMaxAttempts = 10;

absl::Status Overtaken(std::string_view what) {
  return absl::UnavailableError(std::string(what) + ": other changes were faster; try again");
}

}  // namespace

absl::StatusOr<std::optional<TenantId>> TenantCatalog::FindId(std::string_view name) {
  ASSIGN_OR_RETURN(const std::optional<CatalogStore::Row> row,
                   store_.Get(TenantNameKey(store_.cluster_key(), name)));
  if (!row) return std::nullopt;
  ASSIGN_OR_RETURN(const std::string bytes, DecodeNameRecord(row->value));
  const auto id = TenantId::FromBytes(bytes);
  if (!id) return absl::DataLossError("a tenant's name record is damaged");
  return id;
}

absl::StatusOr<StoredTenant> TenantCatalog::GetById(TenantId id) {
  ASSIGN_OR_RETURN(const std::optional<CatalogStore::Row> row, store_.Get(TenantKey(id)));
  if (!row) return MissingError(Resource::kTenant, TenantResourceName(id.ToHex()));
  ASSIGN_OR_RETURN(TenantRecord record, DecodeTenantRecord(row->value));
  return StoredTenant{std::move(record), row->mod_revision};
}

absl::StatusOr<TenantRecord> TenantCatalog::Get(std::string_view name) {
  ASSIGN_OR_RETURN(const std::optional<TenantId> id, FindId(name));
  if (!id) return MissingError(Resource::kTenant, TenantResourceName(name));
  absl::StatusOr<StoredTenant> tenant = GetById(*id);
  // Deleted in between.
  if (absl::IsNotFound(tenant.status())) {
    return MissingError(Resource::kTenant, TenantResourceName(name));
  }
  RETURN_IF_ERROR(tenant.status());
  return tenant->record;
}

absl::StatusOr<TenantRecord> TenantCatalog::Create(std::string_view name,
                                                   std::string_view display_name,
                                                   std::string_view request_id) {
  RETURN_IF_ERROR(CheckTenantName(name));
  RETURN_IF_ERROR(CheckDisplayName(display_name));
  absl::StatusOr<TenantRecord> existing = Get(name);
  if (existing.ok()) {
    if (!request_id.empty() && existing->create_request_id == request_id) return existing;
    return ExistsError(TenantResourceName(name));
  }
  if (!absl::IsNotFound(existing.status())) return existing.status();

  TenantRecord record;
  record.id = TenantId::Draw(store_.random());
  record.name = name;
  record.display_name = display_name;
  record.create_time = store_.clock().WallNow();
  record.generation = 1;
  record.create_request_id = request_id;
  ASSIGN_OR_RETURN(record.wrapped_kek, keys_.CreateTenantKek(record.id));

  const std::string name_key = TenantNameKey(store_.cluster_key(), name);
  ASSIGN_OR_RETURN(
      const bool created,
      store_.Commit(record.id,
                    {{CatalogStore::Absent(name_key), CatalogStore::Absent(TenantKey(record.id))},
                     {store_.Put(TenantKey(record.id), Encode(record)),
                      store_.Put(name_key, EncodeNameRecord(record.id.bytes()))}}));
  if (created) return record;
  // Another call took the name: the key that was made for this one protects nothing.
  RETURN_IF_ERROR(keys_.DestroyTenantKey(record.id));
  return ExistsError(TenantResourceName(name));
}

absl::StatusOr<TenantCatalog::Listing> TenantCatalog::List(const Page& page) {
  ASSIGN_OR_RETURN(const std::vector<CatalogStore::Row> rows, store_.List(kTenantPrefix));
  std::vector<TenantRecord> tenants;
  tenants.reserve(rows.size());
  for (const CatalogStore::Row& row : rows) {
    ASSIGN_OR_RETURN(TenantRecord record, DecodeTenantRecord(row.value));
    tenants.push_back(std::move(record));
  }
  ASSIGN_OR_RETURN(auto cut, Cut(
                                 std::move(tenants),
                                 [](const TenantRecord& t) -> const std::string& { return t.name; },
                                 store_, "tenants", page));
  return Listing{std::move(cut.items), std::move(cut.next_page_token)};
}

absl::Status TenantCatalog::Delete(std::string_view name) {
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    ASSIGN_OR_RETURN(const TenantRecord found, Get(name));
    ASSIGN_OR_RETURN(const StoredTenant tenant, GetById(found.id));
    if (tenant.record.container_count > 0) {
      return NotEmptyError(TenantResourceName(name) + " has " +
                           std::to_string(tenant.record.container_count) +
                           " containers: delete them first");
    }
    coordination::Transaction transaction;
    transaction.compares.push_back(Unchanged(tenant));
    transaction.writes.push_back(CatalogStore::Delete(TenantKey(found.id)));
    transaction.writes.push_back(
        CatalogStore::Delete(TenantNameKey(store_.cluster_key(), tenant.record.name)));
    for (const AccessKeyId& key : tenant.record.access_keys) {
      transaction.writes.push_back(CatalogStore::Delete(AccessKeyKey(key)));
    }
    transaction.writes.push_back(store_.Put(DeletedTenantKey(found.id), ""));
    RETURN_IF_ERROR(store_.AddRemoval(found.id, found.id, transaction));
    ASSIGN_OR_RETURN(const bool deleted, store_.Commit(found.id, std::move(transaction)));
    if (!deleted) continue;
    // Deleted it is, whatever becomes of the key now: if it stays, DeletedTenants destroys it
    // later.
    DestroyKeyOfDeleted(found.id).IgnoreError();
    return absl::OkStatus();
  }
  return Overtaken("deleting " + TenantResourceName(name));
}

absl::Status TenantCatalog::DestroyKeyOfDeleted(TenantId tenant) {
  const absl::Status destroyed = keys_.DestroyTenantKey(tenant);
  // Gone already; or the KMS cannot (P22): then the KEK went with the tenant's record.
  if (!absl::IsNotFound(destroyed) && !absl::IsUnimplemented(destroyed)) {
    RETURN_IF_ERROR(destroyed);
  }
  return store_.Commit(tenant, {{}, {CatalogStore::Delete(DeletedTenantKey(tenant))}}).status();
}

absl::Status TenantCatalog::DestroyKeysOfDeleted() {
  ASSIGN_OR_RETURN(const std::vector<CatalogStore::Row> rows,
                   store_.ListKeys(kDeletedTenantPrefix));
  absl::Status result;
  for (const CatalogStore::Row& row : rows) {
    const auto tenant = TenantId::FromHex(row.key.substr(sizeof(kDeletedTenantPrefix) - 1));
    result.Update(tenant ? DestroyKeyOfDeleted(*tenant)
                         : absl::DataLossError("malformed key " + row.key));
  }
  return result;
}

coordination::Compare TenantCatalog::Unchanged(const StoredTenant& tenant) {
  return {TenantKey(tenant.record.id), tenant.mod_revision};
}

coordination::Write TenantCatalog::Rewrite(TenantRecord changed) {
  ++changed.generation;
  return store_.Put(TenantKey(changed.id), Encode(changed));
}

}  // namespace meridian::tenancy
