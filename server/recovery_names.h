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

// A replica of another partition of the container, which answers and is whole.
struct OthersNames {
  PartitionId partition;
  bool serves = false;
  objects::NameRange owned;
};
// The partition that still owns some of the names that the map gives `self`, since its log ends
// before a split: what there is of them is there. nullopt: none. FAILED_PRECONDITION: that is not
// known before another group is recovered, or `self` is not in the map.
absl::StatusOr<std::optional<PartitionId>> FindHolder(
    PartitionId self, const std::vector<tenancy::PartitionRange>& map,
    const std::vector<OthersNames>& others);

}  // namespace meridian::server
