// Certificates that are replaced while a process runs.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "replication/transport/node_credentials.h"

namespace meridian::replication {

// What a process presents and trusts, PEM.
struct CertificatePem {
  std::string ca_certificate;
  std::string certificate;
  std::string private_key;
  bool operator==(const CertificatePem&) const = default;
};

struct CertificateSource {
  // Called once in an interval, on the provider's thread. What it gives is usable: gRPC refuses all
  // new connections by a certificate that its key does not belong to.
  std::function<absl::StatusOr<CertificatePem>()> read;
  // Called with OK for each material that is taken up, and with an error that follows something
  // else, once.
  std::function<void(const absl::Status&)> told;
  // At least a second. A change shows a second after the read at most.
  absl::Duration interval = absl::Seconds(10);
};

// Of what `source` reads, `first` to begin with: presented and trusted from the next handshake on,
// connections that are there stay. After an error the last goes on. UNAVAILABLE: no file descriptor
// or no memory is left.
absl::StatusOr<CertificateProvider> RenewCertificates(const CertificatePem& first,
                                                      CertificateSource source);

}  // namespace meridian::replication
