#include "storage/objects/records.h"

#include <utility>

namespace meridian::objects {

std::string EtagOf(VersionId version) { return version.ToHex(); }

std::string EtagOf(const pb::VersionRecord& record) {
  return EtagOf(VersionId::FromBytes(record.version_id()).value_or(VersionId()));
}

std::string EncodeVersion(const pb::VersionRecord& record) { return record.SerializeAsString(); }

absl::StatusOr<pb::Manifest> ManifestOf(const pb::VersionRecord& record) {
  if (record.delete_marker()) return pb::Manifest();
  return DecodeRecord<pb::Manifest>(record.manifest());
}

storage::ChunkRange AllChunksOf(RunId run, uint64_t plaintext_bytes) {
  return {.run = run, .first = 0, .count = ChunkCountOf(plaintext_bytes)};
}

std::string EncodeAbortRun(RunId run) {
  pb::Command command;
  command.mutable_abort_run()->set_run_id(std::string(run.bytes()));
  return EncodeRecord(std::move(command));
}

}  // namespace meridian::objects
