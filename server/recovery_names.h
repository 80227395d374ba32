// Which names the groups of a container own beside those that its map gives them, where one of them
// has lost its quorum (P7, P23). Pure; control/recover_group acts on it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/id.h"
#include "storage/objects/keys.h"
#include "tenancy/records.h"

namespace meridian::server {

// What it means, for people, that a survivor's state owns `owned`; empty: what the map says.
std::string CompareNames(const objects::NameRange& owned, PartitionId self,
                         const std::vector<tenancy::PartitionRange>& map);

// The partitions of the map that may ever have had names of `self`: those before it, since a
// partition's first name never changes, and a split takes the last ones.
std::vector<PartitionId> PossibleHolders(PartitionId self,
                                         const std::vector<tenancy::PartitionRange>& map);

// Of another partition of the container, by its leader.
struct OwnedNames {
  PartitionId partition;
  objects::NameRange owned;
  bool is_settled = true;  // it has applied all that it knows to be committed
};
// The partition that still owns some of the names that the map gives `self`, since its log ends
// before a split: what there is of them is there. Of several, the one that they went to last.
// nullopt: none. FAILED_PRECONDITION: `self` is not in the map. UNAVAILABLE: it is not known yet.
absl::StatusOr<std::optional<PartitionId>> FindHolder(
    PartitionId self, const std::vector<tenancy::PartitionRange>& map,
    const std::vector<OwnedNames>& others);

}  // namespace meridian::server
