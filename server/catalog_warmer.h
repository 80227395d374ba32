// Reads what requests for the groups on this node will need of the catalog before they come, so
// that a node which has not met a client yet serves it while the coordination store is away (I12).
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/id.h"
#include "server/cluster_records.h"
#include "tenancy/authenticator.h"
#include "tenancy/catalog_changes.h"
#include "tenancy/catalog_store.h"
#include "tenancy/directory.h"

namespace meridian::server {

// Confined to one thread, on which it blocks for the lookups.
class CatalogWarmer {
 public:
  // All outlive it.
  struct Environment {
    // The partitions that have replicas here, with what is known of them.
    std::function<std::map<PartitionId, PartitionRecord>()> partitions;
    tenancy::CatalogStore& store;
    tenancy::CatalogChanges& changes;
    tenancy::Directory& directory;
    tenancy::Authenticator& authenticator;
  };

  explicit CatalogWarmer(Environment environment) : env_(std::move(environment)) {}

  // Goes on with what is new or may have changed; at most kPartitionsOfRound partitions, the rest
  // with the next rounds. Costs nothing while nothing changes or the store is silent.
  static constexpr size_t kPartitionsOfRound = 100;
  void Round();

 private:
  absl::Status Learn(PartitionId partition, const PartitionRecord& record);
  absl::StatusOr<std::string> NameOf(PartitionId partition, const PartitionRecord& record);

  const Environment env_;
  // Names of containers never change.
  std::map<PartitionId, std::string> names_;
  // With the count of its tenant's changes before each was read.
  std::map<PartitionId, uint64_t> learned_;
};

}  // namespace meridian::server
