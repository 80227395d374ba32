// What the other partitions of a container still have of the names of one of which nobody is left
// (P7, P23).
#pragma once

#include <optional>
#include <set>
#include <vector>

#include "absl/status/statusor.h"
#include "base/id.h"
#include "coordination/coordination_store.h"
#include "server/peer_client.h"
#include "tenancy/records.h"

namespace meridian::server {

struct SiblingNames {
  // The one to begin with: it still owns some of the names, since its log ends before they went on.
  std::optional<PartitionId> holder;
  // Of which nobody is left either, so that nobody can say what they had; the nodes of their
  // members.
  std::vector<PartitionId> lost;
  std::set<NodeId> lost_nodes;
  // What all of this rests on.
  std::vector<coordination::Compare> compares;
};
// Each partition that may have had the names is answered for: by its leader, the one that the store
// knows, or by all of its members, which are gone or have nothing. FAILED_PRECONDITION: one is not.
// Blocks.
absl::StatusOr<SiblingNames> AskSiblings(coordination::CoordinationStore& store, PeerClient& peers,
                                         PartitionId self,
                                         const std::vector<tenancy::PartitionRange>& map);

}  // namespace meridian::server
