// The checker against histories written by hand: what it must accept and what it must catch.
#include "tests/simulation/checker.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace meridian::simulation {
namespace {

using Kind = Operation::Kind;
using Outcome = Operation::Outcome;

VersionId Version(char c) { return *VersionId::FromBytes(std::string(16, c)); }
absl::Duration At(int64_t ms) { return absl::Milliseconds(ms); }

Operation Put(char version, int64_t timestamp, int64_t invoked, int64_t returned) {
  return {.kind = Kind::kPut,
          .name = "object",
          .invoked = At(invoked),
          .returned = At(returned),
          .attempts = {Version(version)},
          .body_digest = static_cast<uint64_t>(version),
          .outcome = Outcome::kDone,
          .version = Version(version),
          .timestamp = Timestamp(timestamp)};
}
Operation UnknownPut(char version, int64_t invoked) {
  return {.kind = Kind::kPut,
          .name = "object",
          .invoked = At(invoked),
          .attempts = {Version(version)},
          .body_digest = static_cast<uint64_t>(version)};
}
Operation Get(char version, int64_t timestamp, int64_t invoked, int64_t returned) {
  return {.kind = Kind::kGet,
          .name = "object",
          .invoked = At(invoked),
          .returned = At(returned),
          .body_digest = static_cast<uint64_t>(version),
          .outcome = Outcome::kDone,
          .version = Version(version),
          .timestamp = Timestamp(timestamp)};
}
Operation GetAbsent(int64_t invoked, int64_t returned) {
  return {.kind = Kind::kGet,
          .name = "object",
          .invoked = At(invoked),
          .returned = At(returned),
          .outcome = Outcome::kAbsent};
}
Operation Delete(int64_t timestamp, int64_t invoked, int64_t returned) {
  return {.kind = Kind::kDelete,
          .name = "object",
          .invoked = At(invoked),
          .returned = At(returned),
          .outcome = Outcome::kDone,
          .timestamp = Timestamp(timestamp)};
}
Operation UnknownDelete(int64_t invoked) {
  return {.kind = Kind::kDelete, .name = "object", .invoked = At(invoked)};
}
Operation IfMatch(char expected, Operation put) {
  put.if_match = Version(expected);
  return put;
}
Operation IfNoneMatch(Operation put) {
  put.if_none_match = true;
  return put;
}
// `seen` 0: nothing is there.
Operation Refused(Operation put, char seen) {
  put.outcome = Outcome::kPreconditionFailed;
  put.version = seen == 0 ? VersionId() : Version(seen);
  put.timestamp = Timestamp();
  return put;
}

bool Accepts(const History& history) {
  const std::vector<std::string> violations = CheckHistory(history);
  for (const std::string& violation : violations) std::fprintf(stderr, "%s\n", violation.c_str());
  return violations.empty();
}
bool Catches(const History& history) { return !CheckHistory(history).empty(); }

TEST(Checker, AcceptsAnEmptyHistory) { EXPECT_TRUE(Accepts({})); }

TEST(Checker, AcceptsOperationsOneAfterTheOther) {
  EXPECT_TRUE(Accepts({GetAbsent(0, 1), Put('a', 1, 2, 3), Get('a', 1, 4, 5), Put('b', 2, 6, 7),
                       Get('b', 2, 8, 9), Delete(3, 10, 11), GetAbsent(12, 13)}));
}

TEST(Checker, AcceptsOverlappingOperationsInEitherOrder) {
  EXPECT_TRUE(Accepts({Put('a', 1, 0, 10), Put('b', 2, 0, 10), Get('a', 1, 0, 10),
                       Get('b', 2, 0, 10), GetAbsent(0, 10)}));
  EXPECT_TRUE(Accepts({Put('a', 2, 0, 10), Put('b', 1, 0, 10), Get('a', 2, 5, 12)}));
}

TEST(Checker, CatchesAStaleRead) {
  EXPECT_TRUE(Catches({Put('a', 1, 0, 1), Put('b', 2, 2, 3), Get('a', 1, 4, 5)}));
}

TEST(Checker, CatchesReadsThatGoBackInTime) {
  EXPECT_TRUE(
      Catches({Put('a', 1, 0, 1), Put('b', 2, 2, 20), Get('b', 2, 4, 5), Get('a', 1, 6, 7)}));
}

TEST(Checker, CatchesALostAcknowledgedWrite) {
  EXPECT_TRUE(Catches({Put('a', 1, 0, 1), GetAbsent(2, 3)}));
  EXPECT_TRUE(Catches({Put('a', 1, 0, 1), Put('b', 2, 2, 3), GetAbsent(4, 5)}));
}

TEST(Checker, CatchesVersionsOrderedAgainstTime) {
  EXPECT_TRUE(Catches({Put('a', 2, 0, 1), Put('b', 1, 2, 3)}));
}

TEST(Checker, CatchesAWriteThatIsReadBeforeItBegan) {
  EXPECT_TRUE(Catches({Get('a', 1, 0, 1), Put('a', 1, 2, 3)}));
}

TEST(Checker, CatchesAVersionThatNobodyWrote) {
  EXPECT_TRUE(Catches({Put('a', 1, 0, 1), Get('z', 2, 2, 3)}));
}

TEST(Checker, CatchesOtherBytes) {
  Operation get = Get('a', 1, 2, 3);
  get.body_digest = 'b';
  EXPECT_TRUE(Catches({Put('a', 1, 0, 1), get}));
}

TEST(Checker, IgnoresTheBodyOfAListing) {
  Operation listed = Get('a', 1, 2, 3);
  listed.body_digest.reset();
  EXPECT_TRUE(Accepts({Put('a', 1, 0, 1), listed}));
}

TEST(Checker, CountsAnUnknownWriteOnlyIfItIsSeen) {
  EXPECT_TRUE(Accepts({UnknownPut('a', 0), GetAbsent(2, 3)}));
  EXPECT_TRUE(Accepts({UnknownPut('a', 0), GetAbsent(2, 3), Get('a', 5, 4, 5)}));
  EXPECT_TRUE(Catches({UnknownPut('a', 0), Get('a', 5, 4, 5), GetAbsent(6, 7)}));
}

TEST(Checker, AnUnknownWriteMayTakeEffectLate) {
  EXPECT_TRUE(
      Accepts({UnknownPut('a', 0), Put('b', 1, 1, 2), Get('b', 1, 3, 4), Get('a', 9, 50, 51)}));
}

TEST(Checker, CatchesAWriteThatTookEffectTwice) {
  Operation put = UnknownPut('a', 0);
  put.attempts.push_back(Version('b'));
  Operation get = Get('b', 2, 4, 5);
  get.body_digest = put.body_digest;
  EXPECT_TRUE(Accepts({put, get}));
  EXPECT_TRUE(Catches({put, Get('a', 1, 2, 3), get}));
}

TEST(Checker, CatchesAVersionWhoseCommitTimeChanges) {
  EXPECT_TRUE(Catches({Put('a', 1, 0, 1), Get('a', 2, 2, 3)}));
}

TEST(Checker, AnUnknownDeleteExplainsAbsence) {
  EXPECT_TRUE(Accepts({Put('a', 1, 0, 1), UnknownDelete(2), GetAbsent(3, 4)}));
  EXPECT_TRUE(Accepts({Put('a', 1, 0, 1), UnknownDelete(2), Get('a', 1, 3, 4), GetAbsent(5, 6)}));
}

TEST(Checker, AnUnknownDeleteDoesNotExplainWhatCameBeforeOrABack) {
  EXPECT_TRUE(Catches({Put('a', 1, 0, 1), GetAbsent(2, 3), UnknownDelete(4)}));
  EXPECT_TRUE(Catches({Put('a', 1, 0, 1), UnknownDelete(2), GetAbsent(3, 4), Get('a', 1, 5, 6)}));
}

TEST(Checker, CatchesADeleteThatIsUndone) {
  EXPECT_TRUE(Catches({Put('a', 1, 0, 1), Delete(2, 2, 3), Get('a', 1, 4, 5)}));
}

TEST(Checker, AcceptsConditionsThatHeld) {
  EXPECT_TRUE(Accepts({IfNoneMatch(Put('a', 1, 0, 1)), IfMatch('a', Put('b', 2, 2, 3)),
                       Delete(3, 4, 5), IfNoneMatch(Put('c', 4, 6, 7))}));
}

TEST(Checker, CatchesTwoConditionalWritesThatBothSucceed) {
  EXPECT_TRUE(Catches(
      {Put('a', 1, 0, 1), IfMatch('a', Put('b', 2, 2, 9)), IfMatch('a', Put('c', 3, 2, 9))}));
  EXPECT_TRUE(Catches({IfNoneMatch(Put('a', 1, 0, 9)), IfNoneMatch(Put('b', 2, 0, 9))}));
}

TEST(Checker, AnUnknownDeleteExplainsACreationThatFoundNothing) {
  EXPECT_TRUE(Accepts({Put('a', 1, 0, 1), UnknownDelete(2), IfNoneMatch(Put('b', 2, 3, 4))}));
}

TEST(Checker, AFailedPreconditionIsARead) {
  EXPECT_TRUE(Accepts(
      {Put('a', 1, 0, 1), Put('b', 2, 2, 3), Refused(IfMatch('a', UnknownPut('c', 4)), 'b')}));
  Operation stale = Refused(IfMatch('z', Put('c', 0, 4, 5)), 'a');
  EXPECT_TRUE(Catches({Put('a', 1, 0, 1), Put('b', 2, 2, 3), stale}));
  Operation blind = Refused(IfMatch('a', Put('c', 0, 4, 5)), 0);
  EXPECT_TRUE(Catches({Put('a', 1, 0, 1), blind}));
}

TEST(Checker, CatchesARefusalWhoseConditionHeld) {
  EXPECT_TRUE(Catches({Put('a', 1, 0, 1), Refused(IfMatch('a', Put('b', 0, 2, 3)), 'a')}));
  EXPECT_TRUE(Catches({Refused(IfNoneMatch(Put('b', 0, 2, 3)), 0)}));
}

TEST(Checker, KeepsObjectsApart) {
  Operation other = GetAbsent(2, 3);
  other.name = "other";
  EXPECT_TRUE(Accepts({Put('a', 1, 0, 1), other}));
}

// A long history is checked in one sweep, not by search.
TEST(Checker, ChecksManyOverlappingOperations) {
  History history;
  for (int i = 0; i < 20000; ++i) {
    Operation put = Put('a', i + 1, i, i + 50);
    std::string id(16, 'x');
    id.replace(0, 8, std::to_string(10000000 + i));
    put.version = *VersionId::FromBytes(id);
    put.attempts = {put.version};
    Operation get = put;
    get.kind = Kind::kGet;
    get.attempts.clear();
    history.push_back(put);
    history.push_back(get);
  }
  EXPECT_TRUE(Accepts(history));
}

}  // namespace
}  // namespace meridian::simulation
