// The key of a node: the root of what protects its disks below the objects' own encryption (names,
// log entries, RocksDB's files). Kept wrapped by the KMS beside the disks.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "base/id.h"
#include "crypto/hkdf.h"
#include "crypto/sealing_key.h"
#include "crypto/secret_key.h"

namespace meridian::crypto {

class Kms;

// Thread-safe.
class NodeKey {
 public:
  explicit NodeKey(const SecretKey& key);

  // Draws a key for `node` and wraps it by the KMS: what the node keeps on its disks.
  static absl::StatusOr<std::string> CreateWrapped(Kms& kms, const NodeId& node, Random& random);
  // DATA_LOSS if `wrapped` is not a key of this node.
  static absl::StatusOr<SecretKey> Unwrap(Kms& kms, const NodeId& node, std::string_view wrapped);

  // The key of one life of one journal segment: HKDF(node key, disk, salt). `salt`:
  // SegmentSealer::kSaltBytes random bytes, stored in the segment's header. For SegmentSealer.
  SecretKey SegmentKey(DiskId disk, std::string_view salt) const;

  // The key of one file, for CtrCipher: draw one with SecretKey::Draw, keep it wrapped in the
  // file's prefix. UnwrapFileKey: DATA_LOSS if it was not wrapped under this node key.
  static constexpr size_t kWrappedFileKeyBytes = SealingKey::kOverheadBytes + SecretKey::kSize;
  std::string WrapFileKey(const SecretKey& file_key, Random& random) const;
  absl::StatusOr<SecretKey> UnwrapFileKey(std::string_view wrapped) const;

 private:
  const Hkdf hkdf_;
  const SealingKey file_keys_;
};

}  // namespace meridian::crypto
