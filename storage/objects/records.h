// Encoding of the records of records.proto: a record of an unknown format, or one that does not
// parse, is DATA_LOSS, never taken for absent (I10).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "absl/status/statusor.h"
#include "base/cluster_format.h"
#include "base/id.h"
#include "crypto/chunk_layout.h"
#include "meridian/internal/v1/records.pb.h"
#include "storage/log_entry.h"

namespace meridian::objects {

namespace pb = ::meridian::internal::v1;

// The format in which a record is written; older ones are read. What apply makes has to be the same
// bytes on every replica, whatever its build: such a format may depend on the log only, for example
// on the format of the command that is applied, and on this constant only while all builds that may
// run together have the same.
template <typename Record>
inline constexpr uint32_t kFormatVersion = 1;
template <>
inline constexpr uint32_t kFormatVersion<pb::Command> = 2;
template <>
inline constexpr uint32_t kFormatVersion<pb::PartitionMeta> = 3;
template <>
inline constexpr uint32_t kFormatVersion<pb::UploadRecord> = 2;

// The newest format of a record that this build reads.
template <typename Record>
uint32_t NewestFormat() {
  return kFormatVersion<Record>;
}
template <>
uint32_t NewestFormat<pb::VersionRecord>();

// The format in which the proposer of a command makes the version records in it. Apply keeps it.
uint32_t VersionFormatOf(ClusterFormat cluster);
// Of a delete marker, which apply makes: of every cluster format, since no command tells another.
inline constexpr uint32_t kDeleteMarkerFormat = 1;

// `Record` is a message of records.proto that has a format_version.
template <typename Record>
absl::StatusOr<Record> DecodeRecord(std::string_view bytes) {
  Record record;
  if (!record.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())) ||
      record.format_version() == 0 || record.format_version() > NewestFormat<Record>()) {
    return absl::DataLossError("object state: unreadable " + record.GetTypeName());
  }
  return record;
}

// Sets the format version. The messages have no maps, so that equal records have equal bytes.
template <typename Record>
std::string EncodeRecord(Record record) {
  static_assert(!std::is_same_v<Record, pb::VersionRecord>, "it keeps its format: EncodeVersion");
  record.set_format_version(kFormatVersion<Record>);
  return record.SerializeAsString();
}

// As it is: its proposer has chosen the format.
std::string EncodeVersion(const pb::VersionRecord& record);

// An id's field as an id; DATA_LOSS unless it is 16 bytes long.
template <typename Id>
absl::StatusOr<Id> DecodeId(std::string_view bytes) {
  std::optional<Id> id = Id::FromBytes(bytes);
  if (!id.has_value()) return absl::DataLossError("object state: an id of a wrong length");
  return *id;
}

// Identifies a version to clients: opaque, and never the same for two versions.
std::string EtagOf(const pb::VersionRecord& record);
std::string EtagOf(VersionId version);

// How many chunks a run of so many bytes has.
inline uint32_t ChunkCountOf(uint64_t plaintext_bytes) {
  return static_cast<uint32_t>(crypto::ChunkCount(plaintext_bytes));
}

// The runs that a version holds; none for a delete marker.
absl::StatusOr<pb::Manifest> ManifestOf(const pb::VersionRecord& record);

// For Proposal::chunks.
storage::ChunkRange AllChunksOf(RunId run, uint64_t plaintext_bytes);

// The command that aborts a run, encoded: for the replica, which knows no commands.
std::string EncodeAbortRun(RunId run);

}  // namespace meridian::objects
