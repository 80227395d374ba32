// TLS material: a certificate authority for development clusters, and reading a peer's node id.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/id.h"

namespace meridian {
class Clock;
}

namespace meridian::crypto {

struct TlsIdentity {
  std::string certificate_pem;
  std::string private_key_pem;
};

// Thread-safe.
class CertificateAuthority {
 public:
  virtual ~CertificateAuthority() = default;

  // ECDSA P-256, self-signed, valid for ten years.
  static absl::StatusOr<std::unique_ptr<CertificateAuthority>> Create(std::string_view common_name,
                                                                      Clock& clock);
  // DATA_LOSS if certificate and key do not belong together or are no CA's.
  static absl::StatusOr<std::unique_ptr<CertificateAuthority>> FromPem(const TlsIdentity& ca,
                                                                       Clock& clock);

  virtual const std::string& certificate_pem() const = 0;
  // With the private key, for WriteTlsIdentity.
  virtual TlsIdentity ToPem() const = 0;

  // For a server that is also a client of its peers: SAN = the node id, "localhost", 127.0.0.1, ::1
  // and `more_hosts` (DNS names or IP addresses). Valid for one year.
  virtual absl::StatusOr<TlsIdentity> IssueNode(
      const NodeId& node, const std::vector<std::string>& more_hosts = {}) const = 0;
};

// PATH.crt and PATH.key, the latter readable by its owner only; durable and atomic, one at a time.
absl::Status WriteTlsIdentity(const std::string& path, const TlsIdentity& identity);
absl::StatusOr<TlsIdentity> ReadTlsIdentity(const std::string& path);

// The DNS names of a certificate's subject alternative names. INVALID_ARGUMENT: not a certificate.
absl::StatusOr<std::vector<std::string>> SubjectAltDnsNames(std::string_view certificate_pem);

// The node that a certificate, which TLS has verified against the cluster's CA, was issued to: its
// first DNS name; empty if there is none. `dns_names` in the certificate's order, as of
// SubjectAltDnsNames or of gRPC.
NodeId NodeOfCertificate(const std::vector<std::string>& dns_names);

}  // namespace meridian::crypto
