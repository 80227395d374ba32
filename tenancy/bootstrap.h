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

// Reads the cluster's record, or makes cluster and administrator key in one transaction; of several
// callers at once one makes it. Blocks. DATA_LOSS: the KMS is not the one that the cluster was made
// with.
absl::StatusOr<Cluster> OpenOrCreateCluster(coordination::CoordinationStore& store,
                                            crypto::Kms& kms, Clock& clock, Random& random);

}  // namespace meridian::tenancy
