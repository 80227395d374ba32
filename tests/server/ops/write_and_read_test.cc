#include <thread>

#include "server/ops/body_writer.h"
#include "server/ops/chunk_budget.h"
#include "server/ops/partition.h"
#include "server/ops/replica_calls.h"
#include "server/ops/run_writer.h"
#include "storage/objects/object_reader.h"
#include "tests/server/ops/fixture.h"

namespace meridian::ops {
namespace {

constexpr size_t kMiB = 1 << 20;

class WriteAndRead : public OpsTest {};

// I1, at every size where the path through the code changes.
TEST_F(WriteAndRead, ReturnWhatWasWritten) {
  for (const size_t size :
       {size_t{0}, size_t{1}, kMaxInlineBytes, kMaxInlineBytes + 1, size_t{64 << 10}, kMiB - 1,
        kMiB, kMiB + 1, 3 * kMiB, 3 * kMiB + 12345}) {
    for (const size_t piece : {size_t{1000}, size_t{kMiB}}) {
      const std::string body = RandomBody(random_, size);
      StringSource source(body, piece);
      const auto object = WriteObject(context_, Spec("a"), source);
      ASSERT_TRUE(object.ok()) << object.status();
      EXPECT_EQ(object->size_bytes(), static_cast<int64_t>(size));
      EXPECT_EQ(object->crc32c(), Crc32c(body));
      const auto read = Get("a");
      ASSERT_TRUE(read.ok()) << read.status();
      ASSERT_EQ(*read, body) << size;
    }
  }
  EXPECT_FALSE(replica_->HasOpenRuns());
}

TEST_F(WriteAndRead, AnswerWithTheVersionsMetadata) {
  v1::WriteSpec spec = Spec("dir/ä b");
  spec.set_content_type("image/png");
  (*spec.mutable_metadata())["camera"] = "Ünïcode";
  const auto written = Put(spec, "hello");
  ASSERT_TRUE(written.ok()) << written.status();
  EXPECT_EQ(written->container(), context_.container_name);
  v1::GetObjectRequest request;
  request.set_name("dir/ä b");
  const auto stat = GetObject(context_, request);
  ASSERT_TRUE(stat.ok()) << stat.status();
  EXPECT_EQ(stat->SerializeAsString(), written->SerializeAsString());
  EXPECT_EQ(stat->metadata().at("camera"), "Ünïcode");
  EXPECT_EQ(stat->content_type(), "image/png");
}

TEST_F(WriteAndRead, StoreSmallBodiesInTheLogOnly) {
  ASSERT_TRUE(Put("small", std::string(kMaxInlineBytes, 'x')).ok());
  EXPECT_EQ(replica_->chunk_count(), 1u);
  EXPECT_FALSE(replica_->HasOpenRuns());
}

TEST_F(WriteAndRead, ServeEveryRangeAndRefuseOnesBeyondTheEnd) {
  const std::string body = RandomBody(random_, 2 * kMiB + 777);
  ASSERT_TRUE(Put("a", body).ok());
  const std::vector<std::pair<size_t, size_t>> ranges = {
      {0, 1},        {65535, 2},          {kMiB - 1, 2}, {kMiB, kMiB}, {2 * kMiB + 776, 100},
      {5, 2 * kMiB}, {2 * kMiB + 777, 5}, {3, 0}};
  for (const auto& [offset, length] : ranges) {
    v1::ReadObjectRequest request;
    request.set_name("a");
    request.mutable_range()->set_offset_bytes(static_cast<int64_t>(offset));
    request.mutable_range()->set_length_bytes(static_cast<int64_t>(length));
    StringSink sink;
    const absl::Status status = ReadObject(context_, request, sink);
    ASSERT_TRUE(status.ok()) << status;
    EXPECT_EQ(sink.body, body.substr(offset, length));
    EXPECT_EQ(sink.header->offset_bytes(), static_cast<int64_t>(offset));
  }
  v1::ReadObjectRequest request;
  request.set_name("a");
  request.mutable_range()->set_offset_bytes(static_cast<int64_t>(body.size()) + 1);
  StringSink sink;
  const absl::Status status = ReadObject(context_, request, sink);
  EXPECT_EQ(status.code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(ReasonOf(status), v1::RANGE_BEYOND_END);
  EXPECT_FALSE(sink.header.has_value());
  request.mutable_range()->set_offset_bytes(-1);
  EXPECT_EQ(ReasonOf(ReadObject(context_, request, sink)), v1::INVALID_FIELD);
}

TEST_F(WriteAndRead, RefuseABodyThatIsNotAsDeclared) {
  v1::WriteSpec spec = Spec("a");
  spec.set_size_bytes(5);
  EXPECT_EQ(ReasonOf(Put(spec, "four").status()), v1::SIZE_MISMATCH);
  EXPECT_EQ(ReasonOf(Put(spec, "sixsix").status()), v1::SIZE_MISMATCH);
  EXPECT_EQ(ReasonOf(Put(spec, std::string(3 * kMiB, 'x')).status()), v1::SIZE_MISMATCH);
  spec.set_size_bytes(3 * kMiB);
  spec.set_crc32c(1);
  EXPECT_EQ(ReasonOf(Put(spec, std::string(3 * kMiB, 'x')).status()), v1::CHECKSUM_MISMATCH);
  StringSource source("data");
  source.DeclareCrc32c(1);
  EXPECT_EQ(ReasonOf(WriteObject(context_, Spec("a"), source).status()), v1::CHECKSUM_MISMATCH);
  EXPECT_EQ(Get("a").status().code(), absl::StatusCode::kNotFound);
  // Nothing visible, and the space comes back.
  replica_->CollectGarbage();
  EXPECT_EQ(replica_->chunk_count(), 0u);
  EXPECT_FALSE(replica_->HasOpenRuns());
}

TEST_F(WriteAndRead, LeaveNothingOfAClientThatVanishes) {
  StringSource source(std::string(5 * kMiB, 'x'));
  source.EndWith(absl::CancelledError("gone"));
  EXPECT_EQ(WriteObject(context_, Spec("a"), source).status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(Get("a").status().code(), absl::StatusCode::kNotFound);
  EXPECT_GT(replica_->chunk_count(), 0u);
  replica_->CollectGarbage();
  EXPECT_EQ(replica_->chunk_count(), 0u);
  EXPECT_FALSE(replica_->HasOpenRuns());
}

TEST_F(WriteAndRead, RefuseBadNamesAndMetadata) {
  for (const std::string& name :
       {std::string(), std::string(1025, 'a'), std::string("a\0b", 3), std::string("\xff"),
        std::string("\xc0\x80"), std::string("\xed\xa0\x80"), std::string("\xf4\x90\x80\x80"),
        std::string("\xe2\x82")}) {
    EXPECT_EQ(ReasonOf(Put(name, "x").status()), v1::INVALID_NAME);
    EXPECT_EQ(ReasonOf(Get(name).status()), v1::INVALID_NAME);
  }
  for (const std::string name : {"..", ".", "../../etc/passwd", "/", "😀", "a\nb"}) {
    EXPECT_TRUE(Put(name, "x").ok()) << name;
  }
  EXPECT_TRUE(Put(std::string(1024, 'a'), "x").ok());

  const auto reason_of_metadata = [this](const std::string& key, const std::string& value) {
    v1::WriteSpec spec = Spec("a");
    (*spec.mutable_metadata())[key] = value;
    return ReasonOf(Put(spec, "x").status());
  };
  EXPECT_EQ(reason_of_metadata("Upper", "v"), v1::INVALID_FIELD);
  EXPECT_EQ(reason_of_metadata("", "v"), v1::INVALID_FIELD);
  EXPECT_EQ(reason_of_metadata(std::string(129, 'k'), "v"), v1::INVALID_FIELD);
  EXPECT_EQ(reason_of_metadata("k", std::string(8 << 10, 'v')), v1::INVALID_FIELD);
  EXPECT_EQ(reason_of_metadata("k", std::string((8 << 10) - 1, 'v')), v1::ERROR_REASON_UNSPECIFIED);
  v1::WriteSpec spec = Spec("a");
  spec.set_content_type("text\n");
  EXPECT_EQ(ReasonOf(Put(spec, "x").status()), v1::INVALID_FIELD);
}

TEST_F(WriteAndRead, DecideConditionsAndSayTheCurrentEtag) {
  const auto first = Put("a", "one");
  ASSERT_TRUE(first.ok());
  v1::WriteSpec create = Spec("a");
  create.mutable_condition()->set_if_none_match(true);
  const absl::Status exists = Put(create, "two").status();
  EXPECT_EQ(exists.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(DetailOf<v1::PreconditionFailed>(exists).current_etag(), first->etag());

  v1::WriteSpec replace = Spec("a");
  replace.mutable_condition()->set_if_match(first->etag());
  ASSERT_TRUE(Put(replace, "two").ok());
  EXPECT_EQ(ReasonOf(Put(replace, "three").status()), v1::PRECONDITION_FAILED);
  EXPECT_EQ(*Get("a"), "two");

  v1::ReadObjectRequest request;
  request.set_name("a");
  request.set_if_match(first->etag());
  StringSink sink;
  EXPECT_EQ(ReasonOf(ReadObject(context_, request, sink)), v1::PRECONDITION_FAILED);
}

TEST_F(WriteAndRead, RefuseAConditionThatNoEtagCanMeet) {
  v1::WriteSpec spec = Spec("a");
  spec.mutable_condition()->set_if_match(std::string(4 << 20, 'x'));
  const absl::Status refused = Put(spec, "body").status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ReasonOf(refused), v1::INVALID_FIELD);
}

// A journal that refuses an entry takes all replicas of the partition out of service.
TEST_F(WriteAndRead, ProposeNoCommandThatAJournalMightRefuse) {
  const size_t before = replica_->proposals();
  pb::Command command = NewCommand(context_);
  command.mutable_put_version()->set_name(std::string(kMaxCommandBytes, 'x'));
  EXPECT_EQ(Propose(context_, command).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(replica_->proposals(), before);
}

// Versioning is switched on, and answered, while a body is on its way; what is written and replaced
// since then stays.
TEST_F(WriteAndRead, KeepWhatTheyReplaceAsTheContainerSaysAtTheirEnd) {
  context_.versioning_generation = 1;
  class Slow : public StringSource {
   public:
    Slow(std::string body, std::function<void()> action)
        : StringSource(std::move(body)), action_(std::move(action)) {}
    absl::StatusOr<std::optional<Buffer>> Next() override {
      if (action_) std::exchange(action_, nullptr)();
      return StringSource::Next();
    }

   private:
    std::function<void()> action_;
  };
  std::string written_since;
  Slow slow("slow", [&] {
    ASSERT_TRUE(SetVersioning(*replica_, {.keep = true, .generation = 2}, context_.deadline).ok());
    // By a node that has not heard of it either.
    const auto fast = Put("a", "fast");
    ASSERT_TRUE(fast.ok()) << fast.status();
    written_since = fast->version_id();
  });
  ASSERT_TRUE(WriteObject(context_, Spec("a"), slow).ok());
  EXPECT_EQ(*Get("a"), "slow");
  const auto kept = Get("a", written_since);
  ASSERT_TRUE(kept.ok()) << kept.status();
  EXPECT_EQ(*kept, "fast");
}

TEST_F(WriteAndRead, TellThePartitionOfVersioningThatItDoesNotKnow) {
  ASSERT_TRUE(Put("a", "one").ok());
  context_.keep_versions = true;
  context_.versioning_generation = 3;
  const auto second = Put("a", "two");
  context_.keep_versions = false;
  context_.versioning_generation = 2;  // a node that is behind
  ASSERT_TRUE(Put("a", "three").ok());
  EXPECT_EQ(*Get("a", second->version_id()), "two");
}

TEST_F(WriteAndRead, GiveARetryTheFirstAnswer) {
  v1::WriteSpec spec = Spec("a");
  *spec.mutable_request_id() = NewRequestId();
  const std::string body = RandomBody(random_, 2 * kMiB);
  const auto first = Put(spec, body);
  ASSERT_TRUE(first.ok()) << first.status();
  const auto retry = Put(spec, body);
  ASSERT_TRUE(retry.ok()) << retry.status();
  EXPECT_EQ(retry->SerializeAsString(), first->SerializeAsString());
  EXPECT_EQ(ReasonOf(Put(spec, "another body").status()), v1::REQUEST_ID_REUSED);
  replica_->CollectGarbage();
  EXPECT_EQ(replica_->chunk_count(), 2u);
  EXPECT_EQ(*Get("a"), body);
}

TEST_F(WriteAndRead, RefuseMalformedRequestIds) {
  v1::WriteSpec spec = Spec("a");
  spec.mutable_request_id()->set_id("short");
  EXPECT_EQ(ReasonOf(Put(spec, "x").status()), v1::INVALID_FIELD);
  *spec.mutable_request_id() = NewRequestId();
  spec.mutable_request_id()->clear_create_time();
  EXPECT_EQ(ReasonOf(Put(spec, "x").status()), v1::INVALID_FIELD);
  *spec.mutable_request_id() = NewRequestId();
  spec.mutable_request_id()->mutable_create_time()->set_seconds(1);
  EXPECT_EQ(ReasonOf(Put(spec, "x").status()), v1::REQUEST_ID_EXPIRED);
}

// P5: after an unknown outcome, the same id tells what happened, and nothing happens twice.
TEST_F(WriteAndRead, AreSafeToRetryAfterAnUnknownOutcome) {
  for (const bool applied : {false, true}) {
    v1::WriteSpec spec = Spec("a");
    *spec.mutable_request_id() = NewRequestId();
    const std::string body = RandomBody(random_, kMiB + 1);
    replica_->FailNextProposal(absl::UnavailableError("no quorum"), applied);
    const absl::Status unknown = Put(spec, body).status();
    EXPECT_EQ(unknown.code(), absl::StatusCode::kUnavailable);
    EXPECT_EQ(ReasonOf(unknown), v1::NO_QUORUM);
    ASSERT_TRUE(Put(spec, body).ok());
    EXPECT_EQ(*Get("a"), body);
    replica_->CollectGarbage();
    EXPECT_EQ(replica_->chunk_count(), 2u);
  }
}

TEST_F(WriteAndRead, SayWhenTheDiskIsFull) {
  replica_->FailChunkWrites(replication::DiskFullError("no space"));
  const absl::Status status = Put("a", std::string(3 * kMiB, 'x')).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReasonOf(status), v1::DISK_FULL);
  replica_->FailChunkWrites(absl::OkStatus());
  EXPECT_TRUE(Put("a", std::string(3 * kMiB, 'x')).ok());
}

TEST_F(WriteAndRead, SayWhenTooMuchIsInFlight) {
  replica_->FailChunkWrites(absl::ResourceExhaustedError("too many bytes wait"));
  const absl::Status status = Put("a", std::string(3 * kMiB, 'x')).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReasonOf(status), v1::OVERLOADED);
}

TEST_F(WriteAndRead, FailWhenTheReadCannotBeConfirmed) {
  ASSERT_TRUE(Put("a", "x").ok());
  replica_->FailReads(absl::UnavailableError("deposed"));
  EXPECT_EQ(ReasonOf(Get("a").status()), v1::NO_QUORUM);
}

// I10, P20: what is not authentic is never returned.
TEST_F(WriteAndRead, FailLoudlyOnCorruption) {
  ASSERT_TRUE(Put("a", std::string(2 * kMiB, 'x')).ok());
  replica_->CorruptChunks();
  EXPECT_EQ(Get("a").status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(ReasonOf(Get("a").status()), v1::CORRUPT);
  replica_->DropChunks();
  EXPECT_EQ(Get("a").status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(WriteAndRead, RefuseARecordThatWasMadeForAnotherName) {
  ASSERT_TRUE(Put("a", "one").ok());
  ASSERT_TRUE(Put("b", "two").ok());
  const auto find = [this](const std::string& name) {
    return *objects::ObjectReader(*replica_->NewView()).Newest(name);
  };
  const objects::pb::VersionRecord other = find("b")->record;
  // The first object row is that of "a".
  replica_->EditRow('o', [&other](std::string& value) { value = objects::EncodeVersion(other); });
  EXPECT_EQ(ReasonOf(Get("a").status()), v1::CORRUPT);
  EXPECT_EQ(*Get("b"), "two");
}

TEST_F(WriteAndRead, KeepAVersionReadableWhileItIsReplaced) {
  const std::string body = RandomBody(random_, 4 * kMiB);
  ASSERT_TRUE(Put("a", body).ok());
  v1::ReadObjectRequest request;
  request.set_name("a");
  StringSink sink;
  sink.on_write = [this] {
    ASSERT_TRUE(Put("a", "new").ok());
    replica_->CollectGarbage();
  };
  const absl::Status status = ReadObject(context_, request, sink);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(sink.body, body);
  replica_->CollectGarbage();
  EXPECT_EQ(replica_->chunk_count(), 1u);
}

TEST_F(WriteAndRead, HaveABoundedNumberOfChunksInFlight) {
  replica_->HoldChunkWrites();
  context_.deadline = absl::Now() + absl::Milliseconds(200);
  EXPECT_EQ(Put("a", std::string(20 * kMiB, 'x')).status().code(),
            absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(replica_->held_chunk_writes(), static_cast<size_t>(RunWriter::kMaxChunksInFlight));
  replica_->ReleaseChunkWrites();
}

TEST_F(WriteAndRead, ShareABudgetOfChunksInFlight) {
  ChunkBudget budget(3);
  context_.chunk_budget = &budget;
  replica_->HoldChunkWrites();
  context_.deadline = absl::Now() + absl::Milliseconds(200);
  EXPECT_EQ(Put("a", std::string(20 * kMiB, 'x')).status().code(),
            absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(replica_->held_chunk_writes(), 3u);
  replica_->ReleaseChunkWrites();
  context_.deadline = absl::Now() + absl::Seconds(30);
  EXPECT_TRUE(Put("a", std::string(20 * kMiB, 'x')).ok());
}

TEST_F(WriteAndRead, LetExactlyOneOfManyCreatorsWin) {
  constexpr int kWriters = 8;
  std::vector<absl::Status> results(kWriters);
  std::vector<std::thread> threads;
  for (int i = 0; i < kWriters; ++i) {
    threads.emplace_back([this, i, &results] {
      v1::WriteSpec spec = Spec("a");
      spec.mutable_condition()->set_if_none_match(true);
      results[static_cast<size_t>(i)] = Put(spec, std::to_string(i)).status();
    });
  }
  for (std::thread& thread : threads) thread.join();
  int winners = 0;
  for (int i = 0; i < kWriters; ++i) {
    if (results[static_cast<size_t>(i)].ok()) {
      ++winners;
      EXPECT_EQ(*Get("a"), std::to_string(i));
    } else {
      EXPECT_EQ(ReasonOf(results[static_cast<size_t>(i)]), v1::PRECONDITION_FAILED);
    }
  }
  EXPECT_EQ(winners, 1);
}

}  // namespace
}  // namespace meridian::ops
