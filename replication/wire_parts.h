// Encoding of what several messages hold: ids, positions, entries, configurations. Decoders answer
// INVALID_ARGUMENT, naming the part, for what an encoder cannot have made.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/buffer.h"
#include "base/id.h"
#include "meridian/internal/v1/replication.pb.h"
#include "replication/core/group_config.h"
#include "replication/core/messages.h"
#include "storage/log_entry.h"

namespace meridian::replication {

namespace pb = ::meridian::internal::v1;

inline constexpr uint32_t kWireFormatVersion = 1;

inline absl::Status Malformed(const std::string& what) {
  return absl::InvalidArgumentError("malformed peer message: " + what);
}

// A non-nil id.
template <typename Id>
absl::StatusOr<Id> DecodeId(std::string_view bytes, const char* what) {
  auto id = Id::FromBytes(bytes);
  if (!id || id->is_nil()) return Malformed(what);
  return *id;
}

void EncodePosition(LogPosition position, pb::LogPosition& out);
LogPosition DecodePosition(const pb::LogPosition& in);

void EncodeChunk(storage::ChunkId chunk, pb::ChunkName& out);
absl::StatusOr<storage::ChunkId> DecodeChunk(const pb::ChunkName& in);

// Inline bodies are added to `attachments`.
void EncodeEntry(const storage::LogEntry& entry, pb::WireLogEntry& out,
                 std::vector<Buffer>& attachments);
absl::StatusOr<storage::LogEntry> DecodeEntry(const pb::WireLogEntry& in,
                                              const std::vector<Buffer>& attachments);

void EncodeConfig(const GroupConfig& config, pb::GroupConfig& out);
absl::StatusOr<GroupConfig> DecodeConfig(const pb::GroupConfig& in);

}  // namespace meridian::replication
