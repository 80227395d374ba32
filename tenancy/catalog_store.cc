#include "tenancy/catalog_store.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "absl/strings/escaping.h"
#include "base/status.h"
#include "meridian/internal/v1/catalog.pb.h"
#include "tenancy/await.h"
#include "tenancy/errors.h"

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

absl::StatusOr<bool> CatalogStore::Commit(coordination::Transaction transaction) {
  using Result = coordination::CommitResult;
  if (!std::any_of(transaction.writes.begin(), transaction.writes.end(),
                   [](const coordination::Write& write) { return write.key == kChangedKey; })) {
    transaction.writes.push_back(Changed());
  }
  ASSIGN_OR_RETURN(const Result result, Await<Result>(deadline_, [&](auto done) {
                     store_.Commit(std::move(transaction), std::move(done));
                   }));
  return result.succeeded;
}

coordination::Write CatalogStore::Put(std::string key, std::string_view value) {
  std::string sealed = key_.Seal(key, value, random_);
  return {std::move(key), std::move(sealed)};
}

coordination::Write CatalogStore::Changed() { return {kChangedKey, std::string()}; }

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

std::string DeletedTenantKey(TenantId tenant) { return kDeletedTenantPrefix + tenant.ToHex(); }

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
