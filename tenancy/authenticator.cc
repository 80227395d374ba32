#include "tenancy/authenticator.h"

#include <utility>

#include "base/status.h"
#include "crypto/secret_key.h"
#include "tenancy/access_keys.h"
#include "tenancy/errors.h"

namespace meridian::tenancy {

Authenticator::Authenticator(CatalogStore& store, CatalogChanges& changes, Options options)
    : store_(store, CatalogStore::kLookupDeadline),
      changes_(changes),
      options_(options),
      keys_(changes, store.clock(), options.max_entries),
      unknown_(store.clock(), options.max_unknown_entries) {}

absl::StatusOr<AccessKeyRecord> Authenticator::Read(AccessKeyId key) {
  ASSIGN_OR_RETURN(const std::optional<CatalogStore::Row> row, store_.Get(AccessKeyKey(key)));
  if (!row) return absl::NotFoundError("no such access key");
  return DecodeAccessKeyRecord(row->value);
}

absl::StatusOr<std::shared_ptr<const AccessKeyRecord>> Authenticator::Find(AccessKeyId key) {
  // From before the store is asked: a key that is made after that is noticed.
  const uint64_t count = changes_.count();
  const absl::Duration expires = store_.clock().MonotonicNow() + options_.unknown_lifetime;
  if (const auto unknown = unknown_.Get(key.bytes()); unknown && unknown->value == count) {
    return nullptr;
  }
  auto found = keys_.Find(std::string(key.bytes()), [&] { return Read(key); });
  if (!absl::IsNotFound(found.status())) return found;
  unknown_.Put(std::string(key.bytes()), count, expires);
  return nullptr;
}

absl::StatusOr<Principal> Authenticator::Authenticate(std::string_view token) {
  std::optional<AccessToken> parsed = AccessToken::Parse(token);
  if (!parsed) return InvalidAccessKeyError();
  const absl::StatusOr<std::shared_ptr<const AccessKeyRecord>> found = Find(parsed->key);
  if (!found.ok()) return Annotate(found.status(), "checking the access key");
  const std::shared_ptr<const AccessKeyRecord>& record = *found;
  // An unknown key's secret is compared too, with nothing, so that both take the same time.
  const bool right = store_.cluster_key().VerifySecret(
      parsed->secret, record == nullptr ? std::string_view() : record->secret_hash);
  crypto::SecureZero(parsed->secret);
  if (record == nullptr || !right) return InvalidAccessKeyError();
  return Principal{record->tenant.is_nil(), record->tenant, record->id};
}

}  // namespace meridian::tenancy
