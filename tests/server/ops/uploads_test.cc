#include "server/ops/uploads.h"

#include "server/ops/partition.h"
#include "storage/objects/records.h"
#include "tests/server/ops/fixture.h"

namespace meridian::ops {
namespace {

constexpr size_t kMiB = 1 << 20;

class Uploads : public OpsTest {
 protected:
  v1::Upload Start(const v1::WriteSpec& spec) {
    v1::StartUploadRequest request;
    *request.mutable_spec() = spec;
    const auto upload = StartUpload(context_, request);
    EXPECT_TRUE(upload.ok()) << upload.status();
    return upload.value_or(v1::Upload());
  }
  absl::StatusOr<v1::WriteUploadResponse> Write(const v1::Upload& upload, size_t offset,
                                                ByteSource& source) {
    v1::WriteUploadStart start;
    start.set_upload(upload.name());
    start.set_offset_bytes(static_cast<int64_t>(offset));
    return WriteUpload(context_, start, source);
  }
  absl::StatusOr<v1::WriteUploadResponse> Write(const v1::Upload& upload, size_t offset,
                                                const std::string& bytes) {
    StringSource source(bytes);
    return Write(upload, offset, source);
  }
  absl::StatusOr<v1::Upload> Status(const v1::Upload& upload) {
    v1::GetUploadRequest request;
    request.set_name(upload.name());
    return GetUpload(context_, request);
  }
  absl::StatusOr<v1::Object> Finish(const v1::Upload& upload) {
    v1::FinishUploadRequest request;
    request.set_name(upload.name());
    return FinishUpload(context_, request);
  }
};

TEST_F(Uploads, GoOnWhereABrokenStreamEnded) {
  const std::string body = RandomBody(random_, 20 * kMiB + 4321);
  v1::WriteSpec spec = Spec("big");
  spec.set_content_type("video/mp4");
  (*spec.mutable_metadata())["k"] = "v";
  spec.set_size_bytes(static_cast<int64_t>(body.size()));
  spec.set_crc32c(Crc32c(body));
  const v1::Upload upload = Start(spec);

  const size_t first = 17 * kMiB + 99;
  StringSource broken(body.substr(0, first));
  broken.EndWith(absl::CancelledError("gone"));
  EXPECT_EQ(Write(upload, 0, broken).status().code(), absl::StatusCode::kCancelled);
  // All that came is durable.
  EXPECT_EQ(Status(upload)->durable_size_bytes(), static_cast<int64_t>(first));
  EXPECT_EQ(Get("big").status().code(), absl::StatusCode::kNotFound);

  const auto rest = Write(upload, first, body.substr(first));
  ASSERT_TRUE(rest.ok()) << rest.status();
  EXPECT_EQ(rest->durable_size_bytes(), static_cast<int64_t>(body.size()));
  const auto finished = Finish(upload);
  ASSERT_TRUE(finished.ok()) << finished.status();
  EXPECT_EQ(finished->content_type(), "video/mp4");
  EXPECT_EQ(finished->metadata().at("k"), "v");
  EXPECT_EQ(finished->crc32c(), Crc32c(body));
  EXPECT_EQ(*Get("big"), body);
  EXPECT_EQ(Status(upload).status().code(), absl::StatusCode::kNotFound);

  // A range over the seam of the two runs.
  v1::ReadObjectRequest request;
  request.set_name("big");
  request.mutable_range()->set_offset_bytes(static_cast<int64_t>(first) - 5);
  request.mutable_range()->set_length_bytes(10);
  StringSink sink;
  ASSERT_TRUE(ReadObject(context_, request, sink).ok());
  EXPECT_EQ(sink.body, body.substr(first - 5, 10));
}

TEST_F(Uploads, SayFromWhereToGoOn) {
  const v1::Upload upload = Start(Spec("a"));
  ASSERT_TRUE(Write(upload, 0, "hello").ok());
  const absl::Status wrong = Write(upload, 3, "lo").status();
  EXPECT_EQ(wrong.code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(ReasonOf(wrong), v1::UPLOAD_OFFSET);
  EXPECT_EQ(DetailOf<v1::UploadOffset>(wrong).durable_size_bytes(), 5);
  EXPECT_EQ(ReasonOf(Write(upload, 6, "x").status()), v1::UPLOAD_OFFSET);
}

TEST_F(Uploads, EndAnEarlierStreamWhenALaterOneComes) {
  const v1::Upload upload = Start(Spec("a"));
  // While the earlier stream runs, another begins and ends.
  class Interrupted : public StringSource {
   public:
    Interrupted(std::string body, std::function<void()> action)
        : StringSource(std::move(body)), action_(std::move(action)) {}
    absl::StatusOr<std::optional<Buffer>> Next() override {
      if (action_) std::exchange(action_, nullptr)();
      return StringSource::Next();
    }

   private:
    std::function<void()> action_;
  };
  Interrupted earlier("earlier", [&] { ASSERT_TRUE(Write(upload, 0, "later").ok()); });
  const absl::Status ended = Write(upload, 0, earlier).status();
  EXPECT_EQ(ReasonOf(ended), v1::UPLOAD_OFFSET);
  EXPECT_EQ(DetailOf<v1::UploadOffset>(ended).durable_size_bytes(), 5);
  ASSERT_TRUE(Finish(upload).ok());
  EXPECT_EQ(*Get("a"), "later");
  replica_->CollectGarbage();
  EXPECT_EQ(replica_->chunk_count(), 1u);
}

TEST_F(Uploads, AreNotFinishedUnlessTheyHoldWhatWasDeclared) {
  v1::WriteSpec spec = Spec("a");
  spec.set_size_bytes(10);
  const v1::Upload upload = Start(spec);
  ASSERT_TRUE(Write(upload, 0, "12345").ok());
  EXPECT_EQ(ReasonOf(Finish(upload).status()), v1::UPLOAD_INCOMPLETE);
  EXPECT_EQ(ReasonOf(Write(upload, 5, "6789012").status()), v1::SIZE_MISMATCH);
  ASSERT_TRUE(Write(upload, 5, "67890").ok());
  v1::FinishUploadRequest request;
  request.set_name(upload.name());
  request.set_crc32c(1);
  EXPECT_EQ(ReasonOf(FinishUpload(context_, request).status()), v1::CHECKSUM_MISMATCH);
  request.set_crc32c(Crc32c("1234567890"));
  request.set_size_bytes(11);
  EXPECT_EQ(ReasonOf(FinishUpload(context_, request).status()), v1::INVALID_FIELD);
  request.set_size_bytes(10);
  ASSERT_TRUE(FinishUpload(context_, request).ok());
  EXPECT_EQ(*Get("a"), "1234567890");
}

TEST_F(Uploads, DecideTheConditionWhenFinished) {
  v1::WriteSpec spec = Spec("a");
  spec.mutable_condition()->set_if_none_match(true);
  const v1::Upload upload = Start(spec);
  ASSERT_TRUE(Write(upload, 0, "upload").ok());
  const auto other = Put("a", "other");
  const absl::Status refused = Finish(upload).status();
  EXPECT_EQ(ReasonOf(refused), v1::PRECONDITION_FAILED);
  EXPECT_EQ(DetailOf<v1::PreconditionFailed>(refused).current_etag(), other->etag());
}

TEST_F(Uploads, GiveARetryOfStartAndFinishTheFirstAnswer) {
  v1::StartUploadRequest start;
  *start.mutable_spec() = Spec("a");
  *start.mutable_spec()->mutable_request_id() = NewRequestId();
  const auto first = StartUpload(context_, start);
  ASSERT_TRUE(first.ok()) << first.status();
  const auto again = StartUpload(context_, start);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->SerializeAsString(), first->SerializeAsString());

  ASSERT_TRUE(Write(*first, 0, "hello").ok());
  v1::FinishUploadRequest finish;
  finish.set_name(first->name());
  *finish.mutable_request_id() = NewRequestId();
  const auto finished = FinishUpload(context_, finish);
  ASSERT_TRUE(finished.ok()) << finished.status();
  const auto retried = FinishUpload(context_, finish);
  ASSERT_TRUE(retried.ok()) << retried.status();
  EXPECT_EQ(retried->SerializeAsString(), finished->SerializeAsString());
}

TEST_F(Uploads, GiveTheirSpaceBackWhenAborted) {
  const v1::Upload upload = Start(Spec("a"));
  ASSERT_TRUE(Write(upload, 0, std::string(3 * kMiB, 'x')).ok());
  v1::AbortUploadRequest request;
  request.set_name(upload.name());
  ASSERT_TRUE(AbortUpload(context_, request).ok());
  replica_->CollectGarbage();
  EXPECT_EQ(replica_->chunk_count(), 0u);
  EXPECT_EQ(DetailOf<v1::ResourceMissing>(AbortUpload(context_, request)).kind(),
            v1::ResourceMissing::UPLOAD);
  EXPECT_EQ(Write(upload, 3 * kMiB, "x").status().code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(*IsEmpty(*replica_, context_.deadline));
}

TEST_F(Uploads, ExpireAndGiveTheirSpaceBackWithoutAnyRequest) {
  v1::StartUploadRequest request;
  *request.mutable_spec() = Spec("a");
  request.mutable_ttl()->set_seconds(60);
  const auto upload = StartUpload(context_, request);
  ASSERT_TRUE(Write(*upload, 0, std::string(2 * kMiB, 'x')).ok());
  const size_t before = replica_->proposals();
  ASSERT_TRUE(ForgetExpired(*replica_, absl::Now(), context_.deadline).ok());
  EXPECT_EQ(replica_->proposals(), before);  // nothing was due
  replica_->Advance(absl::Minutes(2));
  ASSERT_TRUE(ForgetExpired(*replica_, absl::Now() + absl::Minutes(2), context_.deadline).ok());
  replica_->CollectGarbage();
  EXPECT_EQ(replica_->chunk_count(), 0u);
  EXPECT_EQ(Status(*upload).status().code(), absl::StatusCode::kNotFound);
  request.mutable_ttl()->set_seconds(59);
  EXPECT_EQ(ReasonOf(StartUpload(context_, request).status()), v1::INVALID_FIELD);
}

TEST_F(Uploads, AreListedPageByPage) {
  for (int i = 0; i < 5; ++i) Start(Spec("a" + std::to_string(i)));
  v1::ListUploadsRequest request;
  request.set_page_size(2);
  std::vector<std::string> names;
  do {
    const auto page = ListUploads(context_, request);
    ASSERT_TRUE(page.ok()) << page.status();
    for (const auto& upload : page->uploads()) names.push_back(upload.name());
    request.set_page_token(page->next_page_token());
  } while (!request.page_token().empty());
  EXPECT_EQ(names.size(), 5u);
  EXPECT_TRUE(std::is_sorted(names.begin(), names.end()));
  request.set_page_token("bad");
  EXPECT_EQ(ReasonOf(ListUploads(context_, request).status()), v1::INVALID_PAGE_TOKEN);
}

TEST_F(Uploads, AreListedOnceEachAcrossTheStepsOfAPage) {
  for (int i = 0; i < 40; ++i) Start(Spec("a" + std::to_string(i)));
  v1::ListUploadsRequest request;
  const auto all = ListUploads(context_, request);
  ASSERT_TRUE(all.ok()) << all.status();
  EXPECT_EQ(all->uploads_size(), 40);
  EXPECT_TRUE(all->next_page_token().empty());
  request.set_page_size(33);
  const auto page = ListUploads(context_, request);
  ASSERT_TRUE(page.ok()) << page.status();
  EXPECT_EQ(page->uploads_size(), 33);
  request.set_page_token(page->next_page_token());
  EXPECT_EQ(ListUploads(context_, request)->uploads_size(), 7);
}

TEST_F(Uploads, WithNamesThatNoUploadCanHaveAreNotFound) {
  v1::GetUploadRequest request;
  for (const std::string name : {"", "x", "tenants/t/containers/c/uploads/zz"}) {
    request.set_name(name);
    EXPECT_EQ(GetUpload(context_, request).status().code(), absl::StatusCode::kNotFound);
  }
}

TEST_F(Uploads, WhoseRecordWasChangedAreRefused) {
  const v1::Upload upload = Start(Spec("a"));
  replica_->EditRow('u', [](std::string& value) {
    auto record = *objects::DecodeRecord<objects::pb::UploadRecord>(value);
    record.set_object_name("other");
    value = objects::EncodeRecord(record);
  });
  EXPECT_EQ(ReasonOf(Status(upload).status()), v1::CORRUPT);
  EXPECT_EQ(ReasonOf(Write(upload, 0, "x").status()), v1::CORRUPT);
}

// P20: of what a finished object would be made from, nothing can be changed on a disk unnoticed.
TEST_F(Uploads, AreRefusedWhateverOfTheirRecordWasChanged) {
  using Record = objects::pb::UploadRecord;
  const std::vector<std::pair<const char*, std::function<void(Record&)>>> changes = {
      {"the last run cut off",
       [](Record& record) {
         record.set_durable_size_bytes(record.runs(0).plaintext_bytes());
         record.mutable_runs()->RemoveLast();
       }},
      {"runs in another order", [](Record& record) { record.mutable_runs()->SwapElements(0, 1); }},
      {"a shorter run",
       [](Record& record) {
         record.mutable_runs(1)->set_plaintext_bytes(1);
         record.set_durable_size_bytes(record.runs(0).plaintext_bytes() + 1);
       }},
      {"another size", [](Record& record) { record.set_durable_size_bytes(1); }},
      {"another CRC", [](Record& record) { record.set_durable_crc32c(1); }},
      {"no condition", [](Record& record) { record.clear_condition(); }},
      {"a later expiry",
       [](Record& record) { record.set_expire_time_us(record.expire_time_us() + 1); }},
      {"the progress of another time",
       [](Record& record) {
         record.clear_runs();
         record.set_durable_size_bytes(0);
         record.set_durable_crc32c(0);
       }},
  };
  v1::WriteSpec spec = Spec("a");
  spec.mutable_condition()->set_if_none_match(true);
  const v1::Upload upload = Start(spec);
  const std::string body = RandomBody(random_, 2 * kMiB);
  ASSERT_TRUE(Write(upload, 0, body.substr(0, kMiB)).ok());
  ASSERT_TRUE(Write(upload, kMiB, body.substr(kMiB)).ok());
  std::string intact;
  replica_->EditRow('u', [&intact](std::string& value) { intact = value; });
  for (const auto& [what, change] : changes) {
    replica_->EditRow('u', [&change = change, &intact](std::string& value) {
      auto record = *objects::DecodeRecord<Record>(intact);
      change(record);
      value = objects::EncodeRecord(record);
    });
    EXPECT_EQ(ReasonOf(Status(upload).status()), v1::CORRUPT) << what;
    EXPECT_EQ(ReasonOf(Finish(upload).status()), v1::CORRUPT) << what;
  }
  replica_->EditRow('u', [&intact](std::string& value) { value = intact; });
  ASSERT_TRUE(Finish(upload).ok());
  EXPECT_EQ(*Get("a"), body);
}

}  // namespace
}  // namespace meridian::ops
