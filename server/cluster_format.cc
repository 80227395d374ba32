#include "server/cluster_format.h"

#include <algorithm>
#include <map>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "meridian/internal/v1/cluster.pb.h"
#include "server/cluster_records.h"
#include "server/store_calls.h"

namespace meridian::server {
namespace {

constexpr uint32_t kRecordVersion = 1;
constexpr int kMaxAttempts = 3;

int64_t RevisionOf(const std::optional<coordination::KeyValue>& row) {
  return row ? row->mod_revision : 0;
}

absl::StatusOr<std::map<NodeId, ClusterFormat>> ListNewest(coordination::CoordinationStore& store) {
  ASSIGN_OR_RETURN(const auto rows, ListFrom(store, kNodeKeyPrefix));
  std::map<NodeId, ClusterFormat> newest;
  for (const coordination::KeyValue& row : rows) {
    ASSIGN_OR_RETURN(const NodeRecord record, DecodeNodeRecord(row.value));
    newest[row.key.substr(sizeof(kNodeKeyPrefix) - 1)] = record.newest_format;
  }
  return newest;
}

// The newest of all nodes, which each of them can.
absl::StatusOr<ClusterFormat> CommonNewest(const std::map<NodeId, ClusterFormat>& nodes,
                                           ClusterFormat current) {
  ClusterFormat newest = current;
  for (const auto& [node, format] : nodes) newest = std::max(newest, format);
  std::vector<std::string> behind;
  for (const auto& [node, format] : nodes) {
    if (format < newest) behind.push_back(absl::StrCat(node, " (", format.value(), ")"));
  }
  if (behind.empty()) return newest;
  return absl::FailedPreconditionError(
      absl::StrCat("nothing was changed: some nodes' programs can write format version ",
                   newest.value(), ", those of these nodes cannot: ", absl::StrJoin(behind, ", "),
                   ". Start them with the newer program, or drain and remove them"));
}

}  // namespace

std::string EncodeClusterFormat(ClusterFormat format) {
  internal::v1::ClusterFormatRecord record;
  record.set_format_version(kRecordVersion);
  record.set_cluster_format(format.value());
  return record.SerializeAsString();
}

absl::StatusOr<ClusterFormat> DecodeClusterFormat(
    const std::optional<coordination::KeyValue>& row) {
  if (!row) return kFirstClusterFormat;
  internal::v1::ClusterFormatRecord record;
  if (!record.ParseFromString(row->value) || record.format_version() != kRecordVersion ||
      record.cluster_format() == 0) {
    return absl::DataLossError("the record of the cluster's format version is unreadable");
  }
  return ClusterFormat(record.cluster_format());
}

absl::Status CheckClusterFormat(ClusterFormat cluster, ClusterFormat newest) {
  if (cluster <= newest) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "the cluster's format version is ", cluster.value(), ", the newest of this program is ",
      newest.value(), ": the cluster was upgraded for good, start the newer program"));
}

absl::Status ReserveClusterFormat(coordination::CoordinationStore& store, const NodeId& node,
                                  ClusterFormat newest) {
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    ASSIGN_OR_RETURN(const auto format, GetFrom(store, kFormatKey));
    ASSIGN_OR_RETURN(const ClusterFormat cluster, DecodeClusterFormat(format));
    RETURN_IF_ERROR(CheckClusterFormat(cluster, newest));
    ASSIGN_OR_RETURN(const auto row, GetFrom(store, NodeKeyOf(node)));
    if (!row) return absl::OkStatus();  // nothing is here that it could misread
    ASSIGN_OR_RETURN(NodeRecord record, DecodeNodeRecord(row->value));
    if (record.newest_format <= newest) return absl::OkStatus();
    record.newest_format = newest;
    const absl::Status reserved = CommitTo(
        store, {.compares = {{kFormatKey, RevisionOf(format)}, {row->key, row->mod_revision}},
                .writes = {{row->key, EncodeNodeRecord(record)}, {kPublishedKey, node}}});
    if (!absl::IsAborted(reserved)) return reserved;
  }
  return absl::UnavailableError("the node's record changes too fast; try again");
}

absl::StatusOr<FormatUpgrade> UpgradeClusterFormat(coordination::CoordinationStore& store,
                                                   bool check_only) {
  // Before the nodes: whoever publishes after this read makes the transaction fail.
  ASSIGN_OR_RETURN(const auto published, GetFrom(store, kPublishedKey));
  ASSIGN_OR_RETURN(const auto row, GetFrom(store, kFormatKey));
  ASSIGN_OR_RETURN(const ClusterFormat current, DecodeClusterFormat(row));
  ASSIGN_OR_RETURN(const auto nodes, ListNewest(store));
  ASSIGN_OR_RETURN(const ClusterFormat newest, CommonNewest(nodes, current));
  if (newest > current && !check_only) {
    RETURN_IF_ERROR(CommitTo(
        store, {.compares = {{kPublishedKey, RevisionOf(published)}, {kFormatKey, RevisionOf(row)}},
                .writes = {{kFormatKey, EncodeClusterFormat(newest)}}}));
  }
  return FormatUpgrade{current, newest};
}

}  // namespace meridian::server
