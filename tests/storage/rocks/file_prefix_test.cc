#include "storage/rocks/file_prefix.h"

#include "absl/strings/escaping.h"
#include "base/status.h"
#include "gtest/gtest.h"

namespace meridian::storage {
namespace {

TEST(FilePrefix, MatchesTheGoldenBytes) {
  const std::string prefix = EncodeFilePrefix("wrapped key");
  ASSERT_EQ(prefix.size(), 4096u);
  EXPECT_EQ(absl::BytesToHexString(ToAbsl(std::string_view(prefix).substr(0, 27))),
            "4d52444e524f434b"          // magic
            "01000000"                  // version
            "0b000000"                  // size
            "77726170706564206b6579");  // wrapped key
  EXPECT_EQ(prefix.find_first_not_of('\0', 27), 4092u);
  EXPECT_EQ(absl::BytesToHexString(ToAbsl(std::string_view(prefix).substr(4092))), "b5792838");
}

TEST(FilePrefix, RoundTrips) {
  EXPECT_EQ(*DecodeFilePrefix(EncodeFilePrefix("")), "");
  EXPECT_EQ(*DecodeFilePrefix(EncodeFilePrefix(std::string(1024, 'k'))), std::string(1024, 'k'));
}

TEST(FilePrefix, EveryFlippedByteIsFound) {
  const std::string good = EncodeFilePrefix("wrapped key");
  for (size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] ^= 1;
    EXPECT_TRUE(absl::IsDataLoss(DecodeFilePrefix(bad).status())) << i;
  }
}

TEST(FilePrefix, AShortOrEmptyOneIsDamageNotAnEmptyFile) {
  EXPECT_TRUE(absl::IsDataLoss(DecodeFilePrefix("").status()));
  EXPECT_TRUE(absl::IsDataLoss(DecodeFilePrefix(std::string(4096, '\0')).status()));
  EXPECT_TRUE(absl::IsDataLoss(DecodeFilePrefix(EncodeFilePrefix("k").substr(0, 4095)).status()));
}

}  // namespace
}  // namespace meridian::storage
