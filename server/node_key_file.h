// The key of a node, kept in a file beside its disks, wrapped by the KMS.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "base/id.h"
#include "base/random.h"
#include "crypto/kms.h"
#include "crypto/secret_key.h"

namespace meridian::server {

// Unwraps the key in the file; draws one, and keeps it there, if there is no file. DATA_LOSS: the
// file is damaged or was wrapped for another node or by another cluster's KMS.
absl::StatusOr<crypto::SecretKey> OpenNodeKeyFile(const std::string& path, const NodeId& node,
                                                  crypto::Kms& kms, Random& random);

}  // namespace meridian::server
