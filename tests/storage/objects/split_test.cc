// P7: what a split takes away, and what the child begins with.
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "tests/storage/objects/partition.h"

namespace meridian::objects {
namespace {

class Splits : public testing::Test {
 protected:
  pb::Outcome Apply(pb::Command command) { return parent_.Apply(std::move(command)); }

  void SplitAt(std::string_view key) {
    ASSERT_EQ(Apply(parent_.Split(key, child_id_)).code(), pb::Outcome::OK);
    const auto rows = parent_.RowsOf(child_id_);
    ASSERT_TRUE(rows.ok()) << rows.status();
    child_.Install(*rows);
    child_.Advance(absl::Microseconds(parent_.now_us() - child_.now_us()));
  }

  std::vector<std::string> NamesIn(const Partition& partition) {
    const auto view = partition.NewView();
    const auto page = ObjectReader(*view).ListObjects({});
    std::vector<std::string> names;
    for (const VersionRow& row : page->objects) names.push_back(row.name);
    return names;
  }

  // A put as a client repeats it: the same id, another run.
  pb::Outcome PutAs(Partition& partition, std::string_view name, RequestId request) {
    const RunId run = RunId::Draw(random_);
    pb::Command command = partition.Put(name, run);
    partition.Stamp(command, request);
    command.mutable_request()->set_create_time_us(created_);
    return partition.Apply(command, {AllChunksOf(run, 1)});
  }

  SeededRandom random_{5};
  const PartitionId child_id_ = PartitionId::Draw(random_);
  Partition parent_;
  Partition child_;
  const int64_t created_ = parent_.now_us();
};

TEST_F(Splits, EachNameIsWithOneOfTheTwo) {
  for (const char* name : {"a", "b", "b/1", "c"}) parent_.ApplyPut(name);
  SplitAt("b/");
  EXPECT_EQ(NamesIn(parent_), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(NamesIn(child_), (std::vector<std::string>{"b/1", "c"}));
  EXPECT_EQ(*ObjectReader(*parent_.NewView()).Owned(), (NameRange{"", "b/"}));
  EXPECT_EQ(*ObjectReader(*child_.NewView()).Owned(), (NameRange{"b/", ""}));
}

TEST_F(Splits, NothingIsDoneToANameThatMoved) {
  const RunId run = RunId::Draw(random_);
  parent_.ApplyPut("m", run);
  const std::string version = parent_.Newest("m")->record.version_id();
  const UploadId upload = UploadId::Draw(random_);
  Apply(parent_.StartUpload("m", upload, absl::Hours(1)));
  const pb::Command copy = parent_.Copy("m", version);
  SplitAt("m");
  const RunId refused = RunId::Draw(random_);
  EXPECT_EQ(parent_.ApplyPut("m", refused).code(), pb::Outcome::MOVED);
  EXPECT_EQ(Apply(parent_.Delete("m")).code(), pb::Outcome::MOVED);
  EXPECT_EQ(Apply(parent_.DeleteVersion("m", version)).code(), pb::Outcome::MOVED);
  EXPECT_EQ(Apply(copy).code(), pb::Outcome::MOVED);
  EXPECT_EQ(Apply(parent_.StartUpload("z", UploadId::Draw(random_), absl::Hours(1))).code(),
            pb::Outcome::MOVED);
  pb::Command abort = parent_.AbortUpload(upload);
  abort.mutable_abort_upload()->set_object_name("m");
  EXPECT_EQ(Apply(abort).code(), pb::Outcome::MOVED);
  // What came with a refused put is garbage; what moved is not.
  EXPECT_EQ(parent_.CollectGarbage(parent_.last_index()), std::vector<RunId>{refused});
  EXPECT_EQ(child_.ApplyPut("a").code(), pb::Outcome::MOVED);
  EXPECT_EQ(child_.ApplyPut("m").code(), pb::Outcome::OK);
}

TEST_F(Splits, ARequestIsKnownToWhoeverHasItsName) {
  const RequestId low = RequestId::Draw(random_);
  const RequestId high = RequestId::Draw(random_);
  const pb::Outcome first_low = PutAs(parent_, "a", low);
  const pb::Outcome first_high = PutAs(parent_, "m", high);
  SplitAt("m");
  EXPECT_EQ(PutAs(parent_, "a", low).SerializeAsString(), first_low.SerializeAsString());
  EXPECT_EQ(PutAs(child_, "m", high).SerializeAsString(), first_high.SerializeAsString());
  EXPECT_EQ(PutAs(parent_, "m", high).code(), pb::Outcome::MOVED);
  EXPECT_EQ(child_.Meta().request_count(), 1u);
  // It is forgotten there in its time.
  child_.Advance(absl::Hours(25));
  child_.Apply(child_.Maintain());
  EXPECT_EQ(child_.CountRows('q'), 0u);
  EXPECT_EQ(child_.Meta().request_count(), 0u);
}

TEST_F(Splits, AnUploadGoesOnWithTheChild) {
  const UploadId upload = UploadId::Draw(random_);
  const RunId run = RunId::Draw(random_);
  Apply(parent_.StartUpload("m", upload, absl::Hours(1)));
  parent_.TakeOver(upload, run, 0);
  ASSERT_EQ(parent_.Append(upload, run, 0, 0, 1000).code(), pb::Outcome::OK);
  SplitAt("m");
  EXPECT_FALSE(parent_.FindUpload(upload).has_value());
  ASSERT_TRUE(child_.FindUpload(upload).has_value());
  EXPECT_EQ(child_.Apply(child_.Finish(upload)).code(), pb::Outcome::OK);
  EXPECT_TRUE(child_.IsReferenced(run));
  EXPECT_EQ(child_.CountRows('e'), 0u);
}

TEST_F(Splits, AnUploadThatMovedExpiresWithTheChildOnly) {
  const UploadId upload = UploadId::Draw(random_);
  const RunId run = RunId::Draw(random_);
  Apply(parent_.StartUpload("m", upload, absl::Hours(1)));
  parent_.TakeOver(upload, run, 0);
  parent_.Append(upload, run, 0, 0, 1000);
  SplitAt("m");
  for (Partition* partition : {&parent_, &child_}) {
    partition->Advance(absl::Hours(2));
    partition->Apply(partition->Maintain());
  }
  EXPECT_TRUE(parent_.CollectGarbage(parent_.last_index()).empty());
  pb::Command free = child_.Maintain();
  free.mutable_begin_freeing();
  child_.Apply(free);
  EXPECT_EQ(child_.CollectGarbage(child_.last_index()), std::vector<RunId>{run});
}

// P8: until its split is over, a member of the parent may still be brought to an entry of the run.
TEST_F(Splits, TheChildFreesNothingUntilTheSplitIsOver) {
  const RunId run = RunId::Draw(random_);
  parent_.ApplyPut("m", run);
  SplitAt("m");
  ASSERT_EQ(child_.Apply(child_.Delete("m")).code(), pb::Outcome::OK);
  EXPECT_TRUE(child_.CollectGarbage(child_.last_index()).empty());
  pb::Command free = child_.Maintain();
  free.mutable_begin_freeing();
  child_.Apply(free);
  EXPECT_EQ(child_.CollectGarbage(child_.last_index()), std::vector<RunId>{run});
}

TEST_F(Splits, TheChildIsTheSameHoweverLateItIsBuilt) {
  const RequestId request = RequestId::Draw(random_);
  PutAs(parent_, "m", request);
  const UploadId upload = UploadId::Draw(random_);
  Apply(parent_.StartUpload("n", upload, absl::Hours(1)));
  parent_.ApplyPut("a");
  ASSERT_EQ(Apply(parent_.Split("m", child_id_)).code(), pb::Outcome::OK);
  child_.Install(*parent_.RowsOf(child_id_));
  // The parent goes on: the id comes again for a name of its own, its versioning changes,
  // everything of before expires.
  EXPECT_EQ(PutAs(parent_, "a", request).code(), pb::Outcome::OK);
  pb::Command versioned = parent_.Delete("a");
  versioned.set_keep_versions(true);
  versioned.set_versioning_generation(9);
  Apply(versioned);
  parent_.Advance(absl::Hours(30));
  for (int i = 0; i < 5; ++i) Apply(parent_.Maintain());
  Partition late;
  late.Install(*parent_.RowsOf(child_id_, 1));
  EXPECT_EQ(late.Digest(), child_.Digest());
  EXPECT_EQ(late.CountRows('q'), 1u);
}

TEST_F(Splits, RowsThatMovedAreNoPartOfTheStateAndGoInTheEnd) {
  Partition other;  // another replica, which cleans up later
  const auto both = [&](pb::Command command) {
    const storage::LogEntry entry = parent_.NextEntry(std::move(command));
    parent_.ApplyEntry(entry);
    other.ApplyEntry(entry);
  };
  for (const char* name : {"a", "m", "n"}) both(parent_.Put(name, RunId(), 0));
  both(parent_.StartUpload("o", UploadId::Draw(random_), absl::Hours(1)));
  both(parent_.Split("m", child_id_));
  EXPECT_FALSE(parent_.CleanUp());  // the child may still need them
  both(parent_.FinishSplit(child_id_));
  EXPECT_FALSE(parent_.RowsOf(child_id_).ok());
  EXPECT_EQ(parent_.Digest(), other.Digest());
  while (parent_.CleanUp(1)) {
  }
  EXPECT_EQ(parent_.CountRows('o'), 1u);
  EXPECT_EQ(parent_.CountRows('u'), 0u);
  EXPECT_EQ(parent_.CountRows('s'), 0u);
  EXPECT_EQ(other.CountRows('o'), 3u);
  EXPECT_EQ(parent_.Digest(), other.Digest());
  EXPECT_EQ(parent_.Snapshot(), other.Snapshot());
}

TEST_F(Splits, ASnapshotBringsNoRowsForTheChild) {
  for (const char* name : {"a", "m"}) parent_.ApplyPut(name);
  SplitAt("m");
  Partition behind;
  behind.Install(parent_.Snapshot());
  EXPECT_EQ(behind.Digest(), parent_.Digest());
  EXPECT_TRUE(absl::IsFailedPrecondition(behind.RowsOf(child_id_).status()));
  EXPECT_EQ(behind.Chunks().size(), 1u);
}

TEST_F(Splits, ARefusedSplitChangesNothing) {
  for (const char* name : {"a", "m"}) parent_.ApplyPut(name);
  EXPECT_EQ(Apply(parent_.Split("", child_id_)).code(), pb::Outcome::SPLIT_REFUSED);
  pb::Command other_epoch = parent_.Split("m", child_id_);
  other_epoch.mutable_split_partition()->set_epoch(2);
  EXPECT_EQ(Apply(other_epoch).code(), pb::Outcome::SPLIT_REFUSED);
  EXPECT_EQ(NamesIn(parent_).size(), 2u);
  SplitAt("m");
  const PartitionId another = PartitionId::Draw(random_);
  EXPECT_EQ(Apply(parent_.Split("b", another)).code(), pb::Outcome::SPLIT_REFUSED);
  // Repeated: done already.
  EXPECT_EQ(Apply(parent_.Split("m", child_id_)).code(), pb::Outcome::OK);
  Apply(parent_.FinishSplit(another));
  EXPECT_TRUE(parent_.RowsOf(child_id_).ok());
  Apply(parent_.FinishSplit(child_id_));
  EXPECT_EQ(Apply(parent_.Split("m", another)).code(), pb::Outcome::SPLIT_REFUSED);
  EXPECT_EQ(Apply(parent_.Split("b", another)).code(), pb::Outcome::OK);
}

TEST_F(Splits, PartsOfPartsAreWholeAndApart) {
  std::set<std::string> names;
  for (int i = 0; i < 64; ++i) names.insert("n" + std::to_string(random_.Uniform(1000)));
  for (const std::string& name : names) parent_.ApplyPut(name);
  std::vector<Partition*> parts = {&parent_};
  std::vector<std::unique_ptr<Partition>> made;
  for (int i = 0; i < 6; ++i) {
    Partition& part = *parts[random_.Uniform(parts.size())];
    const std::vector<std::string> owned = NamesIn(part);
    if (owned.size() < 2) continue;
    const std::string key = owned[1 + random_.Uniform(owned.size() - 1)];
    const PartitionId id = PartitionId::Draw(random_);
    ASSERT_EQ(part.Apply(part.Split(key, id)).code(), pb::Outcome::OK);
    made.push_back(std::make_unique<Partition>());
    made.back()->Install(*part.RowsOf(id));
    parts.push_back(made.back().get());
    part.Apply(part.FinishSplit(id));
    // Half of them split again before they have cleaned up.
    if (i % 2 == 0) {
      while (part.CleanUp(3)) {
      }
    }
  }
  std::multiset<std::string> found;
  size_t chunks = 0;
  uint64_t versions = 0;
  for (const Partition* part : parts) {
    for (const std::string& name : NamesIn(*part)) found.insert(name);
    chunks += part->Chunks().size();
    if (part != &parent_) versions += part->Meta().version_count();
  }
  EXPECT_GT(parts.size(), 4u);
  EXPECT_EQ(found, std::multiset<std::string>(names.begin(), names.end()));
  EXPECT_EQ(chunks, names.size());
  EXPECT_GT(versions, 0u);
}

}  // namespace
}  // namespace meridian::objects
