// A server's side of TLS, for libraries that let their user set up OpenSSL's context.
#pragma once

#include "absl/status/status.h"
#include "crypto/certificate_authority.h"

struct ssl_ctx_st;  // SSL_CTX

namespace meridian::crypto {

// TLS 1.2 and newer, presenting `identity`; no certificate is asked for. INVALID_ARGUMENT: not PEM,
// or certificate and key do not belong together.
absl::Status UseAsTlsServer(ssl_ctx_st& context, const TlsIdentity& identity);

}  // namespace meridian::crypto
