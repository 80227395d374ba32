#include <utility>

#include "absl/time/clock.h"
#include "base/status.h"
#include "server/errors.h"
#include "server/ops/checks.h"
#include "server/ops/errors.h"
#include "server/ops/replica_calls.h"
#include "server/ops/request_digest.h"
#include "server/ops/upload_codec.h"
#include "server/ops/uploads.h"
#include "server/ops/version_codec.h"

namespace meridian::ops {
namespace {

constexpr int64_t kMinTtlSeconds = 60;
constexpr int64_t kMaxTtlSeconds = 7 * 24 * 3600;
constexpr int64_t kDefaultTtlSeconds = 24 * 3600;

absl::StatusOr<int64_t> ParseTtlSeconds(const v1::StartUploadRequest& request) {
  if (!request.has_ttl()) return kDefaultTtlSeconds;
  const int64_t seconds = request.ttl().seconds();
  if (seconds < kMinTtlSeconds || seconds > kMaxTtlSeconds) {
    return server::InvalidField("ttl", "1 minute to 7 days");
  }
  return seconds;
}

pb::SealedUploadPlan PlanOf(const v1::WriteSpec& spec) {
  pb::SealedUploadPlan plan;
  plan.set_content_type(spec.content_type());
  *plan.mutable_entries() = ToSealedMetadata({}, spec.metadata(), 0).entries();
  if (spec.has_size_bytes()) plan.set_size_bytes(static_cast<uint64_t>(spec.size_bytes()));
  if (spec.has_crc32c()) plan.set_crc32c(spec.crc32c());
  return plan;
}

std::string DigestOf(const v1::WriteSpec& spec, const pb::Condition& condition,
                     int64_t ttl_seconds) {
  return RequestDigest("start upload")
      .Add(spec.name())
      .Add(condition)
      .Add(static_cast<uint64_t>(ttl_seconds))
      .Add(PlanOf(spec).SerializeAsString())
      .Finish();
}

Upload MakeUpload(const Context& context, const v1::WriteSpec& spec, const pb::Condition& condition,
                  absl::Time expiry) {
  const crypto::ContainerKeys& keys = *context.keys;
  Upload upload;
  upload.id = UploadId::Draw(*context.random);
  upload.keys = context.keys;
  upload.plan = PlanOf(spec);
  const VersionId version = VersionId::Draw(*context.random);
  pb::UploadRecord& record = upload.record;
  record.set_format_version(objects::kFormatVersion<pb::UploadRecord>);
  record.set_upload_id(std::string(upload.id.bytes()));
  record.set_object_name(spec.name());
  record.set_version_id(std::string(version.bytes()));
  record.set_wrapped_dek(keys.WrapDek(crypto::SecretKey::Draw(*context.random), *context.random));
  record.set_kek_version(keys.kek_version());
  record.set_sealed_plan(keys.SealMetadata(SealingContext(keys, spec.name(), version),
                                           objects::EncodeRecord(upload.plan), *context.random));
  *record.mutable_condition() = condition;
  record.set_expire_time_us(absl::ToUnixMicros(expiry));
  record.set_mac(UploadMac(keys, record));
  record.set_progress_mac(UploadProgressMac(keys, record));
  return upload;
}

}  // namespace

absl::StatusOr<v1::Upload> StartUpload(const Context& context,
                                       const v1::StartUploadRequest& request) {
  const v1::WriteSpec& spec = request.spec();
  RETURN_IF_ERROR(CheckWriteSpec(spec));
  ASSIGN_OR_RETURN(const int64_t ttl_seconds, ParseTtlSeconds(request));
  ASSIGN_OR_RETURN(const pb::Condition condition, ParseCondition(spec.condition()));
  pb::Command command = NewCommand(context);
  if (spec.has_request_id()) {
    ASSIGN_OR_RETURN(*command.mutable_request(),
                     ParseRequestId(spec.request_id(), DigestOf(spec, condition, ttl_seconds)));
  }
  const absl::Time expiry = absl::Now() + absl::Seconds(ttl_seconds);
  Upload upload = MakeUpload(context, spec, condition, expiry);
  *command.mutable_start_upload()->mutable_record() = upload.record;
  ASSIGN_OR_RETURN(const pb::Outcome outcome, Propose(context, command));
  RETURN_IF_ERROR(
      ToStatus(outcome, UploadSubject(context, {.id = upload.id, .object_name = spec.name()})));

  if (outcome.upload_id() != upload.record.upload_id()) {
    // A retry: the upload that the first attempt started, which may have gone on since.
    ASSIGN_OR_RETURN(const UploadId first, objects::DecodeId<UploadId>(outcome.upload_id()));
    ASSIGN_OR_RETURN(const std::unique_ptr<storage::KvReader> view,
                     ConfirmedView(*context.replica, context.deadline));
    ASSIGN_OR_RETURN(const Upload started,
                     FindUpload(context, *view, {.id = first, .object_name = spec.name()}));
    return ToUpload(context, started);
  }
  upload.record.set_create_time_us(outcome.timestamp_us());
  return ToUpload(context, upload);
}

}  // namespace meridian::ops
