#include "crypto/certificate_authority.h"

#include <gtest/gtest.h>
#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include <memory>

#include "tests/crypto/testing.h"
#include "tests/temp_folder.h"

namespace meridian::crypto {
namespace {

using X509Pointer = std::unique_ptr<X509, decltype(&X509_free)>;

X509Pointer Parse(const std::string& pem) {
  BIO* const bio = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
  X509Pointer certificate(PEM_read_bio_X509(bio, nullptr, nullptr, nullptr), X509_free);
  BIO_free(bio);
  return certificate;
}

// X509_V_OK, or why a TLS server with this certificate is not trusted by who trusts `ca` only.
int Verify(const std::string& ca_pem, const std::string& pem, const char* host, absl::Time when) {
  const X509Pointer ca = Parse(ca_pem), certificate = Parse(pem);
  X509_STORE* const store = X509_STORE_new();
  X509_STORE_add_cert(store, ca.get());
  X509_STORE_CTX* const context = X509_STORE_CTX_new();
  X509_STORE_CTX_init(context, store, certificate.get(), nullptr);
  X509_STORE_CTX_set_default(context, "ssl_server");
  X509_VERIFY_PARAM* const parameters = X509_STORE_CTX_get0_param(context);
  X509_VERIFY_PARAM_set1_host(parameters, host, 0);
  X509_VERIFY_PARAM_set_time(parameters, absl::ToTimeT(when));
  X509_verify_cert(context);
  const int error = X509_STORE_CTX_get_error(context);
  X509_STORE_CTX_free(context);
  X509_STORE_free(store);
  return error;
}

class CertificateAuthorityTest : public ::testing::Test {
 protected:
  ManualClock clock_;
  const std::unique_ptr<CertificateAuthority> ca_ =
      *CertificateAuthority::Create("Meridian development CA", clock_);
};

TEST_F(CertificateAuthorityTest, IssuesCertificatesThatTlsAccepts) {
  const TlsIdentity node = *ca_->IssueNode("east-1a");
  for (const char* host : {"east-1a", "localhost"}) {
    EXPECT_EQ(Verify(ca_->certificate_pem(), node.certificate_pem, host, clock_.WallNow()),
              X509_V_OK);
  }
  EXPECT_EQ(Verify(ca_->certificate_pem(), node.certificate_pem, "east-1b", clock_.WallNow()),
            X509_V_ERR_HOSTNAME_MISMATCH);
  const X509Pointer certificate = Parse(node.certificate_pem);
  EXPECT_EQ(X509_check_ip_asc(certificate.get(), "127.0.0.1", 0), 1);
  EXPECT_EQ(X509_check_ip_asc(certificate.get(), "::1", 0), 1);
  EXPECT_EQ(X509_check_ip_asc(certificate.get(), "10.0.0.1", 0), 0);
}

TEST_F(CertificateAuthorityTest, ACertificateEndsWithItsTime) {
  const TlsIdentity node = *ca_->IssueNode("east-1a");
  const auto at = [&](absl::Duration later) {
    return Verify(ca_->certificate_pem(), node.certificate_pem, "east-1a",
                  clock_.WallNow() + later);
  };
  EXPECT_EQ(at(absl::Hours(24 * 364)), X509_V_OK);
  EXPECT_EQ(at(absl::Hours(24 * 366)), X509_V_ERR_CERT_HAS_EXPIRED);
  EXPECT_EQ(at(-absl::Minutes(30)), X509_V_OK) << "a peer's clock may be behind";
  EXPECT_EQ(at(-absl::Hours(2)), X509_V_ERR_CERT_NOT_YET_VALID);
}

TEST_F(CertificateAuthorityTest, AnotherAuthoritysCertificateIsNotAccepted) {
  const auto other = *CertificateAuthority::Create("Meridian development CA", clock_);
  const TlsIdentity node = *other->IssueNode("east-1a");
  EXPECT_NE(Verify(ca_->certificate_pem(), node.certificate_pem, "east-1a", clock_.WallNow()),
            X509_V_OK);
}

TEST_F(CertificateAuthorityTest, ANodeCannotActAsAnAuthority) {
  EXPECT_EQ(X509_check_ca(Parse(ca_->IssueNode("east-1a")->certificate_pem).get()), 0);
  EXPECT_EQ(X509_check_ca(Parse(ca_->certificate_pem()).get()), 1);
  EXPECT_TRUE(
      absl::IsDataLoss(CertificateAuthority::FromPem(*ca_->IssueNode("east-1a"), clock_).status()));
}

TEST_F(CertificateAuthorityTest, SurvivesBeingWrittenAndRead) {
  TempFolder folder;
  const std::string path = folder.path() + "/ca";
  ASSERT_TRUE(WriteTlsIdentity(path, ca_->ToPem()).ok());
  struct stat info;
  ASSERT_EQ(stat((path + ".key").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  const auto again = *CertificateAuthority::FromPem(*ReadTlsIdentity(path), clock_);
  EXPECT_EQ(Verify(ca_->certificate_pem(), again->IssueNode("west-1a")->certificate_pem, "west-1a",
                   clock_.WallNow()),
            X509_V_OK);
  EXPECT_TRUE(absl::IsNotFound(ReadTlsIdentity(folder.path() + "/missing").status()));
}

TEST_F(CertificateAuthorityTest, RefusesPartsThatDoNotBelongTogether) {
  TlsIdentity mixed = ca_->ToPem();
  mixed.private_key_pem = (*CertificateAuthority::Create("other", clock_))->ToPem().private_key_pem;
  EXPECT_TRUE(absl::IsDataLoss(CertificateAuthority::FromPem(mixed, clock_).status()));
  EXPECT_TRUE(absl::IsDataLoss(CertificateAuthority::FromPem({"x", "y"}, clock_).status()));
  EXPECT_TRUE(absl::IsDataLoss(CertificateAuthority::FromPem({}, clock_).status()));
}

TEST_F(CertificateAuthorityTest, RefusesNamesThatAreNoHosts) {
  for (const char* name : {"", "a,DNS:b", "a b", "*", "email:x", "a\n"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(ca_->IssueNode(name).status())) << name;
    EXPECT_TRUE(absl::IsInvalidArgument(ca_->IssueNode("a", {name}).status())) << name;
  }
  EXPECT_TRUE(absl::IsInvalidArgument(ca_->IssueNode(std::string(65, 'a')).status()));
}

TEST_F(CertificateAuthorityTest, APeersNodeIdIsItsCertificatesFirstName) {
  const TlsIdentity node = *ca_->IssueNode("east-1a", {"store.example", "10.0.0.1", "east-1b"});
  const std::vector<std::string> names = *SubjectAltDnsNames(node.certificate_pem);
  EXPECT_EQ(names, (std::vector<std::string>{"east-1a", "localhost", "store.example", "east-1b"}));
  EXPECT_EQ(NodeOfCertificate(names), "east-1a");
  EXPECT_EQ(NodeOfCertificate({}), "");
  EXPECT_TRUE(SubjectAltDnsNames(ca_->certificate_pem())->empty());
  EXPECT_TRUE(absl::IsInvalidArgument(SubjectAltDnsNames("not a certificate").status()));
}

}  // namespace
}  // namespace meridian::crypto
