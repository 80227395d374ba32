#include "tenancy/access_keys.h"

#include <algorithm>
#include <utility>

#include "absl/strings/escaping.h"
#include "base/status.h"
#include "crypto/secret_key.h"
#include "tenancy/errors.h"
#include "tenancy/names.h"
#include "tenancy/paging.h"

namespace meridian::tenancy {
namespace {

constexpr std::string_view kTokenPrefix = "mak1_";
constexpr size_t kKeyIdHexBytes = 2 * AccessKeyId::kSize;
constexpr size_t kSecretTextBytes = 43;  // 32 bytes in base64 without padding
constexpr size_t kTokenBytes = kTokenPrefix.size() + kKeyIdHexBytes + 1 + kSecretTextBytes;

constexpr int kMaxAttempts = 10;

absl::Status Overtaken() {
  return absl::UnavailableError("other changes of the tenant were faster; try again");
}

}  // namespace

std::string AccessToken::Format() const {
  std::string text(kTokenPrefix);
  text.append(key.ToHex());
  text.push_back('_');
  text.append(absl::WebSafeBase64Escape(secret));
  return text;
}

std::optional<AccessToken> AccessToken::Parse(std::string_view token) {
  if (token.size() != kTokenBytes || !token.starts_with(kTokenPrefix)) return std::nullopt;
  const auto key = AccessKeyId::FromHex(token.substr(kTokenPrefix.size(), kKeyIdHexBytes));
  if (!key || token[kTokenPrefix.size() + kKeyIdHexBytes] != '_') return std::nullopt;
  AccessToken parsed{*key, {}};
  const std::string_view secret = token.substr(kTokenBytes - kSecretTextBytes);
  if (!absl::WebSafeBase64Unescape(ToAbsl(secret), &parsed.secret) ||
      parsed.secret.size() != kSecretBytes || parsed.Format() != token) {
    return std::nullopt;
  }
  return parsed;
}

CreatedAccessKey DrawAccessKey(CatalogStore& store, TenantId tenant,
                               std::string_view display_name) {
  AccessToken token;
  token.key = AccessKeyId::Draw(store.random());
  const crypto::SecretKey secret = crypto::SecretKey::Draw(store.random());
  token.secret = secret.bytes();
  CreatedAccessKey created;
  created.record.id = token.key;
  created.record.tenant = tenant;
  created.record.secret_hash = store.cluster_key().HashSecret(token.secret);
  created.record.display_name = display_name;
  created.record.create_time = store.clock().WallNow();
  created.token = token.Format();
  crypto::SecureZero(token.secret);
  return created;
}

absl::StatusOr<CreatedAccessKey> AccessKeyCatalog::Create(TenantId tenant,
                                                          std::string_view display_name) {
  RETURN_IF_ERROR(CheckDisplayName(display_name));
  CreatedAccessKey created = DrawAccessKey(store_, tenant, display_name);
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    ASSIGN_OR_RETURN(StoredTenant stored, tenants_.GetById(tenant));
    if (stored.record.access_keys.size() >= kMaxKeysPerTenant) {
      return absl::ResourceExhaustedError(
          "the tenant has 100 access keys, the most there may be: revoke one first");
    }
    const coordination::Compare unchanged = TenantCatalog::Unchanged(stored);
    stored.record.access_keys.push_back(created.record.id);
    ASSIGN_OR_RETURN(
        const bool committed,
        store_.Commit(tenant,
                      {{unchanged},
                       {tenants_.Rewrite(std::move(stored.record)),
                        store_.Put(AccessKeyKey(created.record.id), Encode(created.record))}}));
    if (committed) return created;
  }
  return Overtaken();
}

absl::StatusOr<CreatedAccessKey> AccessKeyCatalog::CreateAdministrator(
    std::string_view display_name) {
  RETURN_IF_ERROR(CheckDisplayName(display_name));
  CreatedAccessKey created = DrawAccessKey(store_, TenantId(), display_name);
  const std::string key = AccessKeyKey(created.record.id);
  ASSIGN_OR_RETURN(const bool committed,
                   store_.Commit(TenantId(), {{CatalogStore::Absent(key)},
                                              {store_.Put(key, Encode(created.record))}}));
  if (!committed) return absl::InternalError("a drawn access key id exists already");
  return created;
}

absl::StatusOr<AccessKeyCatalog::Listing> AccessKeyCatalog::List(TenantId tenant,
                                                                 const Page& page) {
  ASSIGN_OR_RETURN(const StoredTenant stored, tenants_.GetById(tenant));
  std::vector<AccessKeyRecord> keys;
  for (const AccessKeyId& id : stored.record.access_keys) {
    ASSIGN_OR_RETURN(const std::optional<CatalogStore::Row> row, store_.Get(AccessKeyKey(id)));
    if (!row) continue;  // revoked since the tenant was read
    ASSIGN_OR_RETURN(AccessKeyRecord record, DecodeAccessKeyRecord(row->value));
    keys.push_back(std::move(record));
  }
  ASSIGN_OR_RETURN(auto cut,
                   Cut(
                       std::move(keys), [](const AccessKeyRecord& key) { return key.id.ToHex(); },
                       store_, "access-keys/" + tenant.ToHex(), page));
  return Listing{std::move(cut.items), std::move(cut.next_page_token)};
}

absl::StatusOr<AccessKeyRecord> AccessKeyCatalog::Revoke(TenantId tenant, AccessKeyId key) {
  const absl::Status missing = MissingError(Resource::kAccessKey, "accessKeys/" + key.ToHex());
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    ASSIGN_OR_RETURN(const std::optional<CatalogStore::Row> row, store_.Get(AccessKeyKey(key)));
    if (!row) return missing;
    ASSIGN_OR_RETURN(AccessKeyRecord record, DecodeAccessKeyRecord(row->value));
    if (record.tenant != tenant) return missing;
    coordination::Transaction transaction;
    transaction.compares.push_back(CatalogStore::Unchanged(*row));
    transaction.writes.push_back(CatalogStore::Delete(row->key));
    RETURN_IF_ERROR(store_.AddRemoval(tenant, key, transaction));
    if (!tenant.is_nil()) {
      ASSIGN_OR_RETURN(StoredTenant stored, tenants_.GetById(tenant));
      transaction.compares.push_back(TenantCatalog::Unchanged(stored));
      std::erase(stored.record.access_keys, key);
      transaction.writes.push_back(tenants_.Rewrite(std::move(stored.record)));
    }
    ASSIGN_OR_RETURN(const bool revoked, store_.Commit(tenant, std::move(transaction)));
    if (revoked) return record;
  }
  return Overtaken();
}

}  // namespace meridian::tenancy
