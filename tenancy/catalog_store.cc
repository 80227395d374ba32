#include "tenancy/catalog_store.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "meridian/internal/v1/catalog.pb.h"
#include "tenancy/await.h"
#include "tenancy/errors.h"
#include "tenancy/records.h"

namespace meridian::tenancy {
namespace {

constexpr std::string_view kPageTokenContext = "page token";

}  // namespace

absl::StatusOr<CatalogStore::Row> CatalogStore::Open(const coordination::KeyValue& stored) {
  absl::StatusOr<std::string> value = key_.Open(stored.key, stored.value);
  if (!value.ok()) return Annotate(value.status(), "reading " + stored.key);
  return Row{stored.key, *std::move(value), stored.mod_revision};
}

absl::StatusOr<std::optional<CatalogStore::Row>> CatalogStore::Get(std::string key) {
  using Found = std::optional<coordination::KeyValue>;
  ASSIGN_OR_RETURN(const Found found, Await<Found>(deadline_, [&](auto done) {
                     store_.Get(std::move(key), std::move(done));
                   }));
  if (!found) return std::nullopt;
  ASSIGN_OR_RETURN(Row row, Open(*found));
  return row;
}

absl::StatusOr<std::vector<CatalogStore::Row>> CatalogStore::List(std::string prefix) {
  using Found = std::vector<coordination::KeyValue>;
  ASSIGN_OR_RETURN(const Found found, Await<Found>(deadline_, [&](auto done) {
                     store_.List(std::move(prefix), std::move(done));
                   }));
  std::vector<Row> rows;
  rows.reserve(found.size());
  for (const coordination::KeyValue& stored : found) {
    ASSIGN_OR_RETURN(Row row, Open(stored));
    rows.push_back(std::move(row));
  }
  return rows;
}

absl::StatusOr<std::vector<CatalogStore::Row>> CatalogStore::ListKeys(std::string prefix) {
  using Found = std::vector<coordination::KeyValue>;
  ASSIGN_OR_RETURN(const Found found, Await<Found>(deadline_, [&](auto done) {
                     store_.List(std::move(prefix), std::move(done));
                   }));
  std::vector<Row> rows;
  rows.reserve(found.size());
  for (const coordination::KeyValue& stored : found) {
    rows.push_back({stored.key, "", stored.mod_revision});
  }
  return rows;
}

absl::StatusOr<bool> CatalogStore::Commit(TenantId tenant, coordination::Transaction transaction) {
  coordination::Write changed = Changed(tenant);
  if (!std::any_of(transaction.writes.begin(), transaction.writes.end(),
                   [&](const coordination::Write& write) { return write.key == changed.key; })) {
    transaction.writes.push_back(std::move(changed));
  }
  return CommitUntold(std::move(transaction));
}

absl::StatusOr<bool> CatalogStore::CommitUntold(coordination::Transaction transaction) {
  using Result = coordination::CommitResult;
  const absl::StatusOr<Result> result = Await<Result>(
      deadline_, [&](auto done) { store_.Commit(std::move(transaction), std::move(done)); });
  if (absl::IsResourceExhausted(result.status())) return StoreFullError(result.status());
  RETURN_IF_ERROR(result.status());
  return result->succeeded;
}

coordination::Write CatalogStore::Put(std::string key, std::string_view value) {
  std::string sealed = key_.Seal(key, value, random_);
  return {std::move(key), std::move(sealed)};
}

absl::Status CatalogStore::AddRemoval(TenantId tenant, std::variant<AccessKeyId, TenantId> removed,
                                      coordination::Transaction& transaction) {
  const std::string key = RemovedKey(StripeOf(tenant));
  ASSIGN_OR_RETURN(const std::optional<Row> row, Get(key));
  Removals removals;
  if (row) {
    ASSIGN_OR_RETURN(removals, DecodeRemovals(row->value));
  }
  removals.Add(removed);
  transaction.compares.push_back(row ? Unchanged(*row) : Absent(key));
  transaction.writes.push_back(Put(key, Encode(removals)));
  return absl::OkStatus();
}

coordination::Write CatalogStore::Changed(TenantId tenant) {
  return {ChangedKey(StripeOf(tenant)), std::string()};
}

std::string CatalogStore::SealPageToken(std::string_view scope, std::string_view last) {
  internal::v1::PageToken message;
  message.set_scope(std::string(scope));
  message.set_last(std::string(last));
  const std::string sealed = key_.Seal(kPageTokenContext, message.SerializeAsString(), random_);
  return absl::WebSafeBase64Escape(sealed);
}

absl::StatusOr<std::string> CatalogStore::OpenPageToken(std::string_view scope,
                                                        std::string_view token) {
  if (token.empty()) return std::string();
  std::string sealed;
  if (!absl::WebSafeBase64Unescape(ToAbsl(token), &sealed)) return InvalidPageTokenError();
  const absl::StatusOr<std::string> opened = key_.Open(kPageTokenContext, sealed);
  internal::v1::PageToken message;
  if (!opened.ok() || !message.ParseFromString(*opened) || message.scope() != scope) {
    return InvalidPageTokenError();
  }
  return message.last();
}

size_t StripeOf(TenantId tenant) { return static_cast<uint8_t>(tenant.bytes()[0]) % kStripes; }

std::string ChangedKey(size_t stripe) {
  return absl::StrCat(kChangesPrefix, "any/", absl::Hex(stripe, absl::kZeroPad2));
}

std::string RemovedKey(size_t stripe) {
  return absl::StrCat(kChangesPrefix, "removed/", absl::Hex(stripe, absl::kZeroPad2));
}

std::string DeletedTenantKey(TenantId tenant) { return kDeletedTenantPrefix + tenant.ToHex(); }

std::string ClosingKey(TenantId tenant, ContainerId container) {
  return kClosingPrefix + tenant.ToHex() + "/" + container.ToHex();
}

std::string ConvertingKey(TenantId tenant, ContainerId container) {
  return kConvertingPrefix + tenant.ToHex() + "/" + container.ToHex();
}

std::string TenantKey(TenantId tenant) { return kTenantPrefix + tenant.ToHex(); }

std::string TenantNameKey(const crypto::ClusterKey& key, std::string_view name) {
  return "tenancy/tenant-name/" + key.HashName("tenant", name);
}

std::string AccessKeyKey(AccessKeyId key) { return kAccessKeyPrefix + key.ToHex(); }

std::string ContainerKey(TenantId tenant, ContainerId container) {
  return kContainerPrefix + tenant.ToHex() + "/" + container.ToHex();
}

std::string ContainerNameKey(const crypto::ClusterKey& key, TenantId tenant,
                             std::string_view name) {
  return "tenancy/container-name/" + tenant.ToHex() + "/" +
         key.HashName("container/" + tenant.ToHex(), name);
}

}  // namespace meridian::tenancy
