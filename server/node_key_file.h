// The key of a node, kept in a file beside its disks, wrapped by the KMS.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "base/id.h"
#include "base/random.h"
#include "crypto/kms.h"
#include "crypto/secret_key.h"

namespace meridian::server {

// Unwraps the key in the file; draws one, and keeps it there, if there is no file and nothing in
// `folder`, which the key encrypts. A file that is there, or comes meanwhile, is never replaced.
// FAILED_PRECONDITION: the file of a folder in use is missing; DATA_LOSS: the file is damaged, was
// wrapped for another node or by another cluster's KMS, or its disk can neither read nor write it.
// Nothing of what is there is changed then. Other errors are the KMS's.
absl::StatusOr<crypto::SecretKey> OpenNodeKeyFile(const std::string& path,
                                                  const std::string& folder, const NodeId& node,
                                                  crypto::Kms& kms, Random& random);

}  // namespace meridian::server
