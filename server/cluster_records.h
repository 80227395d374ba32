// The records that nodes keep in the coordination store, beside replication's group configurations
// and tenancy's catalog.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "base/cluster_format.h"
#include "base/id.h"
#include "tenancy/records.h"

namespace meridian::server {

// Where a node is and what disks it has.
struct NodeRecord {
  std::string public_endpoint;
  std::string internal_endpoint;
  std::vector<DiskId> disks;
  std::string region = {};
  std::string zone = {};
  // That its build can write.
  ClusterFormat newest_format = kFirstClusterFormat;
  bool operator==(const NodeRecord&) const = default;
};

// "node/<node id>".
inline constexpr char kNodeKeyPrefix[] = "node/";
std::string NodeKeyOf(const NodeId& node);
std::string EncodeNodeRecord(const NodeRecord& record);
// DATA_LOSS if it is none, FAILED_PRECONDITION if it is of a version not known here.
absl::StatusOr<NodeRecord> DecodeNodeRecord(std::string_view encoded);

// The last opening of a disk (P11).
struct DiskRecord {
  NodeId node;
  uint64_t incarnation = 0;
  OpeningId opening = {};
  // It was taken out of the cluster.
  bool removed = false;
  bool operator==(const DiskRecord&) const = default;
};

// "disk/<disk hex>".
std::string DiskKeyOf(DiskId disk);
std::string EncodeDiskRecord(const DiskRecord& record);
// As DecodeNodeRecord.
absl::StatusOr<DiskRecord> DecodeDiskRecord(std::string_view encoded);

// Whose data a partition holds.
struct PartitionRecord {
  TenantId tenant;
  ContainerId container;
  std::string region;
  // What the replicas are placed by; nullopt in a record made before this was kept.
  std::optional<tenancy::Redundancy> redundancy = std::nullopt;
  // While its split is not over (P7): it begins with rows of this one.
  std::optional<PartitionId> parent = std::nullopt;
  // Meanwhile: its leader has committed an entry, with a quorum of replicas that are whole.
  bool serves = false;
  bool operator==(const PartitionRecord&) const = default;
};

// "partition/<partition hex>", written in the transaction that creates the group.
inline constexpr char kPartitionKeyPrefix[] = "partition/";
std::string PartitionKeyOf(PartitionId partition);
std::string EncodePartitionRecord(const PartitionRecord& record);
// As DecodeNodeRecord.
absl::StatusOr<PartitionRecord> DecodePartitionRecord(std::string_view encoded);
// Whose it is, also of a record that this program cannot decode; nullopt: not even that is told.
std::optional<ContainerId> ContainerOfPartitionRecord(std::string_view encoded);

// "removed/<partition hex>", written (with any value) in the transaction that deletes the group. A
// node removes a replica's data only if it finds this: a configuration that is merely missing is no
// reason to.
inline constexpr char kRemovedKeyPrefix[] = "removed/";
std::string RemovedKeyOf(PartitionId partition);

// "alive/<node id>" is there while the node runs (CoordinationStore::Announce).
inline constexpr char kAliveKeyPrefix[] = "alive/";
std::string AliveKeyOf(const NodeId& node);

// "drain/<node id>", with any value: the operator wants the node empty.
inline constexpr char kDrainKeyPrefix[] = "drain/";
std::string DrainKeyOf(const NodeId& node);

// "retired-disk/<disk hex>", with any value: the operator wants the disk empty. Stays once it is
// removed.
inline constexpr char kRetiredDiskKeyPrefix[] = "retired-disk/";
std::string RetiredDiskKeyOf(DiskId disk);

inline constexpr char kGroupKeyPrefix[] = "group/";
// The partition of a key "<prefix><partition hex>"; nullopt if it is not of that form.
std::optional<PartitionId> PartitionOfKey(std::string_view prefix, std::string_view key);

}  // namespace meridian::server
