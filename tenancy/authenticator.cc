#include "tenancy/authenticator.h"

#include <optional>
#include <set>
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
      keys_(store.clock(), options.max_entries),
      unknown_(store.clock(), options.max_unknown_entries),
      listening_(changes.Listen([this](const Removed& removed) { Forget(removed); })) {}

void Authenticator::Forget(const Removed& removed) {
  for (const AccessKeyId& key : removed.keys) {
    // For good: ids do not come back. The store need not be asked, which may be slow.
    if (keys_.Get(key.bytes())) {
      unknown_.Put(std::string(key.bytes()), true, absl::InfiniteDuration());
    }
    keys_.Erase(key.bytes());
  }
  if (removed.tenants.empty() && removed.stripes.empty()) return;
  const std::set<TenantId> tenants(removed.tenants.begin(), removed.tenants.end());
  const std::set<size_t> stripes(removed.stripes.begin(), removed.stripes.end());
  keys_.EraseIf([&](std::string_view, const Record& record) {
    return tenants.contains(record->tenant) || stripes.contains(StripeOf(record->tenant));
  });
}

bool Authenticator::IsUnknown(AccessKeyId key) { return unknown_.Get(key.bytes()).has_value(); }

absl::StatusOr<Authenticator::Record> Authenticator::Read(AccessKeyId key) {
  if (changes_.store_silent()) {
    return absl::UnavailableError("the coordination store does not answer");
  }
  if (IsUnknown(key)) return nullptr;
  const uint64_t removals = changes_.removals();
  const auto row = store_.Get(AccessKeyKey(key));
  if (absl::IsUnavailable(row.status())) changes_.StoreFailed();
  RETURN_IF_ERROR(row.status());
  if (!*row) {
    keys_.Erase(key.bytes());
    unknown_.Put(std::string(key.bytes()), true,
                 store_.clock().MonotonicNow() + options_.unknown_lifetime);
    return nullptr;
  }
  ASSIGN_OR_RETURN(AccessKeyRecord decoded, DecodeAccessKeyRecord((*row)->value));
  auto record = std::make_shared<const AccessKeyRecord>(std::move(decoded));
  keys_.Put(std::string(key.bytes()), record, absl::InfiniteDuration());
  // Forget may have been told of it before it was put.
  if (changes_.removals() != removals) keys_.Erase(key.bytes());
  return record;
}

absl::StatusOr<Authenticator::Record> Authenticator::Find(AccessKeyId key) {
  if (IsUnknown(key)) return nullptr;
  if (const auto known = keys_.Get(key.bytes())) return known->value;
  if (!changes_.store_answers()) {
    return absl::UnavailableError("the coordination store does not answer");
  }
  return Read(key);
}

absl::Status Authenticator::Learn(AccessKeyId key) { return Find(key).status(); }

absl::StatusOr<Principal> Authenticator::Authenticate(std::string_view token) {
  return Check(token, &Authenticator::Find);
}

absl::StatusOr<Principal> Authenticator::AuthenticateNow(std::string_view token) {
  return Check(token, &Authenticator::Read);
}

absl::StatusOr<Principal> Authenticator::Check(
    std::string_view token, absl::StatusOr<Record> (Authenticator::*find)(AccessKeyId)) {
  std::optional<AccessToken> parsed = AccessToken::Parse(token);
  if (!parsed) return InvalidAccessKeyError();
  const absl::StatusOr<Record> found = (this->*find)(parsed->key);
  if (!found.ok()) return Annotate(found.status(), "checking the access key");
  const Record& record = *found;
  // An unknown key's secret is compared too, with nothing, so that both take the same time.
  const bool right = store_.cluster_key().VerifySecret(
      parsed->secret, record == nullptr ? std::string_view() : record->secret_hash);
  crypto::SecureZero(parsed->secret);
  if (record == nullptr || !right) return InvalidAccessKeyError();
  return Principal{record->tenant.is_nil(), record->tenant, record->id};
}

}  // namespace meridian::tenancy
