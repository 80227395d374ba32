// The key of a cluster: what keeps customers' names out of the coordination store.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "base/id.h"
#include "crypto/hash.h"
#include "crypto/hkdf.h"
#include "crypto/sealing_key.h"
#include "crypto/secret_key.h"

namespace meridian::crypto {

class Kms;

// Thread-safe.
class ClusterKey {
 public:
  explicit ClusterKey(const SecretKey& key);

  // Draws a key and wraps it by the KMS, for the coordination store.
  static absl::StatusOr<std::string> CreateWrapped(Kms& kms, ClusterId cluster, Random& random);
  // DATA_LOSS if `wrapped` is not this cluster's.
  static absl::StatusOr<SecretKey> Unwrap(Kms& kms, ClusterId cluster, std::string_view wrapped);

  // A store's value; `store_key` is the key it is stored under, which is bound: a value cannot be
  // moved to another key. DATA_LOSS if it was, or was changed.
  std::string Seal(std::string_view store_key, std::string_view value, Random& random) const;
  absl::StatusOr<std::string> Open(std::string_view store_key, std::string_view sealed) const;

  // A name as part of a store's key: 64 hex digits. `scope` keeps equal names apart (the kind and,
  // for a container, its tenant's id).
  std::string HashName(std::string_view scope, std::string_view name) const;

  // What is kept of an access key's secret: HMAC under a key that only the cluster has.
  std::string HashSecret(std::string_view secret) const;
  bool VerifySecret(std::string_view secret, std::string_view hash) const;

 private:
  const Hkdf hkdf_;
  const SealingKey values_;
  const MacKey names_;
  const MacKey secrets_;
};

}  // namespace meridian::crypto
