#include "storage/objects/merge.h"

#include <algorithm>
#include <limits>
#include <memory>
#include <string>
#include <utility>

#include "base/status.h"
#include "storage/objects/commands.h"
#include "storage/objects/keys.h"
#include "storage/objects/object_reader.h"
#include "storage/objects/split.h"

namespace meridian::objects {
namespace {

NameRange OwnedBy(const pb::PartitionMeta& meta) { return {meta.range_start(), meta.range_end()}; }

// All names are not: they have no neighbour.
bool IsPart(const NameRange& names) { return names != NameRange(); }

bool Covers(const NameRange& outer, const NameRange& inner) {
  return outer.start <= inner.start &&
         (outer.end.empty() || (!inner.end.empty() && inner.end <= outer.end));
}

absl::StatusOr<bool> HasVersion(const storage::KvReader& state, const NameRange& owned) {
  const std::string lower = NamesBegin(Tag::kObject, owned);
  const std::unique_ptr<storage::KvIterator> it =
      state.NewIterator(lower, NamesEnd(Tag::kObject, owned));
  it->Seek(lower);
  const bool found = it->Valid();
  RETURN_IF_ERROR(it->status());
  return found;
}

// Every outcome of a request, every upload and every aborted run is in an expiry queue: one row
// there is one of them, or one that a split took away and that its child may still know. The
// command itself may have forgotten a few.
absl::StatusOr<bool> AwaitsExpiry(const StateEditor& state, const pb::PartitionMeta& meta) {
  const std::pair<Queue, int64_t> queues[] = {
      {Queue::kRequest, meta.request_queue_start_us()},
      {Queue::kUpload, meta.upload_queue_start_us()},
      {Queue::kAbortedRun, meta.aborted_run_queue_start_us()},
  };
  for (const auto& [queue, start_us] : queues) {
    const std::string lower = ExpiryFrom(queue, start_us);
    const std::unique_ptr<storage::KvIterator> it =
        state.base().NewIterator(lower, ExpiryEnd(queue));
    for (it->Seek(lower); it->Valid(); it->Next()) {
      ASSIGN_OR_RETURN(const std::optional<std::string> row, state.Get(std::string(it->key())));
      if (row.has_value()) return true;
    }
    RETURN_IF_ERROR(it->status());
  }
  return false;
}

absl::StatusOr<bool> MayBeClosed(const StateEditor& state, const pb::PartitionMeta& meta) {
  const NameRange owned = OwnedBy(meta);
  if (meta.has_closed() || meta.has_split() || meta.holds_garbage() || !IsPart(owned)) return false;
  ASSIGN_OR_RETURN(const bool awaits_expiry, AwaitsExpiry(state, meta));
  if (awaits_expiry) return false;
  ASSIGN_OR_RETURN(const bool has_version, HasVersion(state.base(), owned));
  return !has_version;
}

bool MayAbsorb(const pb::AbsorbPartition& absorb, const NameRange& names,
               const ApplyContext& context) {
  const NameRange owned = OwnedBy(context.meta);
  const bool follows = !names.start.empty() && owned.end == names.start;
  const bool precedes = !names.end.empty() && owned.start == names.end;
  return !context.meta.has_closed() && !context.meta.has_split() && follows != precedes &&
         context.now_us() > absorb.timestamp_us() && context.entry.epoch == Epoch(absorb.epoch());
}

}  // namespace

absl::StatusOr<bool> MayBeClosed(const storage::KvReader& state) {
  ASSIGN_OR_RETURN(const std::optional<pb::PartitionMeta> meta, ObjectReader(state).Meta());
  return MayBeClosed(StateEditor(state), meta.value_or(pb::PartitionMeta()));
}

absl::StatusOr<std::optional<pb::ClosedPartition>> FindClosed(const storage::KvReader& state) {
  ASSIGN_OR_RETURN(std::optional<pb::PartitionMeta> meta, ObjectReader(state).Meta());
  if (!meta.has_value() || !meta->has_closed()) return std::optional<pb::ClosedPartition>();
  return std::optional(std::move(*meta->mutable_closed()));
}

absl::StatusOr<pb::Outcome> ApplyClose(const pb::ClosePartition& close, ApplyContext& context) {
  pb::PartitionMeta& meta = context.meta;
  if (meta.has_closed()) {
    const bool repeated = meta.closed().into_partition_id() == close.into_partition_id();
    return MakeOutcome(repeated ? pb::Outcome::OK : pb::Outcome::MERGE_REFUSED);
  }
  RETURN_IF_ERROR(DecodeId<PartitionId>(close.into_partition_id()).status());
  ASSIGN_OR_RETURN(const bool may, MayBeClosed(context.state, meta));
  if (!may || context.entry.epoch != Epoch(close.epoch())) {
    return MakeOutcome(pb::Outcome::MERGE_REFUSED);
  }
  pb::ClosedPartition& closed = *meta.mutable_closed();
  closed.set_into_partition_id(close.into_partition_id());
  closed.set_timestamp_us(context.now_us());
  closed.set_request_floor_us(meta.request_floor_us());
  const std::string bound = meta.range_start().empty() ? meta.range_end() : meta.range_start();
  meta.set_range_start(bound);
  meta.set_range_end(bound);
  return MakeOutcome(pb::Outcome::OK);
}

absl::StatusOr<pb::Outcome> ApplyAbsorb(const pb::AbsorbPartition& absorb, ApplyContext& context) {
  pb::PartitionMeta& meta = context.meta;
  const NameRange names{absorb.start(), absorb.end()};
  // Before, they were the other's: done already.
  if (!meta.has_closed() && Covers(OwnedBy(meta), names)) return MakeOutcome(pb::Outcome::OK);
  if (!MayAbsorb(absorb, names, context)) return MakeOutcome(pb::Outcome::MERGE_REFUSED);
  // Rows that an earlier split took away, and this replica has not cleaned up, may be of these very
  // names: out of sight until now.
  RETURN_IF_ERROR(
      CleanMoved(context.state.base(), std::numeric_limits<size_t>::max(), context.batch).status());
  if (meta.range_end() == names.start && !names.start.empty()) {
    meta.set_range_end(names.end);
  } else {
    meta.set_range_start(names.start);
  }
  meta.set_request_floor_us(std::max(meta.request_floor_us(), absorb.request_floor_us()));
  return MakeOutcome(pb::Outcome::OK);
}

}  // namespace meridian::objects
