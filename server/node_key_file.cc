#include "server/node_key_file.h"

#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "crypto/internal/file_util.h"
#include "crypto/node_key.h"

namespace meridian::server {
namespace {

constexpr size_t kMaxKeyFileBytes = 4096;

// What lies there cannot be read without the key that is missing.
absl::Status CheckUnused(const std::string& path, const std::string& folder) {
  std::error_code error;
  for (std::filesystem::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    if (entry->path().filename() == "lost+found") continue;  // of a new file system
    return absl::FailedPreconditionError(
        absl::StrCat(path, " is missing, but ", folder,
                     " holds data that only its key opens. Put it back; nothing was changed"));
  }
  if (!error || error == std::errc::no_such_file_or_directory) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(folder, ": ", error.message()));
}

}  // namespace

absl::StatusOr<crypto::SecretKey> OpenNodeKeyFile(const std::string& path,
                                                  const std::string& folder, const NodeId& node,
                                                  crypto::Kms& kms, Random& random) {
  absl::StatusOr<std::string> wrapped = crypto::ReadSmallFile(path, kMaxKeyFileBytes);
  if (absl::IsNotFound(wrapped.status())) {
    RETURN_IF_ERROR(CheckUnused(path, folder));
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
