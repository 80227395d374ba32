// Operations on containers, as meridian/v1/containers.proto describes them: catalog and placement
// in one transaction.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "coordination/coordination_store.h"
#include "google/protobuf/empty.pb.h"
#include "meridian/v1/containers.pb.h"
#include "replication/placement/placement.h"
#include "server/cluster_view.h"
#include "server/control/call_limits.h"
#include "server/peer_client.h"
#include "server/topology.h"
#include "tenancy/authenticator.h"
#include "tenancy/authorizer.h"
#include "tenancy/catalog_store.h"
#include "tenancy/containers.h"
#include "tenancy/conversions.h"

namespace meridian::server {

// Thread-safe; calls block. The references outlive it.
class ContainerOps {
 public:
  struct Environment {
    ClusterView& view;
    PeerClient& peers;
    tenancy::CatalogStore& store;
    tenancy::ContainerCatalog& containers;
    tenancy::ConversionCatalog& conversions;
    tenancy::Authorizer& authorizer;
  };

  explicit ContainerOps(const Environment& environment) : env_(environment) {}

  absl::StatusOr<v1::Container> CreateContainer(const tenancy::Principal& principal,
                                                const v1::CreateContainerRequest& request,
                                                const CallLimits& limits);
  absl::StatusOr<v1::Container> GetContainer(const tenancy::Principal& principal,
                                             const v1::GetContainerRequest& request);
  absl::StatusOr<v1::ListContainersResponse> ListContainers(
      const tenancy::Principal& principal, const v1::ListContainersRequest& request);
  absl::StatusOr<v1::Container> UpdateContainer(const tenancy::Principal& principal,
                                                const v1::UpdateContainerRequest& request,
                                                const CallLimits& limits);
  absl::StatusOr<google::protobuf::Empty> DeleteContainer(const tenancy::Principal& principal,
                                                          const v1::DeleteContainerRequest& request,
                                                          const CallLimits& limits);

  absl::StatusOr<v1::Container> ConvertContainer(const tenancy::Principal& principal,
                                                 const v1::ConvertContainerRequest& request);
  absl::StatusOr<v1::Container> PauseConversion(const tenancy::Principal& principal,
                                                const v1::PauseConversionRequest& request);
  absl::StatusOr<v1::Container> ResumeConversion(const tenancy::Principal& principal,
                                                 const v1::ResumeConversionRequest& request);
  absl::StatusOr<v1::Container> CancelConversion(const tenancy::Principal& principal,
                                                 const v1::CancelConversionRequest& request);

 private:
  struct Placement {
    std::string region;
    std::vector<replication::PlacedReplica> replicas;
  };

  // In `region`, or, if that is empty, the first region that can.
  absl::StatusOr<Placement> Place(tenancy::Redundancy redundancy, const std::string& region);
  std::vector<replication::PlacementDisk> Disks();
  // As the API shows it, with the progress of its conversion.
  absl::StatusOr<v1::Container> Describe(const std::string& tenant,
                                         const tenancy::ContainerRecord& record);
  // FAILED_PRECONDITION: a partition cannot be placed by the policy.
  absl::Status CheckPlaceable(const std::vector<PartitionId>& partitions, const std::string& region,
                              tenancy::Redundancy target);
  // FAILED_PRECONDITION: what a conversion has begun to move cannot go back.
  absl::Status CheckMayGoBack(TenantId tenant, std::string_view name);
  // Pause, Resume or Cancel.
  using ChangeConversion = absl::StatusOr<tenancy::ContainerRecord> (tenancy::ConversionCatalog::*)(
      TenantId, std::string_view);
  absl::StatusOr<v1::Container> Change(const tenancy::Principal& principal, const std::string& name,
                                       ChangeConversion change);
  // nullopt: what it was made from has changed; try again.
  absl::StatusOr<std::optional<tenancy::ContainerRecord>> TryCreate(
      tenancy::NewContainer new_container, const std::string& region);
  void WaitForLeader(PartitionId partition, const CallLimits& limits);
  // Lets all partitions know how the container's versioning is, so that it holds for all that is
  // written from now on, whoever proposed it and when.
  absl::Status TellVersioning(const tenancy::ContainerRecord& container, const CallLimits& limits);
  // FAILED_PRECONDITION: one of its partitions is not empty.
  absl::Status Remove(const tenancy::ContainerRecord& container, const CallLimits& limits);
  absl::Status CheckEmpty(const tenancy::ContainerRecord& container, absl::Time deadline);
  // ABORTED: something has changed meanwhile.
  absl::Status TryRemove(const tenancy::ContainerRecord& container, absl::Time deadline);
  // Adds to `closed` what has to be opened again if the transaction does not take effect.
  absl::Status ClosePartitions(const tenancy::ContainerRecord& container, absl::Time deadline,
                               coordination::Transaction& transaction,
                               std::vector<PartitionId>& closed);
  // Ends a removal. False: the container is gone.
  absl::StatusOr<bool> Reopen(const tenancy::ContainerRecord& container);

  const Environment env_;
};

}  // namespace meridian::server
