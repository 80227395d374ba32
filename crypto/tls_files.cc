#include "base/status.h"
#include "crypto/certificate_authority.h"
#include "crypto/internal/file_util.h"
#include "crypto/secret_key.h"

namespace meridian::crypto {
namespace {

constexpr size_t kMaxPemBytes = 1 << 20;

}  // namespace

absl::Status WriteTlsIdentity(const std::string& path, const TlsIdentity& identity) {
  // The certificate last: where it is, its key is too.
  RETURN_IF_ERROR(WriteFileAtomically(path + ".key", identity.private_key_pem, WriteFileOptions{}));
  return WriteFileAtomically(path + ".crt", identity.certificate_pem, {.secret = false});
}

absl::StatusOr<TlsIdentity> ReadTlsIdentity(const std::string& path) {
  TlsIdentity identity;
  ASSIGN_OR_RETURN(identity.certificate_pem, ReadSmallFile(path + ".crt", kMaxPemBytes));
  ASSIGN_OR_RETURN(identity.private_key_pem, ReadSmallFile(path + ".key", kMaxPemBytes));
  return identity;
}

NodeId NodeOfCertificate(const std::vector<std::string>& dns_names) {
  return dns_names.empty() ? NodeId() : NodeId(dns_names.front());
}

}  // namespace meridian::crypto
