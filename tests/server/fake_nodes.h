// What nodes would say of their replicas: a test tells it.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "server/peer_client.h"

namespace meridian::server {

class FakeNodes final : public PeerClient {
 public:
  std::map<NodeId, absl::StatusOr<internal::v1::NodeStatus>> GetNodeStatuses(
      const std::vector<NodeId>& nodes, const internal::v1::GetNodeStatusRequest& request,
      absl::Duration) override {
    ++asks;
    if (asked) asked();
    std::map<NodeId, absl::StatusOr<internal::v1::NodeStatus>> answers;
    for (const NodeId& node : nodes) {
      if (down.contains(node)) {
        answers.emplace(node, absl::UnavailableError("down"));
        continue;
      }
      internal::v1::NodeStatus status;
      for (const internal::v1::ReplicaStatus& replica : replicas[node]) {
        if (!IsAskedFor(replica, request)) continue;
        internal::v1::ReplicaStatus& told = *status.add_replicas() = replica;
        if (!request.with_names()) told.clear_names_start();
      }
      answers.emplace(node, std::move(status));
    }
    return answers;
  }
  bool Reachable(const NodeId& node) override { return !down.contains(node); }
  absl::Status CheckEmpty(const tenancy::PartitionRange&, absl::Time) override { return Unused(); }
  absl::StatusOr<int64_t> ClosePartition(const tenancy::PartitionRange&, absl::Time) override {
    return Unused();
  }
  absl::Status ReopenPartition(PartitionId, absl::Time) override { return Unused(); }
  absl::Status SetVersioning(PartitionId, bool, uint64_t, absl::Time) override { return Unused(); }

  std::map<NodeId, std::vector<internal::v1::ReplicaStatus>> replicas;
  std::set<NodeId> down;
  std::function<void()> asked;  // before each answer
  int asks = 0;

 private:
  // One without a partition is of any.
  static bool IsAskedFor(const internal::v1::ReplicaStatus& replica,
                         const internal::v1::GetNodeStatusRequest& request) {
    const auto& only = request.partition_ids();
    return only.empty() || replica.partition_id().empty() ||
           std::find(only.begin(), only.end(), replica.partition_id()) != only.end();
  }
  static absl::Status Unused() { return absl::UnimplementedError("only statuses are asked for"); }
};

}  // namespace meridian::server
