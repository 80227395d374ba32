// Whether TLS material can be used, before it is.
#pragma once

#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "crypto/certificate_authority.h"

namespace meridian::crypto {

// INVALID_ARGUMENT, saying what is wrong: `ca_pem` holds no certificate, or those of `identity` are
// not PEM, or do not belong together. A certificate may be followed by those between it and the CA.
absl::Status CheckUsable(std::string_view ca_pem, const TlsIdentity& identity);

// INVALID_ARGUMENT, saying why: `certificate_pem` has not been issued, directly or by the
// certificates that follow it, by one of `ca_pem`'s, or is not valid at `now`.
absl::Status CheckIssued(std::string_view ca_pem, std::string_view certificate_pem, absl::Time now);

}  // namespace meridian::crypto
