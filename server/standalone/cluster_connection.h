// What every process of a cluster has of it: the coordination store on etcd, the KMS, and its own
// certificate.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/random.h"
#include "coordination/coordination_store.h"
#include "crypto/kms.h"
#include "meridian/internal/v1/node_config.pb.h"
#include "server/tls_material.h"
#include "tenancy/bootstrap.h"

namespace meridian::server {

// Thread-safe.
class ClusterConnection {
 public:
  // Reads the files that the configuration names, and does not wait for etcd. Errors say which file
  // or field is to be mended. INVALID_ARGUMENT also: the certificate is not this node's. The files
  // of TLS are read again every ten seconds: replaced ones are taken up if they are in order, and
  // logged as an error if not. `random` (thread-safe) outlives it.
  static absl::StatusOr<std::unique_ptr<ClusterConnection>> Open(
      const internal::v1::NodeConfig& config, Random& random);

  // The cluster's record. Asks until etcd answers, for kWait at most: it may be starting on the
  // same machines. NOT_FOUND: no cluster has been made. Errors also as of tenancy::OpenCluster.
  static constexpr absl::Duration kWait = absl::Seconds(30);
  absl::StatusOr<tenancy::Cluster> AwaitCluster() const;

  coordination::CoordinationStore& store() const { return *store_; }
  crypto::Kms& kms() const { return *kms_; }
  // The node's, as they were at the start.
  const TlsMaterial& tls() const { return tls_; }

 private:
  ClusterConnection() = default;

  TlsMaterial tls_;
  // In the order of dependence.
  std::unique_ptr<coordination::CoordinationStore> store_;
  std::unique_ptr<crypto::Kms> keyring_;
  std::unique_ptr<crypto::Kms> kms_;
};

}  // namespace meridian::server
