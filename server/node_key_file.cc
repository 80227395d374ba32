#include "server/node_key_file.h"

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "crypto/internal/file_util.h"
#include "crypto/node_key.h"

namespace meridian::server {
namespace {

constexpr size_t kMaxKeyFileBytes = 4096;

}  // namespace

absl::StatusOr<crypto::SecretKey> OpenNodeKeyFile(const std::string& path, const NodeId& node,
                                                  crypto::Kms& kms, Random& random) {
  absl::StatusOr<std::string> wrapped = crypto::ReadSmallFile(path, kMaxKeyFileBytes);
  if (absl::IsNotFound(wrapped.status())) {
    wrapped = crypto::NodeKey::CreateWrapped(kms, node, random);
    RETURN_IF_ERROR(wrapped.status());
    RETURN_IF_ERROR(crypto::WriteFileAtomically(path, *wrapped, {}));
  }
  RETURN_IF_ERROR(wrapped.status());
  absl::StatusOr<crypto::SecretKey> key = crypto::NodeKey::Unwrap(kms, node, *wrapped);
  if (!absl::IsDataLoss(key.status())) return key;
  return absl::DataLossError(
      absl::StrCat(path, " was not wrapped by this cluster's keyring for ", node,
                   ": it belongs to another cluster or node, or is damaged. Put its own back; "
                   "nothing was changed"));
}

}  // namespace meridian::server
