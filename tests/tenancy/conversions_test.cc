#include "tenancy/conversions.h"

#include <gtest/gtest.h>

#include "tests/tenancy/testing.h"

namespace meridian::tenancy {
namespace {

using State = Conversion::State;

class ConversionsTest : public testing::Test {
 protected:
  ConversionsTest() { EXPECT_TRUE(catalog_.CreateContainer(tenant_, "photos").ok()); }

  ContainerRecord Record() { return *catalog_.containers.Get(tenant_, "photos"); }
  ConversionCatalog::Id Id() { return {tenant_, Record().id}; }
  absl::StatusOr<ContainerRecord> Start(Redundancy target, const std::string& request_id = "") {
    return conversions_.Start(tenant_, "photos",
                              {target, Record().partition_generation, request_id});
  }
  absl::Status Pause() { return conversions_.Pause(tenant_, "photos").status(); }
  absl::Status Resume() { return conversions_.Resume(tenant_, "photos").status(); }
  absl::Status Cancel() { return conversions_.Cancel(tenant_, "photos").status(); }
  absl::Status End() { return conversions_.End(Id(), Record().partition_generation).status(); }

  TestCatalog catalog_;
  const TenantId tenant_ = catalog_.tenants.Create("acme", "", "")->id;
  ConversionCatalog conversions_{catalog_.store, catalog_.containers};
};

TEST_F(ConversionsTest, TheNewRedundancyHoldsOnlyAtTheEnd) {
  const uint64_t before = Record().partition_generation;
  const auto started = Start(Redundancy::kLrs);
  ASSERT_TRUE(started.ok()) << started.status();
  EXPECT_EQ(Record().redundancy, Redundancy::kZrs);
  EXPECT_EQ(Record().wanted_redundancy(), Redundancy::kLrs);
  EXPECT_EQ(Record().conversion->state, State::kRunning);
  EXPECT_GT(Record().partition_generation, before);
  EXPECT_EQ(*conversions_.List(), (std::vector<ConversionCatalog::Id>{Id()}));
  ASSERT_TRUE(End().ok());
  EXPECT_EQ(Record().redundancy, Redundancy::kLrs);
  EXPECT_FALSE(Record().conversion);
  EXPECT_TRUE(conversions_.List()->empty());
  EXPECT_TRUE(absl::IsAborted(End())) << "there is none any more";
}

TEST_F(ConversionsTest, WhatIsCancelledEndsWithTheOldRedundancy) {
  ASSERT_TRUE(Start(Redundancy::kLrs).ok());
  ASSERT_TRUE(Pause().ok());
  ASSERT_TRUE(Cancel().ok());
  EXPECT_TRUE(Cancel().ok());
  EXPECT_EQ(Record().wanted_redundancy(), Redundancy::kZrs);
  EXPECT_TRUE(absl::IsFailedPrecondition(Pause()));
  EXPECT_TRUE(absl::IsFailedPrecondition(Start(Redundancy::kLrs).status()));
  ASSERT_TRUE(End().ok());
  EXPECT_EQ(Record().redundancy, Redundancy::kZrs);
  EXPECT_TRUE(absl::IsFailedPrecondition(Cancel()));
  EXPECT_TRUE(Start(Redundancy::kLrs).ok());
}

// The old redundancy may not be to be had any more.
TEST_F(ConversionsTest, ACancellationIsTakenBack) {
  ASSERT_TRUE(Start(Redundancy::kLrs).ok());
  ASSERT_TRUE(Cancel().ok());
  const uint64_t cancelling = Record().partition_generation;
  ASSERT_TRUE(Resume().ok());
  EXPECT_EQ(Record().wanted_redundancy(), Redundancy::kLrs);
  EXPECT_TRUE(absl::IsAborted(conversions_.End(Id(), cancelling).status()));
  ASSERT_TRUE(End().ok());
  EXPECT_EQ(Record().redundancy, Redundancy::kLrs);
}

TEST_F(ConversionsTest, PausesAndGoesOn) {
  EXPECT_TRUE(absl::IsFailedPrecondition(Pause()));
  EXPECT_TRUE(absl::IsFailedPrecondition(Resume()));
  ASSERT_TRUE(Start(Redundancy::kLrs).ok());
  EXPECT_TRUE(Resume().ok());
  ASSERT_TRUE(Pause().ok());
  const uint64_t paused = Record().partition_generation;
  EXPECT_TRUE(Pause().ok());
  EXPECT_EQ(Record().partition_generation, paused) << "nothing has changed";
  EXPECT_EQ(Record().conversion->state, State::kPaused);
  EXPECT_EQ(Record().wanted_redundancy(), Redundancy::kLrs);
  ASSERT_TRUE(Resume().ok());
  EXPECT_EQ(Record().conversion->state, State::kRunning);
}

TEST_F(ConversionsTest, RefusesWhatTheContainerHasAndASecondOne) {
  EXPECT_TRUE(absl::IsFailedPrecondition(Start(Redundancy::kZrs).status()));
  ASSERT_TRUE(Start(Redundancy::kLrs).ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(Start(Redundancy::kLrs).status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(Start(Redundancy::kZrs).status()));
  EXPECT_TRUE(
      absl::IsNotFound(conversions_.Start(tenant_, "other", {Redundancy::kLrs, 1, ""}).status()));
}

TEST_F(ConversionsTest, ARetriedRequestIsDoneOnceAlsoAfterItsEnd) {
  ASSERT_TRUE(Start(Redundancy::kLrs, Counting(16)).ok());
  EXPECT_TRUE(Start(Redundancy::kLrs, Counting(16)).ok());
  EXPECT_FALSE(Start(Redundancy::kLrs, Counting(16, 1)).ok());
  ASSERT_TRUE(End().ok());
  const auto late = Start(Redundancy::kLrs, Counting(16));
  ASSERT_TRUE(late.ok()) << late.status();
  EXPECT_FALSE(late->conversion);
}

// P7: what was decided by another set of partitions, or in another state, has no effect.
TEST_F(ConversionsTest, AStepOfAnotherGenerationIsRefused) {
  const uint64_t before = Record().partition_generation;
  ASSERT_TRUE(Start(Redundancy::kLrs).ok());
  const uint64_t running = Record().partition_generation;
  ASSERT_TRUE(Cancel().ok());
  EXPECT_TRUE(absl::IsAborted(conversions_.End(Id(), running).status()));
  ASSERT_TRUE(End().ok());
  EXPECT_TRUE(absl::IsAborted(
      conversions_.Start(tenant_, "photos", {Redundancy::kLrs, before, ""}).status()));
}

TEST_F(ConversionsTest, OfAnEndAndACancellationAtOnceOneWins) {
  ASSERT_TRUE(Start(Redundancy::kLrs).ok());
  catalog_.coordination.before_commit = [this] { EXPECT_TRUE(Cancel().ok()); };
  EXPECT_TRUE(absl::IsAborted(End()));
  EXPECT_EQ(Record().redundancy, Redundancy::kZrs);
  EXPECT_EQ(Record().conversion->state, State::kCancelling);
}

TEST_F(ConversionsTest, ProgressIsThereWhileItIsUnderWay) {
  const ConversionProgress progress{1, 3, 100, 400, absl::FromUnixSeconds(77), "slow"};
  ASSERT_TRUE(conversions_.PutProgress(Id(), progress).ok());
  EXPECT_FALSE(conversions_.FindProgress(Id())->has_value()) << "none is under way";
  ASSERT_TRUE(Start(Redundancy::kLrs).ok());
  EXPECT_FALSE(conversions_.FindProgress(Id())->has_value()) << "nothing has been measured";
  ASSERT_TRUE(conversions_.PutProgress(Id(), progress).ok());
  ASSERT_TRUE(Pause().ok());
  EXPECT_EQ(*conversions_.FindProgress(Id()), progress);
  ASSERT_TRUE(End().ok());
  EXPECT_FALSE(conversions_.FindProgress(Id())->has_value());
}

TEST_F(ConversionsTest, GoWithTheirContainer) {
  ASSERT_TRUE(Start(Redundancy::kLrs).ok());
  const ConversionCatalog::Id id = Id();
  ASSERT_TRUE(catalog_.DeleteContainer(tenant_, "photos").ok());
  EXPECT_TRUE(conversions_.List()->empty());
  EXPECT_TRUE(absl::IsNotFound(conversions_.End(id, 1).status()));
}

}  // namespace
}  // namespace meridian::tenancy
