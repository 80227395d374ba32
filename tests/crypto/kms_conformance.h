// What every Kms does, wherever its keys are: a test suite over Providers. Instantiate
// KmsConformance.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>

#include "base/random.h"
#include "crypto/kms.h"
#include "tests/crypto/testing.h"
#include "tests/temp_folder.h"

namespace meridian::crypto {

struct Provider {
  const char* name;
  // A KMS without keys; `folder` is empty. It may hold what it lives on.
  std::function<std::shared_ptr<Kms>(const std::string& folder, Random&)> make;
};

class KmsConformance : public ::testing::TestWithParam<Provider> {
 protected:
  TempFolder folder_;
  SystemRandom random_;
  const std::shared_ptr<Kms> kms_ = GetParam().make(folder_.path(), random_);
};

TEST_P(KmsConformance, WrapsAndUnwrapsUnderANamedKey) {
  ASSERT_TRUE(kms_->CreateKey("tenant/1").ok());
  const std::string wrapped = *kms_->Wrap("tenant/1", "context", CountingKey());
  EXPECT_EQ(wrapped.find(Counting(32)), std::string::npos);
  EXPECT_EQ(kms_->Unwrap("tenant/1", "context", wrapped)->bytes(), Counting(32));
}

TEST_P(KmsConformance, UnwrapsOnlyUnderTheSameNameAndContext) {
  ASSERT_TRUE(kms_->CreateKey("a").ok());
  ASSERT_TRUE(kms_->CreateKey("b").ok());
  const std::string wrapped = *kms_->Wrap("a", "context", CountingKey());
  EXPECT_TRUE(absl::IsDataLoss(kms_->Unwrap("b", "context", wrapped).status()));
  EXPECT_TRUE(absl::IsDataLoss(kms_->Unwrap("a", "other", wrapped).status()));
  EXPECT_TRUE(absl::IsDataLoss(kms_->Unwrap("a", "context", Flipped(wrapped, 30)).status()));
  EXPECT_TRUE(absl::IsDataLoss(kms_->Unwrap("a", "context", "").status()));
}

TEST_P(KmsConformance, CreatingAKeyTwiceChangesNothing) {
  ASSERT_TRUE(kms_->CreateKey("a").ok());
  const std::string wrapped = *kms_->Wrap("a", "c", CountingKey());
  EXPECT_TRUE(absl::IsAlreadyExists(kms_->CreateKey("a")));
  EXPECT_TRUE(kms_->Unwrap("a", "c", wrapped).ok());
}

TEST_P(KmsConformance, MissingKeysAndBadNamesAreRefused) {
  EXPECT_TRUE(absl::IsNotFound(kms_->Wrap("missing", "c", CountingKey()).status()));
  EXPECT_TRUE(absl::IsNotFound(kms_->Unwrap("missing", "c", "x").status()));
  EXPECT_TRUE(absl::IsNotFound(kms_->DestroyKey("missing")));
  EXPECT_TRUE(absl::IsInvalidArgument(kms_->CreateKey("")));
  EXPECT_TRUE(absl::IsInvalidArgument(kms_->CreateKey("Upper")));
}

// I11.
TEST_P(KmsConformance, ADestroyedKeyIsGoneAndItsNameIsNeverUsedAgain) {
  ASSERT_TRUE(kms_->CreateKey("a").ok());
  const std::string wrapped = *kms_->Wrap("a", "c", CountingKey());
  ASSERT_TRUE(kms_->DestroyKey("a").ok());
  EXPECT_TRUE(absl::IsNotFound(kms_->Unwrap("a", "c", wrapped).status()));
  EXPECT_TRUE(absl::IsNotFound(kms_->Wrap("a", "c", CountingKey()).status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(kms_->CreateKey("a")));
  EXPECT_TRUE(kms_->DestroyKey("a").ok()) << "destroying again is no error";
}

}  // namespace meridian::crypto
