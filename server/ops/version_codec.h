// Versions as they are stored, made and opened under the container's keys: sealed metadata, wrapped
// DEK and MAC (P20).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "base/id.h"
#include "crypto/chunk_cipher.h"
#include "crypto/container_keys.h"
#include "crypto/secret_key.h"
#include "meridian/v1/objects.pb.h"
#include "server/ops/context.h"
#include "storage/objects/object_reader.h"
#include "storage/objects/records.h"

namespace meridian::ops {

namespace pb = ::meridian::internal::v1;

// A version whose record has been authenticated and opened.
struct Version {
  objects::VersionRow row;
  // Of the KEK that its record was made under.
  std::shared_ptr<const crypto::ContainerKeys> keys;
  // Empty, as the metadata, for a delete marker.
  pb::Manifest manifest;
  pb::SealedMetadata metadata;
};

// What a new version holds.
struct VersionParts {
  std::string_view name;
  VersionId version;
  // An encoded Manifest, and the DEK as wrapped by `keys`.
  std::string manifest;
  std::string wrapped_dek;
  pb::SealedMetadata metadata;
};

// In the format of `context`'s cluster, under `keys`, which may be older than the context's. In
// version_record.cc, with what is authenticated of a record.
pb::VersionRecord MakeVersionRecord(const Context& context, const crypto::ContainerKeys& keys,
                                    const VersionParts& parts);
// MAC of a record that is no delete marker's.
std::string VersionMac(const crypto::ContainerKeys& keys, std::string_view name,
                       const pb::VersionRecord& record);
// MAC of a delete marker.
std::string DeleteMarkerMac(const crypto::ContainerKeys& keys, std::string_view name,
                            VersionId version);

// DATA_LOSS (CORRUPT) if the record is not one that was made for this name and version.
absl::StatusOr<Version> OpenVersion(const Context& context, objects::VersionRow row);

// The version that an outcome with a record has made.
absl::StatusOr<Version> OpenOutcome(const Context& context, const std::string& name,
                                    const pb::Outcome& outcome);

// Of a KEK version, which may not be the newest.
absl::StatusOr<std::shared_ptr<const crypto::ContainerKeys>> KeysOf(const Context& context,
                                                                    uint32_t kek_version);

// The version as clients see it; `latest` is not set.
v1::Object ToObject(const Context& context, const Version& version);

// Entries sorted by key.
pb::SealedMetadata ToSealedMetadata(const std::string& content_type,
                                    const google::protobuf::Map<std::string, std::string>& metadata,
                                    uint32_t plaintext_crc32c);

// What a run's chunks are bound to.
crypto::RunIdentity RunIdentityOf(const crypto::ContainerKeys& keys, std::string_view name,
                                  RunId run);
pb::Run ToRun(RunId run, const crypto::RunHeader& header, uint64_t plaintext_bytes);
crypto::RunHeader HeaderOf(const pb::Run& run);

// What is sealed for a version, or for an upload that will become it, is bound to this.
std::string SealingContext(const crypto::ContainerKeys& keys, std::string_view name,
                           VersionId version);

void SetTimestamp(int64_t time_us, google::protobuf::Timestamp* out);

}  // namespace meridian::ops
