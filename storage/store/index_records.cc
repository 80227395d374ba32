// Records of the journal become rows.
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "storage/store/disk_index.h"

namespace meridian::storage {

absl::Status DiskIndex::Add(std::span<const Record>& records) {
  absl::MutexLock lock(&mutex_);
  for (; !records.empty(); records = records.subspan(1)) {
    const Record& record = records.front();
    if (record.group < position_.group) continue;
    if (record.group == position_.group && to_skip_ > 0) {
      --to_skip_;
      continue;
    }
    to_skip_ = 0;
    if (!record.refused) {
      RETURN_IF_ERROR(Annotate(AddLocked(record), "index a journal record"));
    }
    // Once the record's rows are in the batch: what it wrote out before stands at the record
    // before.
    if (record.group != position_.group) position_ = {.group = record.group, .records = 0};
    ++position_.records;
  }
  return CommitLocked();
}

absl::Status DiskIndex::CompleteGroupsBefore(GroupNumber group) {
  absl::MutexLock lock(&mutex_);
  if (position_.group < group) position_ = {.group = group, .records = 0};
  return CommitLocked();
}

absl::Status DiskIndex::CommitLocked() {
  if (position_ == committed_) return absl::OkStatus();
  batch_.Put(Family::kMeta, PositionKey(), EncodePosition(position_));
  RETURN_IF_ERROR(kv_.Write(batch_));
  committed_ = position_;
  batch_ = RocksBatch();
  batched_chunks_.clear();
  frees_.insert(frees_.end(), batched_frees_.begin(), batched_frees_.end());
  batched_frees_.clear();
  return absl::OkStatus();
}

absl::Status DiskIndex::AddLocked(const Record& record) {
  if (record.type == RecordType::kReplicaCreated ||
      record.type == RecordType::kReplicaCreatedInstalling) {
    ASSIGN_OR_RETURN(const ReplicaCreated created, DecodeReplicaCreated(record.payload));
    return AddReplica(
        {.replica = record.owner, .partition = created.partition, .container = created.container},
        record.type == RecordType::kReplicaCreatedInstalling);
  }
  const auto found = replicas_.find(record.owner);
  if (found == replicas_.end()) {
    if (record.type != RecordType::kChunkPlaced) return absl::OkStatus();
    ASSIGN_OR_RETURN(const ChunkPlaced placed, DecodeChunkPlaced(record.payload));
    batched_frees_.push_back(placed.location);
    return absl::OkStatus();
  }
  Replica& replica = found->second;
  switch (record.type) {
    case RecordType::kHardState: {
      ASSIGN_OR_RETURN(const Epoch promised, DecodeHardState(record.payload));
      batch_.Put(Family::kMeta, PromiseKey(record.owner), EncodePromise(promised));
      return absl::OkStatus();
    }
    case RecordType::kTruncate: {
      ASSIGN_OR_RETURN(const LogIndex from, DecodeTruncate(record.payload));
      return AddTruncate(replica, from);
    }
    case RecordType::kEntry:
      return AddEntry(replica, record);
    case RecordType::kChunkPlaced: {
      ASSIGN_OR_RETURN(const ChunkPlaced placed, DecodeChunkPlaced(record.payload));
      return AddChunk(replica, placed);
    }
    case RecordType::kReplicaRemoved:
      return AddRemoval(record.owner);
    case RecordType::kInstallBegin:
      return AddInstallBegin(replica);
    case RecordType::kReplicaCreated:
    case RecordType::kReplicaCreatedInstalling:
      break;
  }
  return absl::FailedPreconditionError(absl::StrCat(
      "a journal record of unknown type ", static_cast<int>(record.type), ": a newer version's?"));
}

absl::Status DiskIndex::AddEntry(Replica& replica, const Record& record) {
  ASSIGN_OR_RETURN(const EntryHeader header, DecodeEntryHeader(record.payload));
  // It follows one that the journal refused, so it was never acknowledged.
  if (header.index > replica.last + 1 || replica.installing) return absl::OkStatus();
  if (header.index <= replica.last) {
    return absl::DataLossError(absl::StrCat("log entry ", header.index.value(), " comes twice"));
  }
  std::string key = ChunkKey(replica.id.container, {.run = header.inline_run, .number = 0});
  if (header.inline_size > 0) RETURN_IF_ERROR(FreeBody(replica.id.container, key));
  batch_.Put(Family::kLog, LogKey(replica.id, header.index),
             EncodeLogRow({.place = EntryPlace::kJournal,
                           .epoch = header.epoch,
                           .timestamp = header.timestamp,
                           .inline_run = header.inline_run,
                           .record = record.location,
                           .head = {}}));
  replica.last = header.index;
  if (header.inline_size == 0) return absl::OkStatus();

  batch_.Put(Family::kChunk, key,
             EncodeChunkRow({.place = ChunkPlace::kJournal,
                             .size_bytes = header.inline_size,
                             .crc32c = header.inline_crc32c,
                             .first_written = header.timestamp,
                             .partition = replica.id.partition,
                             .record = record.location,
                             .body_offset = header.body_offset,
                             .extent = {}}));
  batched_chunks_.insert(std::move(key));
  CountStored(replica.id.container, replica.id.partition, header.inline_size);
  ForgetLost(replica.id.container, {.run = header.inline_run, .number = 0});
  bodies_[record.location.life].push_back(
      {.container = replica.id.container, .run = header.inline_run});
  return absl::OkStatus();
}

// Since the install of a snapshot by a leader that knew less, before it. What fails here has
// changed nothing: the record is added again.
absl::Status DiskIndex::FreeBody(ContainerId container, const std::string& key) {
  if (batched_chunks_.contains(key)) RETURN_IF_ERROR(CommitLocked());
  ASSIGN_OR_RETURN(const std::optional<std::string> present, kv_.Get(Family::kChunk, key));
  if (!present.has_value()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const ChunkRow row, DecodeChunkRow(*present));
  AppendPlace(row, batched_frees_);
  CountStored(container, row.partition, -int64_t{row.size_bytes});
  return absl::OkStatus();
}

absl::Status DiskIndex::AddTruncate(Replica& replica, LogIndex from) {
  if (from > replica.last) return absl::OkStatus();
  RETURN_IF_ERROR(CommitLocked());
  auto rows =
      kv_.NewIterator(Family::kLog, LogKey(replica.id, from), PrefixEnd(LogPrefix(replica.id)));
  for (rows->Seek(""); rows->Valid(); rows->Next()) {
    ASSIGN_OR_RETURN(const LogRow row, DecodeLogRow(rows->value()));
    if (row.inline_run.is_nil()) continue;
    const std::string key = ChunkKey(replica.id.container, {.run = row.inline_run, .number = 0});
    ASSIGN_OR_RETURN(const std::optional<std::string> chunk, kv_.Get(Family::kChunk, key));
    if (!chunk.has_value()) continue;
    ASSIGN_OR_RETURN(const ChunkRow chunk_row, DecodeChunkRow(*chunk));
    AppendPlace(chunk_row, batched_frees_);
    CountStored(replica.id.container, chunk_row.partition, -int64_t{chunk_row.size_bytes});
    batch_.Delete(Family::kChunk, key);
    ForgetLost(replica.id.container, {.run = row.inline_run, .number = 0});
    batched_chunks_.insert(key);  // what comes after in the batch must not go by the row
  }
  RETURN_IF_ERROR(rows->status());
  batch_.DeleteRange(Family::kLog, LogKey(replica.id, from), LogKey(replica.id, replica.last + 1));
  replica.last = from - 1;
  replica.packed_through = std::min(replica.packed_through, replica.last);
  return absl::OkStatus();
}

absl::Status DiskIndex::AddChunk(const Replica& replica, const ChunkPlaced& placed) {
  std::string key = ChunkKey(replica.id.container, placed.chunk);
  if (batched_chunks_.contains(key)) RETURN_IF_ERROR(CommitLocked());
  ASSIGN_OR_RETURN(const std::optional<std::string> present, kv_.Get(Family::kChunk, key));
  ChunkRow row = {.place = ChunkPlace::kExtent,
                  .size_bytes = placed.location.length,
                  .crc32c = placed.crc32c,
                  .first_written = placed.first_written,
                  .partition = replica.id.partition,
                  .record = {},
                  .body_offset = 0,
                  .extent = placed.location};
  if (present.has_value()) {
    ASSIGN_OR_RETURN(const ChunkRow old, DecodeChunkRow(*present));
    // It may have been found lost since the write began (I4).
    if (!placed.replaces && old.place != ChunkPlace::kLost) {
      AppendPlace(row, batched_frees_);
      return absl::OkStatus();
    }
    AppendPlace(old, batched_frees_);
    CountStored(replica.id.container, old.partition, -int64_t{old.size_bytes});
    row.first_written = old.first_written;
    row.partition = old.partition;
  }
  CountStored(replica.id.container, row.partition, row.size_bytes);
  batch_.Put(Family::kChunk, key, EncodeChunkRow(row));
  batched_chunks_.insert(std::move(key));
  ForgetLost(replica.id.container, placed.chunk);
  return absl::OkStatus();
}

absl::Status DiskIndex::AddReplica(const ReplicaOnDisk& id, bool installing) {
  if (FindOwnerLocked(id.container, id.partition)) return absl::OkStatus();  // lost the race (P6)
  // The rows of an owner before it may be on their way out in the batch.
  RETURN_IF_ERROR(CommitLocked());
  batch_.Put(Family::kMeta, RangeKey(id), EncodeRange(id));
  if (installing) batch_.Put(Family::kMeta, InstallKey(id.replica), EncodeInstalling());
  Replica replica;
  replica.id = id;
  replica.base = std::make_shared<std::atomic<uint64_t>>(0);
  replica.installing = installing;
  replicas_[id.replica] = std::move(replica);
  owners_[id.container][id.partition] = id.replica;
  return absl::OkStatus();
}

absl::Status DiskIndex::AddRemoval(ReplicaId id) {
  RETURN_IF_ERROR(CommitLocked());
  const Replica& replica = replicas_.at(id);
  auto& owners = owners_.at(replica.id.container);
  // The chunks are the container's: they go with its last replica. What only this one needed is
  // found by its siblings.
  if (owners.size() == 1) {
    ASSIGN_OR_RETURN(const Deleted deleted,
                     DeleteChunks(std::string(replica.id.container.bytes()), batch_));
    batched_frees_.insert(batched_frees_.end(), deleted.places.begin(), deleted.places.end());
    lost_.erase(replica.id.container);
    stored_.erase(replica.id.container);
  }
  DeleteStateAndLog(replica.id);
  for (const std::string& key :
       {RangeKey(replica.id), PromiseKey(id), BaseKey(id), AppliedKey(id), InstallKey(id)}) {
    batch_.Delete(Family::kMeta, key);
  }
  owners.erase(replica.id.partition);
  if (owners.empty()) owners_.erase(replica.id.container);
  replicas_.erase(id);
  return absl::OkStatus();
}

void DiskIndex::DeleteStateAndLog(const ReplicaOnDisk& id) {
  batch_.DeleteRange(Family::kState, StatePrefix(id), PrefixEnd(StatePrefix(id)));
  batch_.DeleteRange(Family::kLog, LogPrefix(id), PrefixEnd(LogPrefix(id)));
}

absl::Status DiskIndex::AddInstallBegin(Replica& replica) {
  RETURN_IF_ERROR(CommitLocked());
  const ReplicaId id = replica.id.replica;
  DeleteStateAndLog(replica.id);
  batch_.Delete(Family::kMeta, AppliedKey(id));
  batch_.Delete(Family::kMeta, BaseKey(id));
  batch_.Put(Family::kMeta, InstallKey(id), EncodeInstalling());
  replica.installing = true;
  *replica.base = 0;
  replica.last = replica.packed_through = LogIndex(0);
  return absl::OkStatus();
}

}  // namespace meridian::storage
