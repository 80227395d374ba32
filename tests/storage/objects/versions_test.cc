#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/random.h"
#include "tests/storage/objects/partition.h"

namespace meridian::objects {
namespace {

pb::Command WithIfMatch(pb::Command command, const std::string& etag) {
  command.mutable_condition()->set_if_match_etag(etag);
  return command;
}

pb::Command WithIfNoneMatch(pb::Command command) {
  command.mutable_condition()->set_if_none_match(true);
  return command;
}

std::string EtagOfNewest(const Partition& partition, std::string_view name) {
  return EtagOf(partition.Newest(name)->record);
}

TEST(Versions, AreReplacedWhenVersioningIsOff) {
  Partition partition;
  const RunId first = RunId::Draw(partition.random());
  ASSERT_EQ(partition.ApplyPut("a", first).code(), pb::Outcome::OK);
  const pb::Outcome second = partition.ApplyPut("a");
  EXPECT_EQ(partition.VersionIdsOf("a"), std::vector{second.version_id()});
  EXPECT_FALSE(partition.IsReferenced(first));
  EXPECT_EQ(partition.CountRows('i'), 0u);
}

TEST(Versions, StayWhenVersioningIsOnAndAreFoundById) {
  Partition partition;
  partition.keep_versions = true;
  std::vector<std::string> ids;
  for (int i = 0; i < 3; ++i) ids.insert(ids.begin(), partition.ApplyPut("a").version_id());
  EXPECT_EQ(partition.VersionIdsOf("a"), ids);
  for (const std::string& id : ids) EXPECT_TRUE(partition.FindVersion("a", id).has_value());
  // An id says nothing under another name.
  EXPECT_FALSE(partition.FindVersion("b", ids[0]).has_value());
  partition.ApplyPut("b");
  EXPECT_FALSE(partition.FindVersion("b", ids[1]).has_value());
}

TEST(Versions, GetTheEntrysTimestampAndNeverOneBelowTheNewest) {
  Partition partition;
  partition.keep_versions = true;
  const int64_t now = partition.now_us();
  EXPECT_EQ(partition.ApplyPut("a").timestamp_us(), now);
  partition.Advance(-absl::Hours(1));
  const pb::Outcome second = partition.ApplyPut("a");
  EXPECT_EQ(second.timestamp_us(), now + 1);
  EXPECT_EQ(partition.VersionIdsOf("a").front(), second.version_id());
}

TEST(Conditions, IfNoneMatchLetsExactlyOneOfTwoWritersWin) {
  Partition partition;
  const RunId loser = RunId::Draw(partition.random());
  const RunId winner = RunId::Draw(partition.random());
  const pb::Command one = WithIfNoneMatch(partition.Put("a", winner));
  const pb::Command two = WithIfNoneMatch(partition.Put("a", loser));
  EXPECT_EQ(partition.Apply(one, {AllChunksOf(winner, 1)}).code(), pb::Outcome::OK);
  const pb::Outcome refused = partition.Apply(two, {AllChunksOf(loser, 1)});
  EXPECT_EQ(refused.code(), pb::Outcome::PRECONDITION_FAILED);
  EXPECT_EQ(refused.current_etag(), EtagOfNewest(partition, "a"));
  EXPECT_FALSE(partition.IsReferenced(loser));
  EXPECT_TRUE(partition.KnowsRun(loser));  // its chunks are garbage
}

// P5: two pipelined if-match writes must not both succeed.
TEST(Conditions, IfMatchLetsExactlyOneOfTwoPipelinedWritersWin) {
  Partition partition;
  partition.ApplyPut("a");
  const std::string etag = EtagOfNewest(partition, "a");
  const RunId first = RunId::Draw(partition.random());
  const RunId second = RunId::Draw(partition.random());
  const pb::Command one = WithIfMatch(partition.Put("a", first), etag);
  const pb::Command two = WithIfMatch(partition.Put("a", second), etag);
  EXPECT_EQ(partition.Apply(one, {AllChunksOf(first, 1)}).code(), pb::Outcome::OK);
  EXPECT_EQ(partition.Apply(two, {AllChunksOf(second, 1)}).code(),
            pb::Outcome::PRECONDITION_FAILED);
}

TEST(Conditions, IfMatchOfWhatDoesNotExistFailsWithoutAnEtag) {
  Partition partition;
  const RunId run = RunId::Draw(partition.random());
  const pb::Outcome outcome =
      partition.Apply(WithIfMatch(partition.Put("a", run), "00"), {AllChunksOf(run, 1)});
  EXPECT_EQ(outcome.code(), pb::Outcome::PRECONDITION_FAILED);
  EXPECT_EQ(outcome.current_etag(), "");
}

TEST(Conditions, ADeleteMarkerCountsAsAbsent) {
  Partition partition;
  partition.keep_versions = true;
  partition.ApplyPut("a");
  const std::string etag = EtagOfNewest(partition, "a");
  ASSERT_EQ(partition.Apply(partition.Delete("a")).code(), pb::Outcome::OK);
  const RunId run = RunId::Draw(partition.random());
  EXPECT_EQ(
      partition.Apply(WithIfMatch(partition.Put("a", run), etag), {AllChunksOf(run, 1)}).code(),
      pb::Outcome::PRECONDITION_FAILED);
  const RunId next = RunId::Draw(partition.random());
  EXPECT_EQ(
      partition.Apply(WithIfNoneMatch(partition.Put("a", next)), {AllChunksOf(next, 1)}).code(),
      pb::Outcome::OK);
}

TEST(Delete, RemovesTheObjectWhenVersioningIsOff) {
  Partition partition;
  const RunId run = RunId::Draw(partition.random());
  partition.ApplyPut("a", run);
  const pb::Outcome outcome = partition.Apply(partition.Delete("a"));
  EXPECT_EQ(outcome.code(), pb::Outcome::OK);
  EXPECT_EQ(outcome.version_id(), "");
  EXPECT_EQ(partition.CountRows('o'), 0u);
  EXPECT_EQ(partition.CollectGarbage(partition.last_index()), std::vector{run});
  EXPECT_EQ(partition.Apply(partition.Delete("a")).code(), pb::Outcome::OBJECT_NOT_FOUND);
}

TEST(Delete, PutsAMarkerOnTopWhenVersioningIsOn) {
  Partition partition;
  partition.keep_versions = true;
  const std::string id = partition.ApplyPut("a").version_id();
  const pb::Outcome outcome = partition.Apply(partition.Delete("a"));
  ASSERT_EQ(outcome.code(), pb::Outcome::OK);
  EXPECT_EQ(partition.VersionIdsOf("a"), (std::vector{outcome.version_id(), id}));
  EXPECT_TRUE(partition.Newest("a")->record.delete_marker());
  EXPECT_EQ(partition.Apply(partition.Delete("a")).code(), pb::Outcome::OBJECT_NOT_FOUND);
}

// Without the marker the older version would come to light.
TEST(Delete, HidesVersionsFromATimeWhenVersioningWasOn) {
  Partition partition;
  partition.keep_versions = true;
  const std::string old = partition.ApplyPut("a").version_id();
  const RunId run = RunId::Draw(partition.random());
  partition.ApplyPut("a", run);
  partition.keep_versions = false;
  const pb::Outcome outcome = partition.Apply(partition.Delete("a"));
  EXPECT_EQ(partition.VersionIdsOf("a"), (std::vector{outcome.version_id(), old}));
  EXPECT_TRUE(partition.Newest("a")->record.delete_marker());
  EXPECT_FALSE(partition.IsReferenced(run));
}

TEST(Delete, RefusesAStaleIfMatch) {
  Partition partition;
  partition.ApplyPut("a");
  const std::string stale = EtagOfNewest(partition, "a");
  partition.ApplyPut("a");
  const pb::Outcome outcome = partition.Apply(WithIfMatch(partition.Delete("a"), stale));
  EXPECT_EQ(outcome.code(), pb::Outcome::PRECONDITION_FAILED);
  EXPECT_EQ(outcome.current_etag(), EtagOfNewest(partition, "a"));
  EXPECT_TRUE(partition.Newest("a").has_value());
}

TEST(DeleteVersion, OfTheNewestBringsTheOneBeforeBack) {
  Partition partition;
  partition.keep_versions = true;
  std::vector<std::string> ids;
  for (int i = 0; i < 3; ++i) ids.insert(ids.begin(), partition.ApplyPut("a").version_id());
  ASSERT_EQ(partition.Apply(partition.DeleteVersion("a", ids[0])).code(), pb::Outcome::OK);
  EXPECT_EQ(partition.Newest("a")->record.version_id(), ids[1]);
  EXPECT_EQ(partition.CountRows('i'), 1u);  // exactly those that are not the newest
  ASSERT_EQ(partition.Apply(partition.DeleteVersion("a", ids[2])).code(), pb::Outcome::OK);
  EXPECT_EQ(partition.CountRows('i'), 0u);
  ASSERT_EQ(partition.Apply(partition.DeleteVersion("a", ids[1])).code(), pb::Outcome::OK);
  EXPECT_EQ(partition.CountRows('o'), 0u);
  EXPECT_EQ(partition.Apply(partition.DeleteVersion("a", ids[1])).code(),
            pb::Outcome::VERSION_NOT_FOUND);
}

TEST(DeleteVersion, OfAMarkerRestoresTheObject) {
  Partition partition;
  partition.keep_versions = true;
  const std::string id = partition.ApplyPut("a").version_id();
  const std::string marker = partition.Apply(partition.Delete("a")).version_id();
  ASSERT_EQ(partition.Apply(partition.DeleteVersion("a", marker)).code(), pb::Outcome::OK);
  EXPECT_EQ(partition.Newest("a")->record.version_id(), id);
}

TEST(DeleteVersion, ComparesIfMatchWithThatVersion) {
  Partition partition;
  partition.keep_versions = true;
  const std::string old = partition.ApplyPut("a").version_id();
  const std::string old_etag = EtagOfNewest(partition, "a");
  partition.ApplyPut("a");
  EXPECT_EQ(
      partition.Apply(WithIfMatch(partition.DeleteVersion("a", old), EtagOfNewest(partition, "a")))
          .code(),
      pb::Outcome::PRECONDITION_FAILED);
  EXPECT_EQ(partition.Apply(WithIfMatch(partition.DeleteVersion("a", old), old_etag)).code(),
            pb::Outcome::OK);
}

TEST(CopyVersion, SharesTheRunUntilTheLastHolderGoes) {
  Partition partition;
  partition.keep_versions = true;
  const RunId run = RunId::Draw(partition.random());
  const std::string source = partition.ApplyPut("a", run, 3).version_id();
  partition.ApplyPut("a");
  const pb::Outcome copy = partition.Apply(partition.Copy("a", source));
  ASSERT_EQ(copy.code(), pb::Outcome::OK);
  EXPECT_EQ(copy.record().version_id(), copy.version_id());
  ASSERT_EQ(partition.Apply(partition.DeleteVersion("a", source)).code(), pb::Outcome::OK);
  EXPECT_TRUE(partition.IsReferenced(run));
  ASSERT_EQ(partition.Apply(partition.DeleteVersion("a", copy.version_id())).code(),
            pb::Outcome::OK);
  EXPECT_FALSE(partition.IsReferenced(run));
}

TEST(CopyVersion, OfTheVersionItReplacesKeepsTheRun) {
  Partition partition;
  const RunId run = RunId::Draw(partition.random());
  const std::string source = partition.ApplyPut("a", run).version_id();
  pb::Command command = partition.Copy("a", source);
  command.mutable_copy_version()->set_source_must_be_newest(true);
  ASSERT_EQ(partition.Apply(command).code(), pb::Outcome::OK);
  EXPECT_TRUE(partition.IsReferenced(run));
  EXPECT_TRUE(partition.CollectGarbage(partition.last_index()).empty());
}

TEST(CopyVersion, IsRefusedWhenTheSourceIsNoLongerTheNewest) {
  Partition partition;
  partition.keep_versions = true;
  const std::string source = partition.ApplyPut("a").version_id();
  pb::Command command = partition.Copy("a", source);
  command.mutable_copy_version()->set_source_must_be_newest(true);
  partition.ApplyPut("a");
  EXPECT_EQ(partition.Apply(command).code(), pb::Outcome::SOURCE_CHANGED);
}

TEST(CopyVersion, RefusesMissingSourcesMarkersAndOtherManifests) {
  Partition partition;
  partition.keep_versions = true;
  const std::string source = partition.ApplyPut("a").version_id();
  const std::string other = partition.ApplyPut("b").version_id();
  EXPECT_EQ(partition.Apply(partition.Copy("a", other)).code(), pb::Outcome::VERSION_NOT_FOUND);
  const std::string marker = partition.Apply(partition.Delete("a")).version_id();
  EXPECT_EQ(partition.Apply(partition.Copy("a", marker)).code(), pb::Outcome::IS_DELETE_MARKER);
  pb::Command command = partition.Copy("a", source);
  command.mutable_copy_version()->mutable_record()->set_manifest(
      partition.Newest("b")->record.manifest());
  EXPECT_EQ(partition.Apply(command).code(), pb::Outcome::MALFORMED);
}

TEST(PutVersion, RefusesAManifestThatTheEntryDoesNotCarry) {
  Partition partition;
  const RunId run = RunId::Draw(partition.random());
  EXPECT_EQ(partition.Apply(partition.Put("a", run, 5)).code(), pb::Outcome::MALFORMED);
  EXPECT_EQ(partition.Apply(partition.Put("a", run, 5 << 20), {AllChunksOf(run, 4 << 20)}).code(),
            pb::Outcome::MALFORMED);
  EXPECT_FALSE(partition.Newest("a").has_value());
}

TEST(PutVersion, TakesAnInlineBodyAsTheRunsOnlyChunk) {
  Partition partition;
  const RunId run = RunId::Draw(partition.random());
  storage::LogEntry entry = partition.NextEntry(partition.Put("a", run, 5));
  entry.inline_body = Buffer::FromString("ciphertext");
  entry.inline_run = run;
  EXPECT_EQ(partition.ApplyEntry(entry).code(), pb::Outcome::OK);
  EXPECT_EQ(partition.Chunks(), std::vector{AllChunksOf(run, 5)});
}

TEST(PutVersion, OfAnEmptyBodyReferencesNothing) {
  Partition partition;
  EXPECT_EQ(partition.Apply(partition.Put("a", RunId(), 0)).code(), pb::Outcome::OK);
  EXPECT_TRUE(partition.Newest("a").has_value());
  EXPECT_TRUE(partition.Chunks().empty());
}

TEST(StateMachine, StopsAtACommandThatItDoesNotUnderstand) {
  Partition partition;
  ObjectStateMachine machine;
  storage::KvBatch batch;
  storage::LogEntry entry = partition.NextEntry(pb::Command());
  EXPECT_FALSE(machine.Apply(entry, *partition.NewView(), batch).ok());
  entry.command = "\xff\xff";
  EXPECT_FALSE(machine.Apply(entry, *partition.NewView(), batch).ok());
  pb::Command command = partition.Maintain();
  command.set_format_version(kFormatVersion<pb::Command> + 1);
  entry.command = command.SerializeAsString();
  EXPECT_FALSE(machine.Apply(entry, *partition.NewView(), batch).ok());
  EXPECT_TRUE(batch.empty());
}

// Its proposer chose the format: replicas of several builds have the same rows.
TEST(StateMachine, KeepsAVersionsRecordInTheFormatThatItCameIn) {
  Partition partition;
  const RunId run = RunId::Draw(partition.random());
  pb::Command command = partition.Put("a", run, 10);
  command.mutable_put_version()->mutable_record()->set_format_version(
      NewestFormat<pb::VersionRecord>());
  ASSERT_EQ(partition.Apply(command, {AllChunksOf(run, 10)}).code(), pb::Outcome::OK);
  EXPECT_EQ(partition.Newest("a")->record.format_version(), NewestFormat<pb::VersionRecord>());
}

TEST(StateMachine, StopsAtAVersionsRecordOfANewerFormat) {
  Partition partition;
  ObjectStateMachine machine;
  const RunId run = RunId::Draw(partition.random());
  pb::Command command = partition.Put("a", run, 10);
  for (const uint32_t format : {0u, NewestFormat<pb::VersionRecord>() + 1}) {
    command.mutable_put_version()->mutable_record()->set_format_version(format);
    storage::KvBatch batch;
    const storage::LogEntry entry = partition.NextEntry(command, {AllChunksOf(run, 10)});
    EXPECT_FALSE(machine.Apply(entry, *partition.NewView(), batch).ok()) << format;
    EXPECT_TRUE(batch.empty());
  }
}

// P5: what counts is what the partition has been told last, in the order of the log.
TEST(Versions, AreKeptAsTheNewestGenerationSaysThatTheLogHasBrought) {
  Partition partition;
  const auto put = [&](bool keep, uint64_t generation) {
    const RunId run = RunId::Draw(partition.random());
    pb::Command command = partition.Put("a", run, 10);
    command.set_keep_versions(keep);
    command.set_versioning_generation(generation);
    EXPECT_EQ(partition.Apply(command, {AllChunksOf(run, 10)}).code(), pb::Outcome::OK);
    return partition.VersionIdsOf("a").size();
  };
  EXPECT_EQ(put(false, 0), 1u);
  EXPECT_EQ(put(true, 0), 2u) << "nothing is known: the command's word counts";
  EXPECT_EQ(put(true, 2), 3u);
  EXPECT_EQ(put(false, 1), 4u) << "proposed before generation 2, applied after";
  EXPECT_EQ(put(false, 0), 5u);
  EXPECT_EQ(put(false, 3), 5u) << "replaces the newest";
  EXPECT_EQ(put(true, 2), 5u);
}

}  // namespace
}  // namespace meridian::objects
