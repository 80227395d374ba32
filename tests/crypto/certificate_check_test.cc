#include "crypto/certificate_check.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "tests/crypto/testing.h"

namespace meridian::crypto {
namespace {

class CertificateCheckTest : public ::testing::Test {
 protected:
  std::unique_ptr<CertificateAuthority> NewAuthority() {
    return *CertificateAuthority::Create("Meridian development CA", clock_);
  }
  bool Usable(const std::string& ca_pem, const std::string& certificate, const std::string& key) {
    const absl::Status checked = CheckUsable(ca_pem, {certificate, key});
    EXPECT_TRUE(checked.ok() || absl::IsInvalidArgument(checked)) << checked;
    return checked.ok();
  }
  bool Issued(const std::string& ca_pem, const std::string& certificate, absl::Time now) {
    const absl::Status checked = CheckIssued(ca_pem, certificate, now);
    EXPECT_TRUE(checked.ok() || absl::IsInvalidArgument(checked)) << checked;
    return checked.ok();
  }

  ManualClock clock_;
  const std::unique_ptr<CertificateAuthority> ca_ = NewAuthority();
  const std::string ca_pem_ = ca_->certificate_pem();
  const TlsIdentity node_ = *ca_->IssueNode("east-1a");
};

TEST_F(CertificateCheckTest, WhatBelongsTogetherIsUsable) {
  EXPECT_TRUE(Usable(ca_pem_, node_.certificate_pem, node_.private_key_pem));
  EXPECT_TRUE(Usable(ca_pem_, node_.certificate_pem + ca_pem_, node_.private_key_pem));
}

TEST_F(CertificateCheckTest, WhatIsDamagedOrOfTwoCertificatesIsNotUsable) {
  const TlsIdentity other = *ca_->IssueNode("east-1a");
  EXPECT_FALSE(Usable(ca_pem_, node_.certificate_pem, other.private_key_pem));
  const auto half = [](const std::string& pem) { return pem.substr(0, pem.size() / 2); };
  EXPECT_FALSE(Usable(half(ca_pem_), node_.certificate_pem, node_.private_key_pem));
  EXPECT_FALSE(Usable(ca_pem_, half(node_.certificate_pem), node_.private_key_pem));
  EXPECT_FALSE(Usable(ca_pem_, node_.certificate_pem, half(node_.private_key_pem)));
  EXPECT_FALSE(Usable(ca_pem_ + half(NewAuthority()->certificate_pem()), node_.certificate_pem,
                      node_.private_key_pem));
  EXPECT_FALSE(Usable(ca_pem_, node_.certificate_pem + half(ca_pem_), node_.private_key_pem));
  EXPECT_FALSE(Usable("", node_.certificate_pem, node_.private_key_pem));
  EXPECT_FALSE(Usable(ca_pem_, "", node_.private_key_pem));
  EXPECT_FALSE(Usable(ca_pem_, node_.certificate_pem, ""));
}

TEST_F(CertificateCheckTest, ACertificateIsOfOneOfTheAuthorities) {
  const auto next = NewAuthority();
  const absl::Time now = clock_.WallNow();
  EXPECT_TRUE(Issued(ca_pem_, node_.certificate_pem, now));
  EXPECT_TRUE(Issued(next->certificate_pem() + ca_pem_, node_.certificate_pem, now));
  EXPECT_FALSE(Issued(next->certificate_pem(), node_.certificate_pem, now));
  EXPECT_FALSE(Issued("", node_.certificate_pem, now));
  EXPECT_FALSE(Issued(ca_pem_, "", now));
}

TEST_F(CertificateCheckTest, ACertificateIsNotValidForEver) {
  const absl::Time now = clock_.WallNow();
  EXPECT_FALSE(Issued(ca_pem_, node_.certificate_pem, now - absl::Hours(2)));
  EXPECT_TRUE(Issued(ca_pem_, node_.certificate_pem, now + absl::Hours(24 * 364)));
  EXPECT_FALSE(Issued(ca_pem_, node_.certificate_pem, now + absl::Hours(24 * 366)));
}

}  // namespace
}  // namespace meridian::crypto
