#include "tenancy/bootstrap.h"

#include <functional>
#include <utility>

#include "base/status.h"
#include "crypto/cluster_key.h"
#include "meridian/internal/v1/catalog.pb.h"
#include "tenancy/access_keys.h"
#include "tenancy/await.h"
#include "tenancy/catalog_store.h"

namespace meridian::tenancy {
namespace {

constexpr char kClusterKey[] = "cluster";
constexpr uint32_t kFormatVersion = 1;

absl::StatusOr<Cluster> Open(std::string_view encoded, crypto::Kms& kms) {
  internal::v1::ClusterRecord record;
  if (!record.ParseFromArray(encoded.data(), static_cast<int>(encoded.size())) ||
      record.format_version() == 0) {
    return absl::DataLossError("the cluster's record is damaged");
  }
  if (record.format_version() > kFormatVersion) {
    return absl::FailedPreconditionError("the cluster's record is of a newer version");
  }
  const auto id = ClusterId::FromBytes(record.cluster_id());
  if (!id) return absl::DataLossError("the cluster's record is damaged");
  absl::StatusOr<crypto::SecretKey> key =
      crypto::ClusterKey::Unwrap(kms, *id, record.wrapped_cluster_key());
  if (absl::IsNotFound(key.status())) {
    return absl::DataLossError("the KMS has no key that the cluster's could be wrapped by");
  }
  if (!key.ok()) return Annotate(key.status(), "unwrapping the cluster's key");
  return Cluster{*id, *std::move(key), std::nullopt};
}

using Found = std::optional<coordination::KeyValue>;

absl::StatusOr<Found> ReadRecord(coordination::CoordinationStore& store) {
  return Await<Found>(CatalogStore::kDeadline,
                      [&](auto done) { store.Get(kClusterKey, std::move(done)); });
}

absl::Status Exists() { return absl::AlreadyExistsError("the cluster has been made already"); }

}  // namespace

absl::StatusOr<Cluster> OpenCluster(coordination::CoordinationStore& store, crypto::Kms& kms) {
  ASSIGN_OR_RETURN(const Found found, ReadRecord(store));
  if (!found) return absl::NotFoundError("the cluster has not been made");
  return Open(found->value, kms);
}

absl::StatusOr<Cluster> CreateCluster(coordination::CoordinationStore& store, crypto::Kms& kms,
                                      Clock& clock, Random& random) {
  // Before a key is made in the KMS.
  ASSIGN_OR_RETURN(const Found found, ReadRecord(store));
  if (found) return Exists();
  const ClusterId id = ClusterId::Draw(random);
  internal::v1::ClusterRecord record;
  record.set_format_version(kFormatVersion);
  record.set_cluster_id(std::string(id.bytes()));
  ASSIGN_OR_RETURN(*record.mutable_wrapped_cluster_key(),
                   crypto::ClusterKey::CreateWrapped(kms, id, random));
  ASSIGN_OR_RETURN(crypto::SecretKey key,
                   crypto::ClusterKey::Unwrap(kms, id, record.wrapped_cluster_key()));

  const crypto::ClusterKey cluster_key(key);
  CatalogStore catalog(store, cluster_key, random, clock);
  CreatedAccessKey administrator = DrawAccessKey(catalog, TenantId(), "administrator");
  ASSIGN_OR_RETURN(const bool made,
                   catalog.Commit(TenantId(), {{CatalogStore::Absent(kClusterKey)},
                                               {{kClusterKey, record.SerializeAsString()},
                                                catalog.Put(AccessKeyKey(administrator.record.id),
                                                            Encode(administrator.record))}}));
  if (!made) return Exists();
  return Cluster{id, std::move(key), std::move(administrator.token)};
}

absl::StatusOr<Cluster> OpenOrCreateCluster(coordination::CoordinationStore& store,
                                            crypto::Kms& kms, Clock& clock, Random& random) {
  absl::StatusOr<Cluster> cluster = OpenCluster(store, kms);
  if (!absl::IsNotFound(cluster.status())) return cluster;
  cluster = CreateCluster(store, kms, clock, random);
  if (!absl::IsAlreadyExists(cluster.status())) return cluster;
  return OpenCluster(store, kms);
}

}  // namespace meridian::tenancy
