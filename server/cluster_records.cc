#include "server/cluster_records.h"

#include "absl/strings/str_cat.h"
#include "meridian/internal/v1/cluster.pb.h"
#include "proto/unknown_fields.h"

namespace meridian::server {
namespace {

namespace pb = ::meridian::internal::v1;

// The values are the protos of meridian/internal/v1/cluster.proto.
constexpr uint32_t kFormatVersion = 1;

template <typename Proto>
absl::StatusOr<Proto> Parse(std::string_view encoded, const char* what) {
  Proto proto;
  if (!proto.ParseFromArray(encoded.data(), static_cast<int>(encoded.size()))) {
    return absl::DataLossError(absl::StrCat("malformed ", what, " record"));
  }
  if (proto.format_version() != kFormatVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat(what, " record of format version ", proto.format_version()));
  }
  if (HasUnknownFields(proto)) {
    return absl::FailedPreconditionError(
        absl::StrCat(what, " record with fields that this program does not know"));
  }
  return proto;
}

}  // namespace

std::string NodeKeyOf(const NodeId& node) { return kNodeKeyPrefix + node; }

std::string EncodeNodeRecord(const NodeRecord& record) {
  pb::NodeRecord proto;
  proto.set_format_version(kFormatVersion);
  proto.set_public_endpoint(record.public_endpoint);
  proto.set_internal_endpoint(record.internal_endpoint);
  for (const DiskId& disk : record.disks) proto.add_disk_ids(std::string(disk.bytes()));
  proto.set_region(record.region);
  proto.set_zone(record.zone);
  proto.set_newest_cluster_format(record.newest_format.value());
  return proto.SerializeAsString();
}

absl::StatusOr<NodeRecord> DecodeNodeRecord(std::string_view encoded) {
  const absl::StatusOr<pb::NodeRecord> proto = Parse<pb::NodeRecord>(encoded, "node");
  if (!proto.ok()) return proto.status();
  NodeRecord record{
      proto->public_endpoint(), proto->internal_endpoint(), {}, proto->region(), proto->zone()};
  for (const std::string& bytes : proto->disk_ids()) {
    const std::optional<DiskId> disk = DiskId::FromBytes(bytes);
    if (!disk) return absl::DataLossError("malformed disk id in a node record");
    record.disks.push_back(*disk);
  }
  if (proto->newest_cluster_format() != 0) {
    record.newest_format = ClusterFormat(proto->newest_cluster_format());
  }
  return record;
}

std::string DiskKeyOf(DiskId disk) { return absl::StrCat("disk/", disk.ToHex()); }

std::string EncodeDiskRecord(const DiskRecord& record) {
  pb::DiskRecord proto;
  proto.set_format_version(kFormatVersion);
  proto.set_node_id(record.node);
  proto.set_incarnation(record.incarnation);
  proto.set_opening_id(std::string(record.opening.bytes()));
  proto.set_removed(record.removed);
  return proto.SerializeAsString();
}

absl::StatusOr<DiskRecord> DecodeDiskRecord(std::string_view encoded) {
  const absl::StatusOr<pb::DiskRecord> proto = Parse<pb::DiskRecord>(encoded, "disk");
  if (!proto.ok()) return proto.status();
  const std::optional<OpeningId> opening = OpeningId::FromBytes(proto->opening_id());
  if (!opening) return absl::DataLossError("malformed opening in a disk record");
  return DiskRecord{proto->node_id(), proto->incarnation(), *opening, proto->removed()};
}

std::string PartitionKeyOf(PartitionId partition) {
  return kPartitionKeyPrefix + partition.ToHex();
}

std::string EncodePartitionRecord(const PartitionRecord& record) {
  pb::PartitionRecord proto;
  proto.set_format_version(kFormatVersion);
  proto.set_tenant_id(std::string(record.tenant.bytes()));
  proto.set_container_id(std::string(record.container.bytes()));
  proto.set_region(record.region);
  if (record.redundancy) proto.set_redundancy(static_cast<uint32_t>(*record.redundancy));
  if (record.parent) proto.set_parent_id(std::string(record.parent->bytes()));
  proto.set_serves(record.serves);
  return proto.SerializeAsString();
}

absl::StatusOr<PartitionRecord> DecodePartitionRecord(std::string_view encoded) {
  const absl::StatusOr<pb::PartitionRecord> proto =
      Parse<pb::PartitionRecord>(encoded, "partition");
  if (!proto.ok()) return proto.status();
  const std::optional<TenantId> tenant = TenantId::FromBytes(proto->tenant_id());
  const std::optional<ContainerId> container = ContainerId::FromBytes(proto->container_id());
  if (!tenant || !container) return absl::DataLossError("malformed ids in a partition record");
  PartitionRecord record{*tenant, *container, proto->region()};
  if (proto->redundancy() != 0) {
    if (!tenancy::IsRedundancy(proto->redundancy())) {
      return absl::DataLossError("unknown redundancy in a partition record");
    }
    record.redundancy = static_cast<tenancy::Redundancy>(proto->redundancy());
  }
  if (!proto->parent_id().empty()) {
    record.parent = PartitionId::FromBytes(proto->parent_id());
    if (!record.parent) return absl::DataLossError("malformed parent in a partition record");
  }
  record.serves = proto->serves();
  return record;
}

std::optional<ContainerId> ContainerOfPartitionRecord(std::string_view encoded) {
  pb::PartitionRecord proto;
  if (!proto.ParseFromArray(encoded.data(), static_cast<int>(encoded.size()))) return std::nullopt;
  return ContainerId::FromBytes(proto.container_id());
}

std::string AliveKeyOf(const NodeId& node) { return kAliveKeyPrefix + node; }

std::string DrainKeyOf(const NodeId& node) { return kDrainKeyPrefix + node; }

std::string RetiredDiskKeyOf(DiskId disk) { return kRetiredDiskKeyPrefix + disk.ToHex(); }

std::string RemovedKeyOf(PartitionId partition) { return kRemovedKeyPrefix + partition.ToHex(); }

std::optional<PartitionId> PartitionOfKey(std::string_view prefix, std::string_view key) {
  if (!key.starts_with(prefix)) return std::nullopt;
  return PartitionId::FromHex(key.substr(prefix.size()));
}

}  // namespace meridian::server
