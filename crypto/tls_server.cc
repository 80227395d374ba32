#include "crypto/tls_server.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <memory>
#include <string>

namespace meridian::crypto {
namespace {

using UniqueBio = std::unique_ptr<BIO, decltype(&BIO_free)>;
using UniqueX509 = std::unique_ptr<X509, decltype(&X509_free)>;
using UniqueKey = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;

UniqueBio Open(const std::string& pem) {
  return {BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), &BIO_free};
}

UniqueX509 NextCertificate(BIO* bio) {
  return {PEM_read_bio_X509(bio, nullptr, nullptr, nullptr), &X509_free};
}

}  // namespace

absl::Status UseAsTlsServer(ssl_ctx_st& context, const TlsIdentity& identity) {
  const UniqueBio certificates = Open(identity.certificate_pem);
  const UniqueX509 own = NextCertificate(certificates.get());
  if (own == nullptr || SSL_CTX_use_certificate(&context, own.get()) != 1) {
    return absl::InvalidArgumentError("the TLS certificate cannot be used");
  }
  // Those between it and the CA.
  while (const UniqueX509 link = NextCertificate(certificates.get())) {
    SSL_CTX_add1_chain_cert(&context, link.get());
  }
  ERR_clear_error();  // of the end of the PEM
  const UniqueBio key_pem = Open(identity.private_key_pem);
  const UniqueKey key(PEM_read_bio_PrivateKey(key_pem.get(), nullptr, nullptr, nullptr),
                      &EVP_PKEY_free);
  if (key == nullptr || SSL_CTX_use_PrivateKey(&context, key.get()) != 1 ||
      SSL_CTX_check_private_key(&context) != 1) {
    return absl::InvalidArgumentError("the TLS private key is not the certificate's");
  }
  SSL_CTX_set_min_proto_version(&context, TLS1_2_VERSION);
  return absl::OkStatus();
}

}  // namespace meridian::crypto
