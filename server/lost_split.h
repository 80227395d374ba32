// Splits that the container's map shows and the parent's state does not (P7, P23). Pure;
// SplitKeeper acts on it.
#pragma once

#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "base/id.h"
#include "replication/core/group_config.h"
#include "server/cluster_records.h"
#include "server/split_plan.h"
#include "storage/kv.h"
#include "tenancy/records.h"

namespace meridian::server {

struct LostSplit {
  PartitionId child;
  SplitPoint point;  // as the map has it
};
// A partition's state owns no more names than the container's map gives it: a split takes them from
// the state first. Only a log that an operator went on with after a quorum was lost (P23) may end
// before a split that is in the map. Then the names have two owners until the state makes it again,
// the last one first, so that each child is given what the map gives it. nullopt: none is missing,
// or the map does not name `self` yet. DATA_LOSS: the map gives all of the state's names to others.
absl::StatusOr<std::optional<LostSplit>> FindLostSplit(
    const storage::KvReader& state, PartitionId self,
    const std::vector<tenancy::PartitionRange>& map);

// What is to be done next about a lost split, by what has become of its child.
enum class LostSplitStep {
  // Nobody has ever led it, or an operator gave up all that it had: what there is of its names is
  // in the parent's state. Replicas that it has may have been built, on disks that were lost, from
  // entries that are missing here: none of them may meet one that is built from this state, so it
  // gets new ones beside the parent's, and then the split is made as for the first time.
  kMakeAnew,
  // It was led: it has, or had, what was written to it since, and nothing of the parent's may be
  // mixed with that. Until it is seen to serve, the rows stay with the parent: they may be all
  // there is, since the child may have been lost with the parent's other members. It notes that it
  // serves while it has a parent in its record: put there again. What it noted before says nothing.
  kAskWhetherItServes,
  kWait,
  // It serves: it has no parent any more, so that nobody builds anything from it.
  kForgetParent,
  // And then the split only takes the names from the parent's state.
  kTakeNames,
  // It is being split off from another partition: that has to be over first.
  kWaitForOther,
};
// `child`, `record`: its rows in the store. `was_recovered`: it went on without a quorum once, and
// not with what the parent has. `taken`: of this leader of the parent.
struct LostSplitSteps {
  bool asked = false;         // kAskWhetherItServes
  bool serves_alone = false;  // kForgetParent
};
LostSplitStep NextStepOf(const replication::GroupConfig& child, const PartitionRecord& record,
                         PartitionId parent, bool was_recovered, const LostSplitSteps& taken);

// Whether a split that is in the parent's log is over for its child, by the child's row in the
// store: the child serves, with all that it begins with. One without a parent served before the
// split was made again; one of another parent is waited for.
bool IsOver(const PartitionRecord& child, PartitionId parent);

}  // namespace meridian::server
