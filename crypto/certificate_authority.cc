#include "crypto/certificate_authority.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>

#include "base/check.h"
#include "base/clock.h"
#include "base/status.h"
#include "crypto/openssl_handle.h"

namespace meridian::crypto {
namespace {

constexpr absl::Duration kCaLifetime = absl::Hours(24 * 3650);
constexpr absl::Duration kNodeLifetime = absl::Hours(24 * 365);
// Certificates begin in the past, so that a peer whose clock is behind accepts them.
constexpr absl::Duration kClockSkew = absl::Hours(1);

// RFC 5280, ub-common-name.
constexpr size_t kMaxCommonNameBytes = 64;

using Extension = std::unique_ptr<X509_EXTENSION, Free<X509_EXTENSION_free>>;
using BigNumber = std::unique_ptr<BIGNUM, Free<BN_free>>;
using Names = std::unique_ptr<GENERAL_NAMES, Free<GENERAL_NAMES_free>>;

// Fails only without memory or randomness.
void Must(bool ok, const char* what) { CHECK_INVARIANT(ok, what); }

std::string Contents(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return {data, static_cast<size_t>(size)};
}

Bio Reader(std::string_view pem) {
  return Bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
}

std::string CertificatePem(X509* certificate) {
  const Bio bio(BIO_new(BIO_s_mem()));
  Must(bio != nullptr && PEM_write_bio_X509(bio.get(), certificate) == 1, "PEM_write_bio_X509");
  return Contents(bio.get());
}

std::string KeyPem(EVP_PKEY* key) {
  const Bio bio(BIO_new(BIO_s_secmem()));
  Must(bio != nullptr && PEM_write_bio_PKCS8PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr,
                                                       nullptr) == 1,
       "PEM_write_bio_PKCS8PrivateKey");
  return Contents(bio.get());
}

// Asks nobody for the passphrase of an encrypted key.
int NoPassphrase(char*, int, int, void*) { return -1; }

absl::StatusOr<Certificate> ParseCertificate(std::string_view pem) {
  const Bio bio = Reader(pem);
  Certificate certificate(
      bio == nullptr ? nullptr : PEM_read_bio_X509(bio.get(), nullptr, NoPassphrase, nullptr));
  if (certificate == nullptr) return absl::InvalidArgumentError("not a certificate in PEM");
  return certificate;
}

absl::StatusOr<Key> ParseKey(std::string_view pem) {
  const Bio bio = Reader(pem);
  Key key(bio == nullptr ? nullptr
                         : PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassphrase, nullptr));
  if (key == nullptr) return absl::InvalidArgumentError("not a private key in PEM");
  return key;
}

// A random serial number of 127 bits, positive (RFC 5280, 4.1.2.2).
void SetSerial(X509* certificate) {
  std::array<uint8_t, 16> bytes;
  Must(RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) == 1, "RAND_bytes");
  bytes[0] = (bytes[0] & 0x7f) | 0x40;
  const BigNumber number(BN_bin2bn(bytes.data(), static_cast<int>(bytes.size()), nullptr));
  Must(number != nullptr &&
           BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr,
       "serial number");
}

void SetLifetime(X509* certificate, absl::Time now, absl::Duration lifetime) {
  Must(
      ASN1_TIME_set(X509_getm_notBefore(certificate), absl::ToTimeT(now - kClockSkew)) != nullptr &&
          ASN1_TIME_set(X509_getm_notAfter(certificate), absl::ToTimeT(now + lifetime)) != nullptr,
      "lifetime");
}

void SetSubject(X509* certificate, std::string_view common_name) {
  X509_NAME* const name = X509_get_subject_name(certificate);
  Must(X509_NAME_add_entry_by_txt(name, "O", MBSTRING_UTF8,
                                  reinterpret_cast<const uint8_t*>("Meridian"), -1, -1, 0) == 1 &&
           X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                                      reinterpret_cast<const uint8_t*>(common_name.data()),
                                      static_cast<int>(common_name.size()), -1, 0) == 1,
       "subject");
}

// `value` in the syntax of OpenSSL's x509v3_config. False: OpenSSL does not accept the value.
bool AddExtension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const Extension extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
  return extension != nullptr && X509_add_ext(certificate, extension.get(), -1) == 1;
}

Certificate NewCertificate(std::string_view common_name, EVP_PKEY* key, absl::Time now,
                           absl::Duration lifetime) {
  Certificate certificate(X509_new());
  Must(certificate != nullptr && X509_set_version(certificate.get(), X509_VERSION_3) == 1,
       "X509_new");
  SetSerial(certificate.get());
  SetLifetime(certificate.get(), now, lifetime);
  SetSubject(certificate.get(), common_name);
  Must(X509_set_pubkey(certificate.get(), key) == 1, "X509_set_pubkey");
  return certificate;
}

void Sign(X509* certificate, EVP_PKEY* key) {
  Must(X509_sign(certificate, key, EVP_sha256()) > 0, "X509_sign");
}

Key NewKey() {
  Key key(EVP_EC_gen("P-256"));
  Must(key != nullptr, "EVP_EC_gen");
  return key;
}

bool IsHostCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '.';
}

bool IsIpAddress(const std::string& host) {
  ASN1_OCTET_STRING* const parsed = a2i_IPADDRESS(host.c_str());
  ASN1_OCTET_STRING_free(parsed);
  return parsed != nullptr;
}

absl::StatusOr<std::string> AltNames(const NodeId& node, const std::vector<std::string>& more) {
  if (node.size() > kMaxCommonNameBytes) {
    return absl::InvalidArgumentError("a node's id is longer than 64 characters");
  }
  std::vector<std::string> hosts = {node, "localhost", "127.0.0.1", "::1"};
  hosts.insert(hosts.end(), more.begin(), more.end());
  std::string value;
  for (const std::string& host : hosts) {
    const bool is_ip = IsIpAddress(host);
    // Other characters could be read as more configuration.
    if (!is_ip && (host.empty() || !std::all_of(host.begin(), host.end(), IsHostCharacter))) {
      return absl::InvalidArgumentError("not a host name or an IP address: '" + host + "'");
    }
    if (!value.empty()) value += ',';
    value += (is_ip ? "IP:" : "DNS:") + host;
  }
  return value;
}

class Authority : public CertificateAuthority {
 public:
  Authority(Certificate certificate, Key key, Clock& clock)
      : certificate_(std::move(certificate)),
        key_(std::move(key)),
        clock_(clock),
        certificate_pem_(CertificatePem(certificate_.get())) {}

  const std::string& certificate_pem() const override { return certificate_pem_; }

  TlsIdentity ToPem() const override { return {certificate_pem_, KeyPem(key_.get())}; }

  absl::StatusOr<TlsIdentity> IssueNode(const NodeId& node,
                                        const std::vector<std::string>& more_hosts) const override {
    ASSIGN_OR_RETURN(const std::string alt_names, AltNames(node, more_hosts));
    const Key key = NewKey();
    const Certificate certificate =
        NewCertificate(node, key.get(), clock_.WallNow(), kNodeLifetime);
    X509* const issued = certificate.get();
    X509* const ca = certificate_.get();
    Must(X509_set_issuer_name(issued, X509_get_subject_name(ca)) == 1, "issuer");
    if (!AddExtension(issued, ca, NID_subject_alt_name, alt_names)) {
      return absl::InvalidArgumentError("not a list of host names: " + alt_names);
    }
    Must(AddExtension(issued, ca, NID_basic_constraints, "critical,CA:FALSE") &&
             AddExtension(issued, ca, NID_key_usage, "critical,digitalSignature") &&
             AddExtension(issued, ca, NID_ext_key_usage, "serverAuth,clientAuth") &&
             AddExtension(issued, ca, NID_subject_key_identifier, "hash") &&
             AddExtension(issued, ca, NID_authority_key_identifier, "keyid"),
         "extensions");
    Sign(issued, key_.get());
    return TlsIdentity{CertificatePem(issued), KeyPem(key.get())};
  }

 private:
  const Certificate certificate_;
  const Key key_;
  Clock& clock_;
  const std::string certificate_pem_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<CertificateAuthority>> CertificateAuthority::Create(
    std::string_view common_name, Clock& clock) {
  if (common_name.empty() || common_name.size() > kMaxCommonNameBytes ||
      !std::all_of(common_name.begin(), common_name.end(),
                   [](char c) { return c >= ' ' && c <= '~'; })) {
    return absl::InvalidArgumentError("an authority's name is 1-64 printable ASCII characters");
  }
  Key key = NewKey();
  Certificate certificate = NewCertificate(common_name, key.get(), clock.WallNow(), kCaLifetime);
  X509* const ca = certificate.get();
  Must(X509_set_issuer_name(ca, X509_get_subject_name(ca)) == 1, "issuer");
  Must(AddExtension(ca, ca, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
           AddExtension(ca, ca, NID_key_usage, "critical,keyCertSign,cRLSign") &&
           AddExtension(ca, ca, NID_subject_key_identifier, "hash"),
       "extensions");
  Sign(ca, key.get());
  return std::make_unique<Authority>(std::move(certificate), std::move(key), clock);
}

absl::StatusOr<std::unique_ptr<CertificateAuthority>> CertificateAuthority::FromPem(
    const TlsIdentity& ca, Clock& clock) {
  absl::StatusOr<Certificate> certificate = ParseCertificate(ca.certificate_pem);
  absl::StatusOr<Key> key = ParseKey(ca.private_key_pem);
  if (!certificate.ok() || !key.ok()) {
    return absl::DataLossError("the certificate authority's certificate or key is damaged");
  }
  if (X509_check_private_key(certificate->get(), key->get()) != 1 ||
      X509_check_ca(certificate->get()) != 1) {
    return absl::DataLossError("the certificate and the key are not those of an authority");
  }
  return std::make_unique<Authority>(*std::move(certificate), *std::move(key), clock);
}

absl::StatusOr<std::vector<std::string>> SubjectAltDnsNames(std::string_view certificate_pem) {
  ASSIGN_OR_RETURN(const Certificate certificate, ParseCertificate(certificate_pem));
  const Names names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate.get(), NID_subject_alt_name, nullptr, nullptr)));
  std::vector<std::string> dns_names;
  for (int i = 0; names != nullptr && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* const name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type != GEN_DNS) continue;
    const ASN1_IA5STRING* const text = name->d.dNSName;
    dns_names.emplace_back(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                           static_cast<size_t>(ASN1_STRING_length(text)));
  }
  return dns_names;
}

}  // namespace meridian::crypto
