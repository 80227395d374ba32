#include "server/ops/upload_codec.h"

#include <array>
#include <optional>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/status.h"
#include "server/ops/checks.h"
#include "server/ops/replica_calls.h"
#include "server/ops/uploads.h"
#include "server/ops/version_codec.h"
#include "storage/objects/object_reader.h"

namespace meridian::ops {
namespace {

absl::Status Corrupt(std::string_view what) {
  return WithCorruptReason(absl::DataLossError("upload: " + std::string(what)));
}

}  // namespace

absl::StatusOr<UploadHandle> ParseUploadName(const std::string& name) {
  const std::string segment = name.substr(name.rfind('/') + 1);
  const size_t dot = segment.find('.');
  const std::optional<UploadId> id = UploadId::FromHex(segment.substr(0, dot));
  UploadHandle upload;
  if (!id.has_value() || dot == std::string::npos ||
      !absl::WebSafeBase64Unescape(segment.substr(dot + 1), &upload.object_name) ||
      !CheckObjectName(upload.object_name).ok()) {
    return Missing({.kind = v1::ResourceMissing::UPLOAD, .name = name});
  }
  upload.id = *id;
  return upload;
}

absl::StatusOr<std::string> ObjectOfUpload(const std::string& upload_name) {
  ASSIGN_OR_RETURN(UploadHandle upload, ParseUploadName(upload_name));
  return std::move(upload.object_name);
}

std::string UploadName(const Context& context, const UploadHandle& upload) {
  return absl::StrCat(context.container_name, "/uploads/", upload.id.ToHex(), ".",
                      absl::WebSafeBase64Escape(upload.object_name));
}

Subject UploadSubject(const Context& context, const UploadHandle& upload) {
  return {.kind = v1::ResourceMissing::UPLOAD, .name = UploadName(context, upload)};
}

std::string UploadMac(const crypto::ContainerKeys& keys, const pb::UploadRecord& record) {
  const ContainerId container = keys.container();
  const std::string condition = record.condition().SerializeAsString();
  const std::string expiry = std::to_string(record.expire_time_us());
  const std::array<std::string_view, 9> parts = {
      "upload 2",           container.bytes(),   record.object_name(),
      record.upload_id(),   record.version_id(), record.wrapped_dek(),
      record.sealed_plan(), condition,           expiry};
  return keys.RecordMac(parts);
}

std::string UploadProgressMac(const crypto::ContainerKeys& keys, const pb::UploadRecord& record) {
  const ContainerId container = keys.container();
  pb::Manifest manifest;
  manifest.set_size_bytes(record.durable_size_bytes());
  *manifest.mutable_runs() = record.runs();
  const std::string durable = objects::EncodeRecord(std::move(manifest));
  const std::string crc32c = std::to_string(record.durable_crc32c());
  const std::array<std::string_view, 5> parts = {"upload progress", container.bytes(),
                                                 record.upload_id(), durable, crc32c};
  return keys.RecordMac(parts);
}

absl::StatusOr<Upload> OpenUpload(const Context& context, pb::UploadRecord record) {
  Upload upload;
  ASSIGN_OR_RETURN(upload.id, objects::DecodeId<UploadId>(record.upload_id()));
  ASSIGN_OR_RETURN(upload.keys, KeysOf(context, record.kek_version()));
  if (!crypto::ConstantTimeEqual(UploadMac(*upload.keys, record), record.mac()) ||
      !crypto::ConstantTimeEqual(UploadProgressMac(*upload.keys, record), record.progress_mac())) {
    return Corrupt("its record is not authentic");
  }
  ASSIGN_OR_RETURN(const VersionId version, objects::DecodeId<VersionId>(record.version_id()));
  const absl::StatusOr<std::string> plan = upload.keys->OpenMetadata(
      SealingContext(*upload.keys, record.object_name(), version), record.sealed_plan());
  if (!plan.ok()) return Corrupt("its plan cannot be opened");
  ASSIGN_OR_RETURN(upload.plan, objects::DecodeRecord<pb::SealedUploadPlan>(*plan));
  upload.record = std::move(record);
  return upload;
}

absl::StatusOr<Upload> FindUpload(const Context& context, const storage::KvReader& view,
                                  const UploadHandle& handle) {
  RETURN_IF_ERROR(CheckOwned(view, handle.object_name));
  ASSIGN_OR_RETURN(std::optional<pb::UploadRecord> record,
                   objects::ObjectReader(view).FindUpload(handle.id));
  if (!record.has_value() || record->expire_time_us() <= absl::ToUnixMicros(absl::Now())) {
    return Missing(UploadSubject(context, handle));
  }
  // Opened first: that it is another object's is told only by a record that is authentic.
  ASSIGN_OR_RETURN(Upload upload, OpenUpload(context, *std::move(record)));
  if (upload.record.object_name() != handle.object_name) {
    return Missing(UploadSubject(context, handle));
  }
  return upload;
}

v1::Upload ToUpload(const Context& context, const Upload& upload) {
  v1::Upload out;
  out.set_name(UploadName(context, {.id = upload.id, .object_name = upload.record.object_name()}));
  out.set_object_name(upload.record.object_name());
  out.set_durable_size_bytes(static_cast<int64_t>(upload.record.durable_size_bytes()));
  if (upload.plan.has_size_bytes()) {
    out.set_size_bytes(static_cast<int64_t>(upload.plan.size_bytes()));
  }
  SetTimestamp(upload.record.create_time_us(), out.mutable_create_time());
  SetTimestamp(upload.record.expire_time_us(), out.mutable_expire_time());
  return out;
}

}  // namespace meridian::ops
