#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
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

// A stream may still add bytes while the upload is being finished.
constexpr int kMaxAttempts = 4;

absl::Status CheckComplete(const v1::FinishUploadRequest& request, const Upload& upload) {
  const uint64_t durable = upload.record.durable_size_bytes();
  std::optional<uint64_t> declared;
  if (upload.plan.has_size_bytes()) declared = upload.plan.size_bytes();
  if (request.has_size_bytes()) {
    if (request.size_bytes() < 0) {
      return server::InvalidField("size_bytes", "must not be negative");
    }
    const auto size = static_cast<uint64_t>(request.size_bytes());
    if (declared.value_or(size) != size) {
      return server::InvalidField("size_bytes", "differs from what StartUpload declared");
    }
    declared = size;
  }
  if (declared.has_value() && *declared != durable) {
    return server::Error(
        absl::StatusCode::kFailedPrecondition, v1::UPLOAD_INCOMPLETE,
        absl::StrCat("declared ", *declared, " bytes, ", durable, " are durable"),
        {{"declared", absl::StrCat(*declared)}, {"durable", absl::StrCat(durable)}});
  }
  const uint32_t crc32c = upload.record.durable_crc32c();
  if (upload.plan.has_crc32c() && upload.plan.crc32c() != crc32c) {
    return ChecksumMismatch(upload.plan.crc32c(), crc32c);
  }
  if (request.has_crc32c() && request.crc32c() != crc32c) {
    return ChecksumMismatch(request.crc32c(), crc32c);
  }
  return absl::OkStatus();
}

absl::StatusOr<pb::Command> MakeCommand(const Context& context, const pb::Command& base,
                                        const Upload& upload) {
  pb::Manifest manifest;
  manifest.set_size_bytes(upload.record.durable_size_bytes());
  *manifest.mutable_runs() = upload.record.runs();
  VersionParts parts{.name = upload.record.object_name(),
                     .version = {},
                     .manifest = objects::EncodeRecord(std::move(manifest)),
                     .wrapped_dek = upload.record.wrapped_dek(),
                     .metadata = {}};
  ASSIGN_OR_RETURN(parts.version, objects::DecodeId<VersionId>(upload.record.version_id()));
  parts.metadata.set_content_type(upload.plan.content_type());
  *parts.metadata.mutable_entries() = upload.plan.entries();
  parts.metadata.set_plaintext_crc32c(upload.record.durable_crc32c());
  pb::Command command = base;
  pb::FinishUpload* finish = command.mutable_finish_upload();
  finish->set_upload_id(upload.record.upload_id());
  finish->set_object_name(upload.record.object_name());
  *finish->mutable_record() = MakeVersionRecord(context, *upload.keys, parts);
  return command;
}

absl::StatusOr<v1::Object> ToAnswer(const Context& context, const UploadHandle& upload,
                                    const pb::Outcome& outcome) {
  Subject subject{.kind = v1::ResourceMissing::OBJECT, .name = upload.object_name};
  if (outcome.code() == pb::Outcome::UPLOAD_NOT_FOUND) subject = UploadSubject(context, upload);
  RETURN_IF_ERROR(ToStatus(outcome, subject));
  ASSIGN_OR_RETURN(const Version version, OpenOutcome(context, upload.object_name, outcome));
  return ToObject(context, version);
}

}  // namespace

absl::StatusOr<v1::Object> FinishUpload(const Context& context,
                                        const v1::FinishUploadRequest& request) {
  ASSIGN_OR_RETURN(const UploadHandle handle, ParseUploadName(request.name()));
  pb::Command base = NewCommand(context);
  if (request.has_request_id()) {
    RequestDigest digest("finish upload");
    digest.Add(handle.id.bytes());
    if (request.has_size_bytes()) digest.Add(static_cast<uint64_t>(request.size_bytes()));
    if (request.has_crc32c()) digest.Add("crc32c").Add(uint64_t{request.crc32c()});
    ASSIGN_OR_RETURN(*base.mutable_request(),
                     ParseRequestId(request.request_id(), digest.Finish()));
  }
  pb::Outcome outcome;
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    ASSIGN_OR_RETURN(const std::unique_ptr<storage::KvReader> view,
                     ConfirmedView(*context.replica, context.deadline));
    ASSIGN_OR_RETURN(const std::optional<pb::Outcome> known, FindOutcome(*view, base));
    if (known.has_value()) return ToAnswer(context, handle, *known);
    ASSIGN_OR_RETURN(const Upload upload, FindUpload(context, *view, handle));
    RETURN_IF_ERROR(CheckComplete(request, upload));
    ASSIGN_OR_RETURN(const pb::Command command, MakeCommand(context, base, upload));
    ASSIGN_OR_RETURN(outcome, Propose(context, command));
    if (outcome.code() != pb::Outcome::SOURCE_CHANGED) break;
  }
  return ToAnswer(context, handle, outcome);
}

}  // namespace meridian::ops
