#include "server/ops/version_codec.h"

#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include "base/status.h"
#include "server/ops/errors.h"

namespace meridian::ops {
namespace {

using Map = google::protobuf::Map<std::string, std::string>;

absl::Status Corrupt(std::string_view what, const objects::VersionRow& row) {
  return WithCorruptReason(
      absl::DataLossError("version " + row.place.version.ToHex() + ": " + std::string(what)));
}

std::string ExpectedMac(const crypto::ContainerKeys& keys, const objects::VersionRow& row) {
  return row.record.delete_marker() ? DeleteMarkerMac(keys, row.name, row.place.version)
                                    : VersionMac(keys, row.name, row.record);
}

}  // namespace

std::string SealingContext(const crypto::ContainerKeys& keys, std::string_view name,
                           VersionId version) {
  const ObjectId object = keys.ObjectIdOf(name);
  return std::string(object.bytes()) + std::string(version.bytes());
}

std::string DeleteMarkerMac(const crypto::ContainerKeys& keys, std::string_view name,
                            VersionId version) {
  const ContainerId container = keys.container();
  const std::array<std::string_view, 4> parts = {"delete marker", container.bytes(), name,
                                                 version.bytes()};
  return keys.RecordMac(parts);
}

absl::StatusOr<std::shared_ptr<const crypto::ContainerKeys>> KeysOf(const Context& context,
                                                                    uint32_t kek_version) {
  if (kek_version == context.keys->kek_version()) return context.keys;
  return context.open_keys(kek_version);
}

absl::StatusOr<Version> OpenVersion(const Context& context, objects::VersionRow row) {
  Version version;
  version.row = std::move(row);
  const pb::VersionRecord& record = version.row.record;
  ASSIGN_OR_RETURN(version.keys, KeysOf(context, record.kek_version()));
  const crypto::ContainerKeys& keys = *version.keys;
  // The key's place is authenticated with the record: it names the version id.
  if (record.version_id() != version.row.place.version.bytes() ||
      !crypto::ConstantTimeEqual(ExpectedMac(keys, version.row), record.mac())) {
    return Corrupt("its record is not authentic", version.row);
  }
  if (record.delete_marker()) return version;
  ASSIGN_OR_RETURN(version.manifest, objects::ManifestOf(record));
  absl::StatusOr<std::string> metadata = keys.OpenMetadata(
      SealingContext(keys, version.row.name, version.row.place.version), record.sealed_metadata());
  if (!metadata.ok()) return Corrupt("its metadata cannot be opened", version.row);
  ASSIGN_OR_RETURN(version.metadata, objects::DecodeRecord<pb::SealedMetadata>(*metadata));
  return version;
}

absl::StatusOr<Version> OpenOutcome(const Context& context, const std::string& name,
                                    const pb::Outcome& outcome) {
  objects::VersionRow row;
  row.name = name;
  row.record = outcome.record();
  ASSIGN_OR_RETURN(row.place.version, objects::DecodeId<VersionId>(outcome.version_id()));
  row.place.timestamp = Timestamp(static_cast<uint64_t>(outcome.timestamp_us()));
  return OpenVersion(context, std::move(row));
}

void SetTimestamp(int64_t time_us, google::protobuf::Timestamp* out) {
  out->set_seconds(time_us / 1000000);
  out->set_nanos(static_cast<int32_t>(time_us % 1000000) * 1000);
}

v1::Object ToObject(const Context& context, const Version& version) {
  v1::Object object;
  object.set_container(context.container_name);
  object.set_name(version.row.name);
  object.set_version_id(version.row.place.version.ToHex());
  object.set_etag(objects::EtagOf(version.row.place.version));
  object.set_size_bytes(static_cast<int64_t>(version.manifest.size_bytes()));
  object.set_crc32c(version.metadata.plaintext_crc32c());
  object.set_content_type(version.metadata.content_type());
  for (const auto& entry : version.metadata.entries()) {
    (*object.mutable_metadata())[entry.key()] = entry.value();
  }
  SetTimestamp(static_cast<int64_t>(version.row.place.timestamp.value()),
               object.mutable_create_time());
  object.set_delete_marker(version.row.record.delete_marker());
  return object;
}

pb::SealedMetadata ToSealedMetadata(const std::string& content_type, const Map& metadata,
                                    uint32_t plaintext_crc32c) {
  pb::SealedMetadata sealed;
  sealed.set_content_type(content_type);
  for (const auto& [key, value] :
       std::map<std::string, std::string>(metadata.begin(), metadata.end())) {
    pb::SealedMetadata::Entry* entry = sealed.add_entries();
    entry->set_key(key);
    entry->set_value(value);
  }
  sealed.set_plaintext_crc32c(plaintext_crc32c);
  return sealed;
}

crypto::RunIdentity RunIdentityOf(const crypto::ContainerKeys& keys, std::string_view name,
                                  RunId run) {
  return {.tenant = keys.tenant(),
          .container = keys.container(),
          .object = keys.ObjectIdOf(name),
          .run = run};
}

pb::Run ToRun(RunId run, const crypto::RunHeader& header, uint64_t plaintext_bytes) {
  pb::Run out;
  out.set_run_id(std::string(run.bytes()));
  out.set_plaintext_bytes(plaintext_bytes);
  out.set_suite(static_cast<uint32_t>(header.suite));
  out.set_salt(header.salt);
  out.set_commitment(header.commitment);
  return out;
}

crypto::RunHeader HeaderOf(const pb::Run& run) {
  return {.suite = static_cast<crypto::Suite>(run.suite()),
          .salt = run.salt(),
          .commitment = run.commitment()};
}

}  // namespace meridian::ops
