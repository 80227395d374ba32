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
  return absl::DataLossError(absl::StrCat(folder, ": ", error.message()));
}

// What the file holds; NOT_FOUND. Trouble with its disk is no trouble of the KMS.
absl::StatusOr<std::string> Read(const std::string& path) {
  absl::StatusOr<std::string> bytes = crypto::ReadSmallFile(path, kMaxKeyFileBytes);
  if (bytes.ok() || absl::IsNotFound(bytes.status())) return bytes;
  return absl::DataLossError(bytes.status().message());
}

// The wrapped key that is in the file afterwards: another process may have made it meanwhile.
absl::StatusOr<std::string> Create(const std::string& path, const NodeId& node, crypto::Kms& kms,
                                   Random& random) {
  ASSIGN_OR_RETURN(std::string wrapped, crypto::NodeKey::CreateWrapped(kms, node, random));
  const absl::Status written =
      crypto::WriteFileAtomically(path, wrapped, {.secret = true, .must_be_new = true});
  if (absl::IsAlreadyExists(written)) return Read(path);
  if (!written.ok()) return absl::DataLossError(written.message());
  return wrapped;
}

}  // namespace

absl::StatusOr<crypto::SecretKey> OpenNodeKeyFile(const std::string& path,
                                                  const std::string& folder, const NodeId& node,
                                                  crypto::Kms& kms, Random& random) {
  absl::StatusOr<std::string> wrapped = Read(path);
  if (absl::IsNotFound(wrapped.status())) {
    RETURN_IF_ERROR(CheckUnused(path, folder));
    wrapped = Create(path, node, kms, random);
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
