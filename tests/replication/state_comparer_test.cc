// The replicas of a group compared with each other, while they go on.
#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "storage/state_machine.h"
#include "tests/replication/replica_group.h"

namespace meridian::replication {
namespace {

const std::string kEnd(storage::kEndOfKeys);

class StateComparerTest : public testing::Test {
 protected:
  absl::StatusOr<StateComparison> Compare(int n, const std::string& first = "",
                                          const std::string& end = kEnd) {
    std::optional<absl::StatusOr<StateComparison>> result;
    group_.replica(n).CompareState(first, end, [&](auto compared) { result = compared; });
    group_.RunUntil([&] { return result.has_value(); });
    return *result;
  }
  // A row more on that member than on the others.
  void MakeDiffer(int n) {
    group_.faults(n).twist = [](storage::KvBatch& batch) { batch.Put("kzzz", "mine alone"); };
    ASSERT_TRUE(group_.Propose(leader_, "put a b").ok());
    group_.RunFor(absl::Seconds(1));
    ASSERT_FALSE(group_.faults(n).twist);
  }

  ReplicaGroup group_{3};
  const int leader_ = group_.Leader();
  const int member_ = leader_ == 3 ? 2 : 3;
};

TEST_F(StateComparerTest, EqualReplicasHaveEqualHashesInTheMidstOfWrites) {
  int decided = 0;
  for (int i = 0; i < 200; ++i) {
    Proposal proposal;
    proposal.command = "put k" + std::to_string(i) + " v";
    group_.replica(leader_).Propose(std::move(proposal), [&](const auto&) { ++decided; });
    if (i % 20 != 10) continue;
    const auto compared = Compare(leader_);
    ASSERT_TRUE(compared.ok()) << compared.status();
    ASSERT_EQ(compared->digests.size(), 3u);
    for (const auto& [replica, digest] : compared->digests) {
      ASSERT_TRUE(digest.ok()) << digest.status();
      EXPECT_EQ(*digest, *compared->digests.begin()->second);
    }
  }
  group_.RunUntil([&] { return decided == 200; });
}

TEST_F(StateComparerTest, AReplicaThatDiffersIsToldByThePartThatHoldsTheDifference) {
  ASSERT_NO_FATAL_FAILURE(MakeDiffer(member_));
  const auto whole = Compare(leader_);
  ASSERT_TRUE(whole.ok()) << whole.status();
  for (const auto& [replica, digest] : whole->digests) {
    const bool same = *digest == *whole->digests.at(IdOf(leader_));
    EXPECT_EQ(same, replica != IdOf(member_));
  }
  const auto before = Compare(leader_, "", "kz");
  ASSERT_TRUE(before.ok()) << before.status();
  EXPECT_EQ(*before->digests.at(IdOf(member_)), *before->digests.at(IdOf(leader_)));
  const auto behind = Compare(leader_, "kz");
  ASSERT_TRUE(behind.ok()) << behind.status();
  EXPECT_NE(*behind->digests.at(IdOf(member_)), *behind->digests.at(IdOf(leader_)));
}

TEST_F(StateComparerTest, AMemberThatIsSilentIsTheOnlyOneNotCompared) {
  group_.Isolate(member_);
  const auto compared = Compare(leader_);
  ASSERT_TRUE(compared.ok()) << compared.status();
  ASSERT_EQ(compared->digests.size(), 3u);
  for (const auto& [replica, digest] : compared->digests) {
    EXPECT_EQ(digest.ok(), replica != IdOf(member_)) << digest.status();
  }
  EXPECT_TRUE(absl::IsUnavailable(compared->digests.at(IdOf(member_)).status()));
}

TEST_F(StateComparerTest, AMemberThatIsPastTheEntrySaysSo) {
  ASSERT_TRUE(group_.Propose(leader_, "put a b").ok());
  group_.RunFor(absl::Seconds(1));
  group_.filter = [&](int, int to, PeerMessage& message) {
    auto body = DecodeBody(message.body, message.attachments);
    auto* request = body.ok() ? std::get_if<DigestRequest>(&*body) : nullptr;
    if (request == nullptr || to != member_) return true;
    request->index = LogIndex(1);
    message.body = EncodeBody(*body).body;
    return true;
  };
  const auto compared = Compare(leader_);
  ASSERT_TRUE(compared.ok()) << compared.status();
  EXPECT_TRUE(absl::IsOutOfRange(compared->digests.at(IdOf(member_)).status()));
}

TEST_F(StateComparerTest, OnlyTheLeaderCompares) {
  EXPECT_TRUE(absl::IsUnavailable(Compare(member_).status()));
}

TEST_F(StateComparerTest, AStoppedReplicaAnswers) {
  std::optional<absl::Status> answer;
  group_.Isolate(member_);
  group_.replica(leader_).CompareState("", kEnd, [&](const auto& c) { answer = c.status(); });
  group_.RunFor(absl::Seconds(1));
  EXPECT_FALSE(answer.has_value());
  group_.replica(leader_).Stop();
  ASSERT_TRUE(answer.has_value());
  EXPECT_TRUE(absl::IsUnavailable(*answer)) << *answer;
}

}  // namespace
}  // namespace meridian::replication
