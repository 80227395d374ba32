#include "storage/store/ballast.h"

#include <gtest/gtest.h>

#include <memory>

#include "tests/fakes/fault_disk.h"

namespace meridian::storage {
namespace {

constexpr uint64_t kBytes = 1 << 20;

class BallastTest : public testing::Test {
 protected:
  uint64_t FreeBytes() { return *disk_->FreeBytes(); }

  FaultDisk fault_{1};
  std::unique_ptr<Disk> disk_ = fault_.Attach();
  Ballast ballast_{*disk_, kBytes};
};

TEST_F(BallastTest, HoldsSpaceUntilItIsReleased) {
  const uint64_t before = FreeBytes();
  ASSERT_TRUE(ballast_.Take().ok());
  EXPECT_EQ(FreeBytes(), before - kBytes);
  ASSERT_TRUE(ballast_.Take().ok());
  EXPECT_EQ(FreeBytes(), before - kBytes);
  EXPECT_TRUE(*ballast_.Release());
  EXPECT_EQ(FreeBytes(), before);
  EXPECT_FALSE(*ballast_.Release()) << "there is none any more";
}

TEST_F(BallastTest, IsNotTakenFromADiskThatIsAlmostFull) {
  fault_.set_capacity_bytes(2 * kBytes - 1);
  ASSERT_TRUE(ballast_.Take().ok());
  EXPECT_FALSE(*ballast_.Release());
  fault_.set_capacity_bytes(2 * kBytes);
  ASSERT_TRUE(ballast_.Take().ok());
  EXPECT_EQ(FreeBytes(), kBytes);
}

TEST_F(BallastTest, IsTakenOverFromAnEarlierLife) {
  ASSERT_TRUE(ballast_.Take().ok());
  fault_.set_capacity_bytes(kBytes);  // by now the disk is full
  Ballast later(*disk_, kBytes);
  ASSERT_TRUE(later.Take().ok());
  EXPECT_TRUE(*later.Release());
  EXPECT_EQ(FreeBytes(), kBytes);
}

TEST_F(BallastTest, OfAnotherSizeIsMadeAnew) {
  ASSERT_TRUE(ballast_.Take().ok());
  const uint64_t free_bytes = FreeBytes();
  Ballast smaller(*disk_, kBytes / 2);
  ASSERT_TRUE(smaller.Take().ok());
  EXPECT_EQ(FreeBytes(), free_bytes + kBytes / 2);
}

TEST_F(BallastTest, MayBeRemovedByHand) {
  ASSERT_TRUE(ballast_.Take().ok());
  ASSERT_TRUE(disk_->Remove("ballast").ok());
  const auto released = ballast_.Release();
  ASSERT_TRUE(released.ok()) << released.status();
  EXPECT_FALSE(*released);
  const uint64_t before = FreeBytes();
  ASSERT_TRUE(ballast_.Take().ok());
  EXPECT_EQ(FreeBytes(), before - kBytes);
}

TEST_F(BallastTest, MayBeNone) {
  const uint64_t before = FreeBytes();
  Ballast none(*disk_, 0);
  ASSERT_TRUE(none.Take().ok());
  EXPECT_EQ(FreeBytes(), before);
  EXPECT_FALSE(*none.Release());
}

}  // namespace
}  // namespace meridian::storage
