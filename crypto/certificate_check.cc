#include "crypto/certificate_check.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>

#include <memory>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status.h"
#include "crypto/openssl_handle.h"

namespace meridian::crypto {
namespace {

using Store = std::unique_ptr<X509_STORE, Free<X509_STORE_free>>;
using Verification = std::unique_ptr<X509_STORE_CTX, Free<X509_STORE_CTX_free>>;

struct FreeStack {
  void operator()(STACK_OF(X509) * stack) const { sk_X509_pop_free(stack, X509_free); }
};
using Certificates = std::unique_ptr<STACK_OF(X509), FreeStack>;

// Asks nobody for the passphrase of an encrypted key.
int NoPassphrase(char*, int, int, void*) { return -1; }

Bio Reader(std::string_view pem) {
  Bio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  CHECK_INVARIANT(bio != nullptr, "BIO_new_mem_buf");
  return bio;
}

// All that are in `pem`; none if one of them is cut off or damaged.
Certificates ReadCertificates(std::string_view pem) {
  const Bio bio = Reader(pem);
  Certificates all(sk_X509_new_null());
  CHECK_INVARIANT(all != nullptr, "sk_X509_new_null");
  while (X509* const next = PEM_read_bio_X509(bio.get(), nullptr, NoPassphrase, nullptr)) {
    CHECK_INVARIANT(sk_X509_push(all.get(), next) > 0, "sk_X509_push");
  }
  // Whole PEM ends where no further one begins.
  const bool whole = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  ERR_clear_error();
  if (!whole) all.reset(sk_X509_new_null());
  CHECK_INVARIANT(all != nullptr, "sk_X509_new_null");
  return all;
}

}  // namespace

absl::Status CheckUsable(std::string_view ca_pem, const TlsIdentity& identity) {
  if (sk_X509_num(ReadCertificates(ca_pem).get()) == 0) {
    return absl::InvalidArgumentError("the CA's certificate is not a certificate in PEM");
  }
  const Certificates chain = ReadCertificates(identity.certificate_pem);
  if (sk_X509_num(chain.get()) == 0) {
    return absl::InvalidArgumentError("the certificate is not a certificate in PEM");
  }
  const Bio bio = Reader(identity.private_key_pem);
  const Key key(PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassphrase, nullptr));
  const bool belong =
      key != nullptr && X509_check_private_key(sk_X509_value(chain.get(), 0), key.get()) == 1;
  ERR_clear_error();
  if (key == nullptr) return absl::InvalidArgumentError("not a private key in PEM");
  if (belong) return absl::OkStatus();
  return absl::InvalidArgumentError("the private key is not the certificate's");
}

absl::Status CheckIssued(std::string_view ca_pem, std::string_view certificate_pem,
                         absl::Time now) {
  const Certificates trusted = ReadCertificates(ca_pem);
  const Certificates chain = ReadCertificates(certificate_pem);
  if (sk_X509_num(chain.get()) == 0) {
    return absl::InvalidArgumentError("the certificate is not a certificate in PEM");
  }
  const Store store(X509_STORE_new());
  const Verification verification(X509_STORE_CTX_new());
  CHECK_INVARIANT(store != nullptr && verification != nullptr, "X509_STORE_new");
  for (int i = 0; i < sk_X509_num(trusted.get()); ++i) {
    CHECK_INVARIANT(X509_STORE_add_cert(store.get(), sk_X509_value(trusted.get(), i)) == 1,
                    "X509_STORE_add_cert");
  }
  CHECK_INVARIANT(X509_STORE_CTX_init(verification.get(), store.get(),
                                      sk_X509_value(chain.get(), 0), chain.get()) == 1,
                  "X509_STORE_CTX_init");
  X509_STORE_CTX_set_time(verification.get(), 0, absl::ToTimeT(now));
  const bool verified = X509_verify_cert(verification.get()) == 1;
  ERR_clear_error();
  if (verified) return absl::OkStatus();
  const int error = X509_STORE_CTX_get_error(verification.get());
  return absl::InvalidArgumentError(absl::StrCat("the certificate is not valid under the CA: ",
                                                 X509_verify_cert_error_string(error)));
}

}  // namespace meridian::crypto
