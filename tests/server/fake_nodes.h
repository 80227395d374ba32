// What nodes would say of their replicas: a test tells it.
#pragma once

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
      const std::vector<NodeId>& nodes, const internal::v1::GetNodeStatusRequest&,
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
        *status.add_replicas() = replica;
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
  static absl::Status Unused() { return absl::UnimplementedError("only statuses are asked for"); }
};

}  // namespace meridian::server
