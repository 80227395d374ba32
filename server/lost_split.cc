#include "server/lost_split.h"

#include <memory>
#include <string>
#include <utility>

#include "base/status.h"
#include "storage/objects/keys.h"
#include "storage/objects/object_reader.h"

namespace meridian::server {

absl::StatusOr<std::optional<LostSplit>> FindLostSplit(
    const storage::KvReader& state, PartitionId self,
    const std::vector<tenancy::PartitionRange>& map) {
  ASSIGN_OR_RETURN(const objects::NameRange owned, objects::ObjectReader(state).Owned());
  const tenancy::PartitionRange* given = nullptr;
  const tenancy::PartitionRange* last = nullptr;  // has the last of the names that the state owns
  for (const tenancy::PartitionRange& range : map) {
    if (range.partition == self) given = &range;
    const bool begins_inside = owned.end.empty() || range.start < owned.end;
    if (begins_inside && (last == nullptr || range.start > last->start)) last = &range;
  }
  if (given == nullptr || last == nullptr || last->start <= given->start) {
    return std::optional<LostSplit>();
  }
  if (last->start <= owned.start) {
    return absl::DataLossError("the container's map gives a partition none of the names it owns");
  }
  LostSplit lost{last->partition, {last->start}};
  const objects::NameRange moved{last->start, owned.end};
  const std::string lower = objects::NamesBegin(objects::Tag::kObject, moved);
  const std::unique_ptr<storage::KvIterator> it =
      state.NewIterator(lower, objects::NamesEnd(objects::Tag::kObject, moved));
  for (it->Seek(lower); it->Valid(); it->Next()) {
    ++lost.point.moved_count;
    lost.point.moved_bytes += it->key().size() + it->value().size();
  }
  RETURN_IF_ERROR(it->status());
  return std::optional(std::move(lost));
}

LostSplitStep NextStepOf(const replication::GroupConfig& child, const PartitionRecord& record,
                         PartitionId parent, bool was_recovered, const LostSplitSteps& taken) {
  if (!record.parent) {
    return taken.serves_alone ? LostSplitStep::kTakeNames : LostSplitStep::kAskWhetherItServes;
  }
  if (*record.parent != parent) return LostSplitStep::kWaitForOther;
  // The configuration of a group that was recovered names no leader for a moment.
  if (child.leader.is_nil() && !was_recovered) return LostSplitStep::kMakeAnew;
  if (!record.serves) return LostSplitStep::kWait;
  return taken.asked ? LostSplitStep::kForgetParent : LostSplitStep::kAskWhetherItServes;
}

bool IsOver(const PartitionRecord& child, PartitionId parent) {
  return !child.parent || (*child.parent == parent && child.serves);
}

}  // namespace meridian::server
