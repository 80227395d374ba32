// What a node answers to other nodes, beside the replicas' messages.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "base/id.h"
#include "meridian/internal/v1/cluster.grpc.pb.h"
#include "server/group_scrubs.h"
#include "server/partition_closer.h"
#include "server/replica_host.h"
#include "storage/disk_store.h"

namespace meridian::server {

// A disk of the node, as it is shown.
struct ServedDisk {
  storage::DiskStore* store = nullptr;  // null: it could not be opened
  std::string folder;
  absl::Status problem;  // why
};

// Thread-safe. A caller that its certificate does not prove to be a node which is known here is
// refused as UNAVAILABLE: a node that has just joined is known a moment later.
class NodeServiceHandlers final : public internal::v1::NodeService::Service {
 public:
  void SetNodes(std::set<NodeId> nodes) ABSL_LOCKS_EXCLUDED(mutex_);
  // Until Serve, calls are answered UNAVAILABLE. The references outlive the server.
  void Serve(ReplicaHost& host, PartitionCloser& closer, const GroupScrubs& scrubs,
             std::vector<ServedDisk> disks) ABSL_LOCKS_EXCLUDED(mutex_);

  grpc::Status GetNodeStatus(grpc::ServerContext* context,
                             const internal::v1::GetNodeStatusRequest* request,
                             internal::v1::NodeStatus* response) override;
  grpc::Status ClosePartition(grpc::ServerContext* context,
                              const internal::v1::ClosePartitionRequest* request,
                              internal::v1::ClosePartitionResponse* response) override;
  grpc::Status ReopenPartition(grpc::ServerContext* context,
                               const internal::v1::ReopenPartitionRequest* request,
                               internal::v1::ReopenPartitionResponse* response) override;
  grpc::Status SetVersioning(grpc::ServerContext* context,
                             const internal::v1::SetVersioningRequest* request,
                             internal::v1::SetVersioningResponse* response) override;

 private:
  struct Served {
    ReplicaHost& host;
    PartitionCloser& closer;
    const GroupScrubs& scrubs;
    std::vector<ServedDisk> disks;
  };
  // What answers the caller, or why nothing does.
  struct Admitted {
    std::shared_ptr<Served> node;
    grpc::Status refusal;
  };
  Admitted Admit(const grpc::ServerContext& context) const ABSL_LOCKS_EXCLUDED(mutex_);

  mutable absl::Mutex mutex_;
  std::set<NodeId> nodes_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<Served> served_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace meridian::server
