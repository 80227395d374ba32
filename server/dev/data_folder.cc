#include "server/dev/data_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status.h"
#include "crypto/internal/file_util.h"
#include "crypto/local_keyring.h"

namespace meridian::server {
namespace {

constexpr char kFormatFile[] = "meridian.dev";
constexpr char kFormat[] = "meridian dev data folder, format 2\n";
constexpr size_t kMaxFileBytes = 1 << 20;
constexpr crypto::WriteFileOptions kPublic{.secret = false, .must_be_new = false};

absl::Status MakeFolder(const std::string& path) {
  if (mkdir(path.c_str(), 0700) == 0 || errno == EEXIST) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat("cannot make folder ", path, ": ", strerror(errno)));
}

absl::StatusOr<int> Lock(const std::string& path) {
  const std::string file = path + "/LOCK";
  const int fd = open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) {
    return absl::UnavailableError(absl::StrCat("cannot open ", file, ": ", strerror(errno)));
  }
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    close(fd);
    return absl::FailedPreconditionError(
        absl::StrCat("data folder ", path, " is in use by another process, which holds ", file,
                     ": stop that process, or give another folder"));
  }
  return fd;
}

// Nothing but what an interrupted first start leaves before it has written the format.
bool HasNothingElse(const std::string& path) {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(path, error)) {
    const std::string name = entry.path().filename();
    if (name != "LOCK" && !name.starts_with(kFormatFile)) return false;
  }
  return !error;
}

// NOT_FOUND: the data folder is still to be made. Changes nothing.
absl::Status CheckFormat(const std::string& path) {
  const absl::StatusOr<std::string> format =
      crypto::ReadSmallFile(path + "/" + kFormatFile, kMaxFileBytes);
  if (absl::IsNotFound(format.status()) && !HasNothingElse(path)) {
    return absl::FailedPreconditionError(
        absl::StrCat("folder ", path, " is not empty and no data folder of meridiand dev: give ",
                     "an empty one, or one that does not exist; nothing was changed"));
  }
  RETURN_IF_ERROR(format.status());
  if (*format == kFormat) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "data folder ", path, " was made by another version of meridiand: it is \"",
      absl::CEscape(absl::StripSuffix(*format, "\n")), "\", this version has \"", absl::StripSuffix(kFormat, "\n"),
      "\". Run the version that made it, or give another folder; nothing was changed"));
}

}  // namespace

absl::StatusOr<std::unique_ptr<DataFolder>> DataFolder::Open(const std::string& path,
                                                             std::optional<Topology> topology,
                                                             Clock& clock, Random& random) {
  RETURN_IF_ERROR(MakeFolder(path));
  // Before the lock, whose file does not belong into a folder of something else.
  absl::Status format = CheckFormat(path);
  if (!format.ok() && !absl::IsNotFound(format)) return format;
  ASSIGN_OR_RETURN(const int lock, Lock(path));
  auto folder = std::unique_ptr<DataFolder>(new DataFolder(path, lock));
  format = CheckFormat(path);
  if (absl::IsNotFound(format)) {
    format = crypto::WriteFileAtomically(path + "/" + kFormatFile, kFormat, kPublic);
  }
  RETURN_IF_ERROR(format);
  RETURN_IF_ERROR(folder->OpenTopology(std::move(topology)));
  RETURN_IF_ERROR(folder->OpenKms(random));
  RETURN_IF_ERROR(folder->OpenAuthority(clock));
  RETURN_IF_ERROR(folder->MakeNodeFolders());
  return folder;
}

DataFolder::~DataFolder() { close(lock_); }

absl::Status DataFolder::OpenTopology(std::optional<Topology> wanted) {
  const std::string file = path_ + "/topology.textproto";
  const absl::StatusOr<std::string> text = crypto::ReadSmallFile(file, kMaxFileBytes);
  if (absl::IsNotFound(text.status())) {
    topology_ = wanted ? *std::move(wanted) : Topology::Default();
    return crypto::WriteFileAtomically(file, topology_->ToText(), kPublic);
  }
  RETURN_IF_ERROR(text.status());
  ASSIGN_OR_RETURN(topology_, Topology::Parse(*text));
  if (!wanted || *wanted == *topology_) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("data folder ", path_, " was made with another topology, see ", file,
                   ": leave --topology out, or give another folder; nothing was changed"));
}

absl::Status DataFolder::OpenKms(Random& random) {
  const std::string keyring = path_ + "/keyring";
  const std::string passphrase_file = path_ + "/keyring.passphrase";
  const absl::Status written = crypto::WriteNewPassphraseFile(passphrase_file, random);
  if (!written.ok() && !absl::IsAlreadyExists(written)) return written;
  ASSIGN_OR_RETURN(const std::string passphrase, crypto::PassphraseFromFile(passphrase_file));
  const absl::Status created = crypto::LocalKeyring::Create(keyring, passphrase, random);
  if (!created.ok() && !absl::IsAlreadyExists(created)) return created;
  ASSIGN_OR_RETURN(kms_, crypto::LocalKeyring::Open(keyring, passphrase, random));
  return absl::OkStatus();
}

absl::Status DataFolder::OpenAuthority(Clock& clock) {
  const std::string file = path_ + "/ca";
  absl::StatusOr<crypto::TlsIdentity> identity = crypto::ReadTlsIdentity(file);
  if (absl::IsNotFound(identity.status())) {
    ASSIGN_OR_RETURN(authority_, crypto::CertificateAuthority::Create("Meridian dev CA", clock));
    return crypto::WriteTlsIdentity(file, authority_->ToPem());
  }
  RETURN_IF_ERROR(identity.status());
  ASSIGN_OR_RETURN(authority_, crypto::CertificateAuthority::FromPem(*identity, clock));
  return absl::OkStatus();
}

absl::Status DataFolder::MakeNodeFolders() const {
  RETURN_IF_ERROR(MakeFolder(path_ + "/nodes"));
  for (const Topology::Node& node : topology_->nodes()) {
    RETURN_IF_ERROR(MakeFolder(node_path(node.id)));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> DataFolder::ReadEndpoint() const {
  absl::StatusOr<std::string> endpoint = crypto::ReadSmallFile(path_ + "/endpoint", kMaxFileBytes);
  if (absl::IsNotFound(endpoint.status())) return std::string();
  return endpoint;
}

absl::Status DataFolder::WriteEndpoint(const std::string& endpoint) const {
  return crypto::WriteFileAtomically(path_ + "/endpoint", endpoint, kPublic);
}

}  // namespace meridian::server
