#include "replication/wire_parts.h"

#include <limits>
#include <set>
#include <utility>

#include "base/status.h"
#include "proto/unknown_fields.h"
#include "replication/replica.h"

namespace meridian::replication {
namespace {

constexpr int kMaxMembers = 64;
constexpr size_t kMaxNodeIdBytes = 63;

template <typename Members>
void EncodeMembers(const std::vector<Member>& members, Members& out) {
  for (const Member& member : members) {
    auto& added = *out.Add();
    added.set_replica(std::string(member.replica.bytes()));
    added.set_node(member.node);
    added.set_disk(std::string(member.disk.bytes()));
  }
}

template <typename Members>
absl::Status DecodeMembers(const Members& in, std::vector<Member>& out) {
  if (in.size() > kMaxMembers) return Malformed("too many members");
  std::set<ReplicaId> seen;
  for (const auto& from : in) {
    Member member;
    ASSIGN_OR_RETURN(member.replica, DecodeId<ReplicaId>(from.replica(), "a member's replica id"));
    auto disk = DiskId::FromBytes(from.disk());
    if (!disk) return Malformed("a member's disk id");
    member.disk = *disk;
    if (from.node().empty() || from.node().size() > kMaxNodeIdBytes) {
      return Malformed("a member's node id");
    }
    member.node = from.node();
    if (!seen.insert(member.replica).second) return Malformed("a member is named twice");
    out.push_back(std::move(member));
  }
  return absl::OkStatus();
}

}  // namespace

void EncodePosition(LogPosition position, pb::LogPosition& out) {
  out.set_epoch(position.epoch.value());
  out.set_index(position.index.value());
}

LogPosition DecodePosition(const pb::LogPosition& in) {
  return {Epoch(in.epoch()), LogIndex(in.index())};
}

void EncodeChunk(storage::ChunkId chunk, pb::ChunkName& out) {
  out.set_run(std::string(chunk.run.bytes()));
  out.set_number(chunk.number);
}

absl::StatusOr<storage::ChunkId> DecodeChunk(const pb::ChunkName& in) {
  ASSIGN_OR_RETURN(RunId run, DecodeId<RunId>(in.run(), "a chunk's run id"));
  return storage::ChunkId{run, in.number()};
}

void EncodeEntry(const storage::LogEntry& entry, pb::WireLogEntry& out,
                 std::vector<Buffer>& attachments) {
  out.set_epoch(entry.epoch.value());
  out.set_index(entry.index.value());
  out.set_timestamp_us(entry.timestamp.value());
  out.set_kind(static_cast<uint32_t>(entry.kind));
  out.set_command(entry.command);
  if (!entry.inline_run.is_nil()) {
    attachments.push_back(entry.inline_body);
    out.set_inline_attachment(static_cast<uint32_t>(attachments.size()));
    out.set_inline_run(std::string(entry.inline_run.bytes()));
    out.set_inline_crc32c(entry.inline_crc32c);
  }
  for (const storage::ChunkRange& range : entry.chunks) {
    pb::LogChunkRange& added = *out.add_chunks();
    added.set_run(std::string(range.run.bytes()));
    added.set_first(range.first);
    added.set_count(range.count);
  }
}

absl::StatusOr<storage::LogEntry> DecodeEntry(const pb::WireLogEntry& in,
                                              const std::vector<Buffer>& attachments) {
  storage::LogEntry entry;
  entry.epoch = Epoch(in.epoch());
  entry.index = LogIndex(in.index());
  entry.timestamp = Timestamp(in.timestamp_us());
  if (in.epoch() == 0 || in.index() == 0) return Malformed("an entry without epoch or index");
  if (in.kind() < 1 || in.kind() > 3) return Malformed("an entry of unknown kind");
  entry.kind = static_cast<storage::LogEntry::Kind>(in.kind());
  entry.command = in.command();
  if (in.inline_attachment() > attachments.size()) return Malformed("an inline body is missing");
  if (in.inline_attachment() > 0) {
    entry.inline_body = attachments[in.inline_attachment() - 1];
    ASSIGN_OR_RETURN(entry.inline_run, DecodeId<RunId>(in.inline_run(), "an inline body's run id"));
    entry.inline_crc32c = in.inline_crc32c();
  } else if (!in.inline_run().empty()) {
    return Malformed("an inline run without a body");
  }
  entry.chunks.reserve(in.chunks_size());
  for (const pb::LogChunkRange& range : in.chunks()) {
    ASSIGN_OR_RETURN(RunId run, DecodeId<RunId>(range.run(), "a chunk range's run id"));
    if (range.count() == 0 ||
        range.count() > std::numeric_limits<uint32_t>::max() - range.first()) {
      return Malformed("a chunk range is empty or too long");
    }
    entry.chunks.push_back({run, range.first(), range.count()});
  }
  return entry;
}

void EncodeConfig(const GroupConfig& config, pb::GroupConfig& out) {
  out.set_format_version(kWireFormatVersion);
  out.set_epoch(config.epoch.value());
  if (!config.leader.is_nil()) out.set_leader(std::string(config.leader.bytes()));
  if (!config.session.is_nil()) out.set_session(std::string(config.session.bytes()));
  EncodeMembers(config.members, *out.mutable_members());
  EncodeMembers(config.joint_old, *out.mutable_joint_old());
  EncodeMembers(config.learners, *out.mutable_learners());
}

absl::StatusOr<GroupConfig> DecodeConfig(const pb::GroupConfig& in) {
  if (in.format_version() != kWireFormatVersion) {
    return Malformed("a group configuration of unknown format");
  }
  // Whoever swaps makes the record anew.
  if (HasUnknownFields(in)) return Malformed("a group configuration with unknown fields");
  GroupConfig config;
  config.epoch = Epoch(in.epoch());
  if (!in.leader().empty()) {
    ASSIGN_OR_RETURN(config.leader, DecodeId<ReplicaId>(in.leader(), "a leader's replica id"));
  }
  if (!in.session().empty()) {
    ASSIGN_OR_RETURN(config.session, DecodeId<SessionId>(in.session(), "a session id"));
  }
  RETURN_IF_ERROR(DecodeMembers(in.members(), config.members));
  RETURN_IF_ERROR(DecodeMembers(in.joint_old(), config.joint_old));
  RETURN_IF_ERROR(DecodeMembers(in.learners(), config.learners));
  if (config.members.empty()) return Malformed("a group without members");
  return config;
}

std::string GroupConfigKey(PartitionId partition) { return "group/" + partition.ToHex(); }

std::string EncodeGroupConfig(const GroupConfig& config) {
  pb::GroupConfig out;
  EncodeConfig(config, out);
  return out.SerializeAsString();
}

absl::StatusOr<GroupConfig> DecodeGroupConfig(std::string_view encoded) {
  pb::GroupConfig in;
  if (!in.ParseFromArray(encoded.data(), static_cast<int>(encoded.size()))) {
    return Malformed("a group configuration does not parse");
  }
  return DecodeConfig(in);
}

}  // namespace meridian::replication
