#include "server/node_publisher.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/random.h"
#include "tests/tenancy/testing.h"

namespace meridian::server {
namespace {

class NodePublisherTest : public testing::Test {
 protected:
  NodePublisher Process(std::vector<DiskId> disks) {
    return NodePublisher(store_, "n", std::move(disks), absl::Milliseconds(50));
  }
  static NodeRecord Record(std::vector<DiskId> disks, const std::string& zone = "east-1") {
    return {"public:1", "internal:1", std::move(disks), "east", zone};
  }
  std::optional<NodeRecord> Row() {
    for (const coordination::KeyValue& row : store_.Rows()) {
      if (row.key == NodeKeyOf("n")) return *DecodeNodeRecord(row.value);
    }
    return std::nullopt;
  }
  std::unique_ptr<coordination::CoordinationStore::Presence> Run() {
    auto presence = store_.Announce(AliveKeyOf("n"), "", absl::Seconds(10));
    store_.Settle();
    return presence;
  }

  SystemRandom random_;
  tenancy::TestStore store_;
  const DiskId a_ = DiskId::Draw(random_);
  const DiskId b_ = DiskId::Draw(random_);
};

TEST_F(NodePublisherTest, TellsWhereANodeIsAndWhatBecomesOfItsDisks) {
  NodePublisher process = Process({a_, b_});
  ASSERT_TRUE(process.Publish(Record({a_, b_})).ok());
  EXPECT_EQ(Row(), Record({a_, b_}));
  const auto runs = Run();
  for (const auto& disks : std::vector<std::vector<DiskId>>{{b_}, {}, {a_}}) {
    ASSERT_TRUE(process.Publish(Record(disks)).ok());
    EXPECT_EQ(Row(), Record(disks));
  }
  const int before = store_.operations();
  ASSERT_TRUE(process.Publish(Record({a_})).ok());
  EXPECT_EQ(store_.operations(), before) << "nothing new";
}

// `node remove` compares the row: a node that starts keeps its place.
TEST_F(NodePublisherTest, AStartWritesTheRowAlsoIfNothingHasChanged) {
  ASSERT_TRUE(Process({a_}).Publish(Record({a_})).ok());
  const int64_t before = store_.Rows().front().mod_revision;
  ASSERT_TRUE(Process({a_}).Publish(Record({a_})).ok());
  EXPECT_GT(store_.Rows().front().mod_revision, before);
}

TEST_F(NodePublisherTest, ANodeThatHasDisksDoesNotMove) {
  ASSERT_TRUE(Process({a_}).Publish(Record({a_})).ok());
  const absl::Status moved = Process({a_}).Publish(Record({a_}, "east-2"));
  EXPECT_TRUE(absl::IsFailedPrecondition(moved)) << moved;
  EXPECT_EQ(Row(), Record({a_}));
}

// A configuration that was copied to a second machine.
TEST_F(NodePublisherTest, AnotherMachineDoesNotTakeTheNameOfANodeThatRuns) {
  ASSERT_TRUE(Process({a_}).Publish(Record({a_})).ok());
  auto first = Run();
  const absl::Status second = Process({b_}).Publish(Record({b_}));
  EXPECT_TRUE(absl::IsFailedPrecondition(second)) << second;
  EXPECT_EQ(Row(), Record({a_}));
  // One disk of the node's own is enough: the other one was replaced.
  EXPECT_TRUE(Process({b_, a_}).Publish(Record({b_, a_})).ok());
  // All disks were replaced.
  first.reset();
  store_.Settle();
  EXPECT_TRUE(Process({DiskId::Draw(random_)}).Publish(Record({b_})).ok());
}

TEST_F(NodePublisherTest, ANodeWhoseNameWasTakenDoesNotTakeItBack) {
  NodePublisher process = Process({a_});
  ASSERT_TRUE(process.Publish(Record({a_})).ok());
  store_.Overwrite(NodeKeyOf("n"), EncodeNodeRecord(Record({b_})));
  EXPECT_TRUE(absl::IsFailedPrecondition(process.Publish(Record({}))));
  EXPECT_EQ(Row(), Record({b_}));
}

TEST_F(NodePublisherTest, WhatChangesMeanwhileIsReadAgain) {
  NodePublisher process = Process({a_, b_});
  store_.before_commit = [this] {
    store_.Overwrite(NodeKeyOf("n"), EncodeNodeRecord(Record({b_}, "west-1")));
  };
  const absl::Status status = process.Publish(Record({a_}));
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_EQ(Row(), Record({b_}, "west-1"));
}

TEST_F(NodePublisherTest, AStoreThatIsAwaySaysSo) {
  store_.reachable = false;
  EXPECT_TRUE(absl::IsUnavailable(Process({a_}).Publish(Record({a_}))));
}

}  // namespace
}  // namespace meridian::server
