// The log index, as readers and the checkpointer see it.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status.h"
#include "storage/store/disk_index.h"

namespace meridian::storage {
namespace {

constexpr uint64_t kMaxSingleDeletes = 4096;

}  // namespace

absl::StatusOr<std::optional<LogRow>> DiskIndex::FindEntry(const ReplicaOnDisk& replica,
                                                           LogIndex index) const {
  ASSIGN_OR_RETURN(const std::optional<std::string> value,
                   kv_.Get(Family::kLog, LogKey(replica, index)));
  if (!value.has_value()) return std::nullopt;
  return DecodeLogRow(*value);
}

absl::Status DiskIndex::TrimTo(ReplicaId id, LogIndex index) {
  absl::MutexLock lock(&mutex_);
  RETURN_IF_ERROR(CommitLocked());
  const auto found = replicas_.find(id);
  if (found == replicas_.end() || found->second.installing) return absl::OkStatus();
  Replica& replica = found->second;
  const LogIndex base(*replica.base);
  if (index <= base) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::optional<LogRow> row, FindEntry(replica.id, index));
  if (!row.has_value()) {
    return absl::FailedPreconditionError(
        absl::StrCat("the log is trimmed to ", index.value(), ", which it does not hold"));
  }
  RocksBatch batch;
  // Many deletions of ranges make a memtable slow to read: one each only where it saves much.
  if (index - base > kMaxSingleDeletes) {
    batch.DeleteRange(Family::kLog, LogKey(replica.id, base + 1), LogKey(replica.id, index + 1));
  } else {
    for (LogIndex i = base + 1; i <= index; ++i) batch.Delete(Family::kLog, LogKey(replica.id, i));
  }
  batch.Put(Family::kMeta, BaseKey(id), EncodeBase({.index = index, .epoch = row->epoch}));
  RETURN_IF_ERROR(kv_.Write(batch));
  *replica.base = index.value();
  replica.packed_through = std::max(replica.packed_through, index);
  return absl::OkStatus();
}

absl::StatusOr<bool> DiskIndex::TrimDamaged(ReplicaId id, LogIndex index) {
  ASSIGN_OR_RETURN(const std::optional<std::string> applied,
                   kv_.Get(Family::kMeta, AppliedKey(id)));
  if (!applied.has_value()) return false;
  ASSIGN_OR_RETURN(const AppliedPoint point, DecodeApplied(*applied));
  if (index > point.index) return false;
  RETURN_IF_ERROR(TrimTo(id, index));
  return true;
}

absl::StatusOr<std::vector<DiskIndex::OldEntry>> DiskIndex::ListEntries(
    const ReplicaOnDisk& replica, LogIndex after, size_t max) const {
  std::vector<OldEntry> entries;
  auto rows =
      kv_.NewIterator(Family::kLog, LogKey(replica, after + 1), PrefixEnd(LogPrefix(replica)));
  for (rows->Seek(""); rows->Valid() && entries.size() < max; rows->Next()) {
    ASSIGN_OR_RETURN(const LogIndex index, DecodeLogKey(rows->key()));
    ASSIGN_OR_RETURN(LogRow row, DecodeLogRow(rows->value()));
    entries.push_back({.index = index, .row = std::move(row)});
  }
  RETURN_IF_ERROR(rows->status());
  return entries;
}

absl::StatusOr<std::vector<DiskIndex::OldEntry>> DiskIndex::ListOld(ReplicaId id, uint64_t life,
                                                                    size_t max) const {
  absl::MutexLock lock(&mutex_);
  std::vector<OldEntry> old;
  const auto found = replicas_.find(id);
  if (found == replicas_.end()) return old;
  const Replica& replica = found->second;
  auto rows = kv_.NewIterator(Family::kLog, LogKey(replica.id, replica.packed_through + 1),
                              LogKey(replica.id, replica.last + 1));
  for (rows->Seek(""); rows->Valid() && old.size() < max; rows->Next()) {
    ASSIGN_OR_RETURN(const LogIndex index, DecodeLogKey(rows->key()));
    ASSIGN_OR_RETURN(LogRow row, DecodeLogRow(rows->value()));
    if (row.place != EntryPlace::kJournal) continue;
    if (row.record.life >= life) break;
    old.push_back({.index = index, .row = std::move(row)});
  }
  RETURN_IF_ERROR(rows->status());
  return old;
}

absl::Status DiskIndex::ReplaceEntries(ReplicaId id, const std::vector<OldEntry>& old,
                                       const std::vector<LogRow>& rows) {
  CHECK_INVARIANT(old.size() == rows.size(), "an entry to pack has no packed row");
  absl::MutexLock lock(&mutex_);
  RETURN_IF_ERROR(CommitLocked());
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
