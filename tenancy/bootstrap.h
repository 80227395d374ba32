// The first record of a cluster: its id, its key, and the first administrator's key.
#pragma once

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/random.h"
#include "coordination/coordination_store.h"
#include "crypto/kms.h"
#include "crypto/secret_key.h"

namespace meridian::tenancy {

struct Cluster {
  ClusterId id;
  // For crypto::ClusterKey.
  crypto::SecretKey key;
  // Set if this call made the cluster: the administrator's token, which is not kept. If it is lost,
  // AccessKeyCatalog::CreateAdministrator makes another.
  std::optional<std::string> administrator_token;
};

// Reads the cluster's record. Blocks. NOT_FOUND: the cluster has not been made. DATA_LOSS: the KMS
// is not the one that it was made with, or the record is damaged.
absl::StatusOr<Cluster> OpenCluster(coordination::CoordinationStore& store, crypto::Kms& kms);

// Makes cluster and administrator key in one transaction. Blocks. ALREADY_EXISTS: the cluster has
// been made, nothing was changed. UNAVAILABLE: it may have been made.
absl::StatusOr<Cluster> CreateCluster(coordination::CoordinationStore& store, crypto::Kms& kms,
                                      Clock& clock, Random& random);

// Opens it, or makes it; of several callers at once one does.
absl::StatusOr<Cluster> OpenOrCreateCluster(coordination::CoordinationStore& store,
                                            crypto::Kms& kms, Clock& clock, Random& random);

}  // namespace meridian::tenancy
