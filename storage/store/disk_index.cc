#include "storage/store/disk_index.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace meridian::storage {
namespace {

absl::Status NoReplica(ReplicaId replica) {
  return absl::NotFoundError(absl::StrCat("no replica ", replica.ToHex(), " on this disk"));
}

}  // namespace

absl::StatusOr<DiskIndex::Replica> DiskIndex::LoadReplica(const ReplicaOnDisk& id) const {
  Replica replica;
  replica.id = id;
  replica.base = std::make_shared<std::atomic<uint64_t>>(0);
  ASSIGN_OR_RETURN(const std::optional<std::string> base,
                   kv_.Get(Family::kMeta, BaseKey(id.replica)));
  if (base.has_value()) {
    ASSIGN_OR_RETURN(const LogBase decoded, DecodeBase(*base));
    *replica.base = decoded.index.value();
  }
  ASSIGN_OR_RETURN(const std::optional<std::string> installing,
                   kv_.Get(Family::kMeta, InstallKey(id.replica)));
  replica.installing = installing.has_value();
  replica.last = replica.packed_through = LogIndex(*replica.base);
  auto rows = kv_.NewIterator(Family::kLog, LogKey(id, replica.last + 1), PrefixEnd(LogPrefix(id)));
  for (rows->Seek(""); rows->Valid(); rows->Next()) {
    ASSIGN_OR_RETURN(replica.last, DecodeLogKey(rows->key()));
  }
  RETURN_IF_ERROR(rows->status());
  return replica;
}

absl::Status DiskIndex::Load() {
  absl::MutexLock lock(&mutex_);
  ASSIGN_OR_RETURN(const std::optional<std::string> position,
                   kv_.Get(Family::kMeta, PositionKey()));
  if (position.has_value()) {
    ASSIGN_OR_RETURN(position_, DecodePosition(*position));
  }
  committed_ = position_;
  to_skip_ = position_.records;
  auto rows = kv_.NewIterator(Family::kMeta, RangePrefix(), PrefixEnd(RangePrefix()));
  for (rows->Seek(""); rows->Valid(); rows->Next()) {
    ASSIGN_OR_RETURN(const ReplicaOnDisk id, DecodeRange(rows->key(), rows->value()));
    ASSIGN_OR_RETURN(replicas_[id.replica], LoadReplica(id));
    owners_[id.container][id.partition] = id.replica;
  }
  return rows->status();
}

JournalPosition DiskIndex::position() const {
  absl::MutexLock lock(&mutex_);
  return committed_;
}

std::vector<ReplicaOnDisk> DiskIndex::Replicas() const {
  absl::MutexLock lock(&mutex_);
  std::vector<ReplicaOnDisk> replicas;
  for (const auto& [id, replica] : replicas_) replicas.push_back(replica.id);
  return replicas;
}

absl::StatusOr<ReplicaOnDisk> DiskIndex::FindReplica(ReplicaId replica) const {
  absl::MutexLock lock(&mutex_);
  const auto found = replicas_.find(replica);
  if (found == replicas_.end()) return NoReplica(replica);
  return found->second.id;
}

absl::StatusOr<Epoch> DiskIndex::ReadPromise(ReplicaId replica) const {
  ASSIGN_OR_RETURN(const auto promise, kv_.Get(Family::kMeta, PromiseKey(replica)));
  if (!promise.has_value()) return Epoch();
  return DecodePromise(*promise);
}

absl::StatusOr<Epoch> DiskIndex::FindPromise(ReplicaId replica) const {
  absl::MutexLock lock(&mutex_);
  if (!replicas_.contains(replica)) return NoReplica(replica);
  return ReadPromise(replica);
}

std::optional<ReplicaOnDisk> DiskIndex::FindOwner(ContainerId container,
                                                  PartitionId partition) const {
  absl::MutexLock lock(&mutex_);
  return FindOwnerLocked(container, partition);
}

std::optional<ReplicaOnDisk> DiskIndex::FindOwnerLocked(ContainerId container,
                                                        PartitionId partition) const {
  const auto owners = owners_.find(container);
  if (owners == owners_.end()) return std::nullopt;
  const auto owner = owners->second.find(partition);
  if (owner == owners->second.end()) return std::nullopt;
  return replicas_.at(owner->second).id;
}

std::vector<ReplicaId> DiskIndex::SiblingsOf(const ReplicaOnDisk& replica) const {
  absl::MutexLock lock(&mutex_);
  std::vector<ReplicaId> siblings;
  const auto owners = owners_.find(replica.container);
  if (owners == owners_.end()) return siblings;
  for (const auto& [partition, owner] : owners->second) {
    if (partition != replica.partition) siblings.push_back(owner);
  }
  return siblings;
}

absl::StatusOr<std::shared_ptr<const std::atomic<uint64_t>>> DiskIndex::OpenReplica(
    ReplicaId replica) {
  absl::MutexLock lock(&mutex_);
  const auto found = replicas_.find(replica);
  if (found == replicas_.end()) return NoReplica(replica);
  if (found->second.open) {
    return absl::FailedPreconditionError(
        absl::StrCat("replica ", replica.ToHex(), " is open already"));
  }
  found->second.open = true;
  return found->second.base;
}

void DiskIndex::CloseReplica(ReplicaId replica) {
  absl::MutexLock lock(&mutex_);
  const auto found = replicas_.find(replica);
  if (found != replicas_.end()) found->second.open = false;
}

absl::StatusOr<RecoveredReplica> DiskIndex::Recover(ReplicaId id) const {
  absl::MutexLock lock(&mutex_);
  const auto found = replicas_.find(id);
  if (found == replicas_.end()) return NoReplica(id);
  const Replica& replica = found->second;
  RecoveredReplica recovered;
  recovered.installing = replica.installing;
  ASSIGN_OR_RETURN(recovered.hard_state.promised, ReadPromise(id));
  if (recovered.installing) return recovered;
  ASSIGN_OR_RETURN(const auto base, kv_.Get(Family::kMeta, BaseKey(id)));
  if (base.has_value()) {
    ASSIGN_OR_RETURN(const LogBase decoded, DecodeBase(*base));
    recovered.base_index = decoded.index;
    recovered.base_epoch = decoded.epoch;
  }
  ASSIGN_OR_RETURN(const auto applied, kv_.Get(Family::kMeta, AppliedKey(id)));
  if (applied.has_value()) {
    ASSIGN_OR_RETURN(const AppliedPoint decoded, DecodeApplied(*applied));
    recovered.applied_index = decoded.index;
    recovered.applied_timestamp = decoded.timestamp;
  }
  LogIndex expected = recovered.base_index + 1;
  auto rows =
      kv_.NewIterator(Family::kLog, LogKey(replica.id, expected), PrefixEnd(LogPrefix(replica.id)));
  for (rows->Seek(""); rows->Valid(); rows->Next(), ++expected) {
    ASSIGN_OR_RETURN(const LogIndex index, DecodeLogKey(rows->key()));
    if (index != expected) {
      return absl::DataLossError(absl::StrCat("log entry ", expected.value(), " is missing"));
    }
    ASSIGN_OR_RETURN(const LogRow row, DecodeLogRow(rows->value()));
    recovered.epochs.push_back(row.epoch);
    recovered.last_timestamp = row.timestamp;
  }
  RETURN_IF_ERROR(rows->status());
  return recovered;
}

absl::StatusOr<LogIndex> DiskIndex::LastUnreadableApplied(ReplicaId id) const {
  absl::MutexLock lock(&mutex_);
  const auto found = replicas_.find(id);
  if (found == replicas_.end()) return NoReplica(id);
  const ReplicaOnDisk& replica = found->second.id;
  const LogIndex base(*found->second.base);
  ASSIGN_OR_RETURN(const auto applied, kv_.Get(Family::kMeta, AppliedKey(id)));
  if (!applied.has_value()) return base;
  ASSIGN_OR_RETURN(const AppliedPoint point, DecodeApplied(*applied));
  LogIndex last = base;
  auto rows =
      kv_.NewIterator(Family::kLog, LogKey(replica, base + 1), LogKey(replica, point.index + 1));
  for (rows->Seek(""); rows->Valid(); rows->Next()) {
    ASSIGN_OR_RETURN(const LogIndex index, DecodeLogKey(rows->key()));
    ASSIGN_OR_RETURN(const LogRow row, DecodeLogRow(rows->value()));
    if (row.place == EntryPlace::kLost) last = index;
    if (row.place != EntryPlace::kRow || row.inline_run.is_nil()) continue;
    ASSIGN_OR_RETURN(const EntryHeader header, DecodeEntryHeader(row.head));
    if (header.inline_size == 0) continue;
    ASSIGN_OR_RETURN(const auto body,
                     FindChunk(replica.container, {.run = row.inline_run, .number = 0}));
    if (!body.has_value()) last = index;
  }
  RETURN_IF_ERROR(rows->status());
  return last;
}

absl::Status DiskIndex::FinishInstall(ReplicaId id, const AppliedPoint& applied, Epoch epoch) {
  absl::MutexLock lock(&mutex_);
  RETURN_IF_ERROR(CommitLocked());
  const auto found = replicas_.find(id);
  if (found == replicas_.end()) return NoReplica(id);
  Replica& replica = found->second;
  RocksBatch batch;
  batch.Put(Family::kMeta, AppliedKey(id), EncodeApplied(applied));
  batch.Put(Family::kMeta, BaseKey(id), EncodeBase({.index = applied.index, .epoch = epoch}));
  batch.Delete(Family::kMeta, InstallKey(id));
  RETURN_IF_ERROR(kv_.Write(batch));
  *replica.base = applied.index.value();
  replica.last = replica.packed_through = applied.index;
  return absl::OkStatus();
}

void DiskIndex::EndInstall(ReplicaId id) {
  absl::MutexLock lock(&mutex_);
  const auto found = replicas_.find(id);
  if (found != replicas_.end()) found->second.installing = false;
}

std::vector<ChunkLocation> DiskIndex::TakeFrees() {
  absl::MutexLock lock(&mutex_);
  return std::exchange(frees_, {});
}

void DiskIndex::ReturnFrees(const std::vector<ChunkLocation>& frees) {
  absl::MutexLock lock(&mutex_);
  frees_.insert(frees_.end(), frees.begin(), frees.end());
}

bool DiskIndex::has_frees() const {
  absl::MutexLock lock(&mutex_);
  return !frees_.empty();
}

}  // namespace meridian::storage
