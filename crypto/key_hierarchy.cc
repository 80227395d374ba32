#include "crypto/key_hierarchy.h"

#include "base/random.h"
#include "base/status.h"
#include "crypto/internal/encoding.h"
#include "crypto/kms.h"
#include "crypto/sealing_key.h"

namespace meridian::crypto {
namespace {

std::string RootName(TenantId tenant) { return "tenant/" + tenant.ToHex(); }

std::string TenantKekContext(TenantId tenant) {
  return EncodeFields("tenant kek 1", tenant.bytes());
}

std::string ContainerKeyContext(std::string_view kind, TenantId tenant, ContainerId container,
                                uint32_t kek_version) {
  std::string context = EncodeFields(kind, tenant.bytes(), container.bytes());
  AppendU32(context, kek_version);
  return context;
}

std::string KekContext(TenantId tenant, ContainerId container, uint32_t kek_version) {
  return ContainerKeyContext("container kek 1", tenant, container, kek_version);
}

// The name key is the same under every version of the KEK.
std::string NameKeyContext(TenantId tenant, ContainerId container) {
  return ContainerKeyContext("container name key 1", tenant, container, 0);
}

// Cache keys begin with the tenant's id, so that a tenant's entries can be dropped together.
std::string TenantCacheKey(TenantId tenant, std::string_view wrapped) {
  return std::string(tenant.bytes()).append(wrapped);
}

std::string ContainerCacheKey(TenantId tenant, std::string_view wrapped_tenant_kek,
                              ContainerId container, const WrappedContainerKeys& wrapped) {
  std::string key(tenant.bytes());
  key.append(container.bytes());
  AppendU32(key, wrapped.kek_version);
  AppendField(key, wrapped_tenant_kek);
  AppendField(key, wrapped.wrapped_kek);
  AppendField(key, wrapped.wrapped_name_key);
  return key;
}

}  // namespace

KeyHierarchy::KeyHierarchy(Kms& kms, Clock& clock, Random& random, Options options)
    : kms_(kms),
      clock_(clock),
      random_(random),
      options_(options),
      tenant_keks_(clock, options.max_entries),
      containers_(clock, options.max_entries) {}

absl::StatusOr<std::string> KeyHierarchy::CreateTenantKek(TenantId tenant) {
  RETURN_IF_ERROR(kms_.CreateKey(RootName(tenant)));
  return kms_.Wrap(RootName(tenant), TenantKekContext(tenant), SecretKey::Draw(random_));
}

absl::Status KeyHierarchy::DestroyTenantKey(TenantId tenant) {
  const absl::Status destroyed = kms_.DestroyKey(RootName(tenant));
  ForgetTenant(tenant);
  return destroyed;
}

void KeyHierarchy::ForgetTenant(TenantId tenant) {
  // First: what is put after its tenant was forgotten has seen it rise, and goes again.
  ++forgotten_;
  const auto of_tenant = [tenant](std::string_view key, const auto&) {
    return key.starts_with(tenant.bytes());
  };
  tenant_keks_.EraseIf(of_tenant);
  containers_.EraseIf(of_tenant);
}

std::set<TenantId> KeyHierarchy::CachedTenants() const {
  std::set<TenantId> tenants;
  const auto note = [&tenants](std::string_view key) {
    tenants.insert(*TenantId::FromBytes(key.substr(0, TenantId::kSize)));
  };
  tenant_keks_.ForEachKey(note);
  containers_.ForEachKey(note);
  return tenants;
}

absl::StatusOr<KeyHierarchy::CachedKek::Found> KeyHierarchy::TenantKek(TenantId tenant,
                                                                       std::string_view wrapped) {
  std::string cache_key = TenantCacheKey(tenant, wrapped);
  if (auto found = tenant_keks_.Get(cache_key)) return *found;
  // Counted from before the KMS was asked: its word is no newer than that.
  const uint64_t before = forgotten_;
  const absl::Duration expires = clock_.MonotonicNow() + options_.lifetime;
  absl::StatusOr<SecretKey> kek = kms_.Unwrap(RootName(tenant), TenantKekContext(tenant), wrapped);
  if (!kek.ok()) return Annotate(kek.status(), "unwrapping a tenant's key");
  auto shared = std::make_shared<const SecretKey>(*std::move(kek));
  tenant_keks_.Put(cache_key, shared, expires);
  if (forgotten_ != before) tenant_keks_.Erase(cache_key);
  return CachedKek::Found{std::move(shared), expires};
}

absl::StatusOr<WrappedContainerKeys> KeyHierarchy::CreateContainerKeys(
    TenantId tenant, std::string_view wrapped_tenant_kek, ContainerId container) {
  ASSIGN_OR_RETURN(const CachedKek::Found kek, TenantKek(tenant, wrapped_tenant_kek));
  const SealingKey wrapping(*kek.value);
  WrappedContainerKeys wrapped;
  wrapped.wrapped_kek = wrapping.WrapKey(KekContext(tenant, container, wrapped.kek_version),
                                         SecretKey::Draw(random_), random_);
  wrapped.wrapped_name_key =
      wrapping.WrapKey(NameKeyContext(tenant, container), SecretKey::Draw(random_), random_);
  return wrapped;
}

absl::StatusOr<std::shared_ptr<const ContainerKeys>> KeyHierarchy::OpenContainer(
    TenantId tenant, std::string_view wrapped_tenant_kek, ContainerId container,
    const WrappedContainerKeys& wrapped) {
  std::string cache_key = ContainerCacheKey(tenant, wrapped_tenant_kek, container, wrapped);
  if (auto found = containers_.Get(cache_key)) return found->value;
  const uint64_t before = forgotten_;
  ASSIGN_OR_RETURN(const CachedKek::Found kek, TenantKek(tenant, wrapped_tenant_kek));
  const SealingKey wrapping(*kek.value);
  ASSIGN_OR_RETURN(
      const SecretKey container_kek,
      wrapping.UnwrapKey(KekContext(tenant, container, wrapped.kek_version), wrapped.wrapped_kek));
  ASSIGN_OR_RETURN(const SecretKey name_key,
                   wrapping.UnwrapKey(NameKeyContext(tenant, container), wrapped.wrapped_name_key));
  auto keys = std::make_shared<const ContainerKeys>(tenant, container, wrapped.kek_version,
                                                    container_kek, name_key);
  containers_.Put(cache_key, keys, kek.expires);
  if (forgotten_ != before) containers_.Erase(cache_key);
  return keys;
}

}  // namespace meridian::crypto
