#include "server/group_scrubs.h"

#include <gtest/gtest.h>

#include <string>

namespace meridian::server {
namespace {

ReplicaId Id(char c) { return *ReplicaId::FromBytes(std::string(16, c)); }

replication::StateComparison Of(std::map<ReplicaId, absl::StatusOr<std::string>> digests) {
  return {LogIndex(7), std::move(digests)};
}

using Ids = std::set<ReplicaId>;

TEST(Judge, EqualHashesAreEqual) {
  const auto verdict = Judge(Of({{Id('a'), "x"}, {Id('b'), "x"}, {Id('c'), "x"}}));
  EXPECT_TRUE(verdict.differing.empty());
  EXPECT_TRUE(verdict.uncompared.empty());
}

TEST(Judge, TheMinorityDiffersBeItTheLeader) {
  EXPECT_EQ(Judge(Of({{Id('a'), "y"}, {Id('b'), "x"}, {Id('c'), "x"}})).differing, Ids{Id('a')});
}

TEST(Judge, WithoutAMajorityNobodyCanBeBelieved) {
  EXPECT_EQ(Judge(Of({{Id('a'), "x"}, {Id('b'), "y"}, {Id('c'), "z"}})).differing,
            (Ids{Id('a'), Id('b'), Id('c')}));
  const auto verdict =
      Judge(Of({{Id('a'), "x"}, {Id('b'), "y"}, {Id('c'), absl::UnavailableError("silent")}}));
  EXPECT_EQ(verdict.differing, (Ids{Id('a'), Id('b')}));
  EXPECT_EQ(verdict.uncompared, Ids{Id('c')});
}

TEST(Judge, WhoDidNotAnswerIsNotCalledDifferent) {
  const auto verdict =
      Judge(Of({{Id('a'), "x"}, {Id('b'), "x"}, {Id('c'), absl::OutOfRangeError("past")}}));
  EXPECT_TRUE(verdict.differing.empty());
  EXPECT_EQ(verdict.uncompared, Ids{Id('c')});
}

}  // namespace
}  // namespace meridian::server
