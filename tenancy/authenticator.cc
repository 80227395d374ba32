#include "tenancy/authenticator.h"

#include <utility>

#include "base/check.h"
#include "base/status.h"
#include "crypto/secret_key.h"
#include "tenancy/access_keys.h"
#include "tenancy/errors.h"

namespace meridian::tenancy {

Authenticator::Authenticator(CatalogStore& store, Options options)
    : store_(store),
      options_(options),
      cache_(store.clock(), options.max_entries),
      watch_(store.coordination().Watch(kAccessKeyPrefix, [this] { cache_.Clear(); })) {
  CHECK_INVARIANT(options.lifetime <= absl::Seconds(5), "a revocation takes 5 seconds at most");
}

Authenticator::~Authenticator() = default;

absl::StatusOr<Authenticator::CachedKey> Authenticator::Find(AccessKeyId key) {
  if (auto found = cache_.Get(key.bytes())) return std::move(found->value);
  // From before the store was asked: a revocation after that is noticed when it expires.
  const absl::Duration expires = store_.clock().MonotonicNow() + options_.lifetime;
  ASSIGN_OR_RETURN(const std::optional<CatalogStore::Row> row, store_.Get(AccessKeyKey(key)));
  CachedKey record;
  if (row) {
    ASSIGN_OR_RETURN(AccessKeyRecord decoded, DecodeAccessKeyRecord(row->value));
    record = std::make_shared<const AccessKeyRecord>(std::move(decoded));
  }
  cache_.Put(std::string(key.bytes()), record, expires);
  return record;
}

absl::StatusOr<Principal> Authenticator::Authenticate(std::string_view token) {
  std::optional<AccessToken> parsed = AccessToken::Parse(token);
  if (!parsed) return InvalidAccessKeyError();
  absl::StatusOr<CachedKey> found = Find(parsed->key);
  if (!found.ok()) return Annotate(found.status(), "checking the access key");
  const CachedKey& record = *found;
  // An unknown key's secret is compared too, with nothing, so that both take the same time.
  const bool right = store_.cluster_key().VerifySecret(
      parsed->secret, record == nullptr ? std::string_view() : record->secret_hash);
  crypto::SecureZero(parsed->secret);
  if (record == nullptr || !right) return InvalidAccessKeyError();
  return Principal{record->tenant.is_nil(), record->tenant, record->id};
}

}  // namespace meridian::tenancy
