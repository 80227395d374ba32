// The log index, as readers and the checkpointer see it.
#include <algorithm>

#include "base/check.h"
#include "base/status.h"
#include "storage/store/disk_index.h"

namespace meridian::storage {

absl::StatusOr<std::optional<LogRow>> DiskIndex::FindEntry(const ReplicaOnDisk& replica,
                                                           LogIndex index) const {
  ASSIGN_OR_RETURN(const std::optional<std::string> value,
                   kv_.Get(Family::kLog, LogKey(replica, index)));
  if (!value.has_value()) return std::nullopt;
  return DecodeLogRow(*value);
}

void DiskIndex::AllowTrim(ReplicaId id, LogIndex index) {
  absl::MutexLock lock(&mutex_);
  const auto found = replicas_.find(id);
  if (found == replicas_.end()) return;
  found->second.trim_allowed = std::max(found->second.trim_allowed, index);
}

absl::StatusOr<std::vector<DiskIndex::OldEntry>> DiskIndex::TrimAndListOld(ReplicaId id,
                                                                           uint64_t life,
                                                                           size_t max) {
  absl::MutexLock lock(&mutex_);
  std::vector<OldEntry> old;
  const auto found = replicas_.find(id);
  if (found == replicas_.end()) return old;
  Replica& replica = found->second;
  const LogIndex base(*replica.base);
  // Trimming begins at the base, packing after what is packed already.
  const bool trims = replica.trim_allowed > base;
  const LogIndex first = trims ? base + 1 : std::max(base, replica.packed_through) + 1;
  LogIndex trim_to = base;
  Epoch trim_epoch;
  auto rows = kv_.NewIterator(Family::kLog, LogKey(replica.id, first),
                              LogKey(replica.id, replica.last + 1));
  for (rows->Seek(""); rows->Valid() && old.size() < max; rows->Next()) {
    ASSIGN_OR_RETURN(const LogIndex index, DecodeLogKey(rows->key()));
    ASSIGN_OR_RETURN(LogRow row, DecodeLogRow(rows->value()));
    const bool in_journal = row.place == EntryPlace::kJournal;
    if (in_journal && row.record.life >= life) break;
    if (index <= replica.trim_allowed) {
      trim_to = index;
      trim_epoch = row.epoch;
    } else if (in_journal) {
      old.push_back({.index = index, .row = std::move(row)});
    }
  }
  RETURN_IF_ERROR(rows->status());
  if (trim_to > base) {
    RocksBatch batch;
    batch.DeleteRange(Family::kLog, LogKey(replica.id, base + 1), LogKey(replica.id, trim_to + 1));
    batch.Put(Family::kMeta, BaseKey(id), EncodeBase({.index = trim_to, .epoch = trim_epoch}));
    RETURN_IF_ERROR(kv_.Write(batch));
    *replica.base = trim_to.value();
    replica.packed_through = std::max(replica.packed_through, trim_to);
  }
  return old;
}

absl::Status DiskIndex::ReplaceEntries(ReplicaId id, const std::vector<OldEntry>& old,
                                       const std::vector<LogRow>& rows) {
  CHECK_INVARIANT(old.size() == rows.size(), "an entry to pack has no packed row");
  absl::MutexLock lock(&mutex_);
  const auto found = replicas_.find(id);
  if (found == replicas_.end()) return absl::OkStatus();
  Replica& replica = found->second;
  RocksBatch batch;
  LogIndex through = replica.packed_through;
  for (size_t i = 0; i < old.size(); ++i) {
    const std::string key = LogKey(replica.id, old[i].index);
    ASSIGN_OR_RETURN(const std::optional<std::string> present, kv_.Get(Family::kLog, key));
    if (!present.has_value()) continue;
    ASSIGN_OR_RETURN(const LogRow row, DecodeLogRow(*present));
    if (row != old[i].row) continue;
    batch.Put(Family::kLog, key, EncodeLogRow(rows[i]));
    through = std::max(through, old[i].index);
  }
  RETURN_IF_ERROR(kv_.Write(batch));
  replica.packed_through = through;
  return absl::OkStatus();
}

}  // namespace meridian::storage
