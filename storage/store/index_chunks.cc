// The chunk index.
#include <algorithm>
#include <utility>

#include "base/status.h"
#include "storage/store/disk_index.h"

namespace meridian::storage {

absl::StatusOr<std::optional<ChunkRow>> DiskIndex::FindChunk(ContainerId container,
                                                             ChunkId chunk) const {
  ASSIGN_OR_RETURN(const std::optional<std::string> value,
                   kv_.Get(Family::kChunk, ChunkKey(container, chunk)));
  if (!value.has_value()) return std::nullopt;
  return DecodeChunkRow(*value);
}

absl::Status DiskIndex::ScanChunks(
    const std::function<absl::Status(const ChunkKeyParts&, const ChunkRow&)>& visit) {
  absl::MutexLock lock(&mutex_);
  frees_.clear();
  bodies_.clear();
  lost_.clear();
  stored_.clear();
  auto rows = kv_.NewIterator(Family::kChunk, "", "");
  for (rows->Seek(""); rows->Valid(); rows->Next()) {
    ASSIGN_OR_RETURN(const ChunkKeyParts key, DecodeChunkKey(rows->key()));
    ASSIGN_OR_RETURN(const ChunkRow row, DecodeChunkRow(rows->value()));
    if (row.place == ChunkPlace::kJournal) {
      bodies_[row.record.life].push_back({.container = key.container, .run = key.chunk.run});
    }
    if (row.place == ChunkPlace::kLost) lost_[key.container].insert(key.chunk);
    CountStored(key.container, row.partition, row.size_bytes);
    RETURN_IF_ERROR(visit(key, row));
  }
  return rows->status();
}

std::vector<ChunkId> DiskIndex::ListLost(ContainerId container, std::optional<ChunkId> after,
                                         size_t max) const {
  absl::MutexLock lock(&mutex_);
  std::vector<ChunkId> listed;
  const auto lost = lost_.find(container);
  if (lost == lost_.end()) return listed;
  auto next = after ? lost->second.upper_bound(*after) : lost->second.begin();
  for (; next != lost->second.end() && listed.size() < max; ++next) listed.push_back(*next);
  return listed;
}

uint64_t DiskIndex::CountLost(ContainerId container) const {
  absl::MutexLock lock(&mutex_);
  const auto lost = lost_.find(container);
  return lost == lost_.end() ? 0 : lost->second.size();
}

uint64_t DiskIndex::CountLost() const {
  absl::MutexLock lock(&mutex_);
  uint64_t count = 0;
  for (const auto& [container, chunks] : lost_) count += chunks.size();
  return count;
}

absl::StatusOr<std::vector<DiskIndex::ListedChunk>> DiskIndex::ListChunks(std::string_view after,
                                                                          size_t max) const {
  std::vector<ListedChunk> listed;
  // The next key that there can be.
  const std::string from = after.empty() ? std::string() : std::string(after) + '\0';
  auto rows = kv_.NewIterator(Family::kChunk, from, "");
  for (rows->Seek(""); rows->Valid() && listed.size() < max; rows->Next()) {
    ASSIGN_OR_RETURN(const ChunkKeyParts chunk, DecodeChunkKey(rows->key()));
    ASSIGN_OR_RETURN(const ChunkRow row, DecodeChunkRow(rows->value()));
    listed.push_back({.key = std::string(rows->key()), .chunk = chunk, .row = row});
  }
  RETURN_IF_ERROR(rows->status());
  return listed;
}

void DiskIndex::ForgetLost(ContainerId container, ChunkId chunk) {
  const auto lost = lost_.find(container);
  if (lost != lost_.end()) lost->second.erase(chunk);
}

std::vector<DiskIndex::Body> DiskIndex::TakeBodies(uint64_t life) {
  absl::MutexLock lock(&mutex_);
  std::vector<Body> taken;
  while (!bodies_.empty() && bodies_.begin()->first < life) {
    auto& oldest = bodies_.begin()->second;
    taken.insert(taken.end(), oldest.begin(), oldest.end());
    bodies_.erase(bodies_.begin());
  }
  return taken;
}

void DiskIndex::ReturnBodies(std::vector<Body> bodies, uint64_t life) {
  absl::MutexLock lock(&mutex_);
  auto& list = bodies_[life];
  list.insert(list.end(), bodies.begin(), bodies.end());
}

absl::Status DiskIndex::MoveChunk(ContainerId container, ChunkId chunk, const ChunkRow& from,
                                  const ChunkRow& to) {
  absl::MutexLock lock(&mutex_);
  ASSIGN_OR_RETURN(const bool replaced, ReplaceChunk(container, chunk, from, to));
  if (!replaced) AppendPlace(to, frees_);
  return absl::OkStatus();
}

absl::StatusOr<bool> DiskIndex::MarkLost(ContainerId container, ChunkId chunk,
                                         const ChunkRow& damaged) {
  ChunkRow lost = damaged;
  lost.place = ChunkPlace::kLost;
  lost.record = {};
  lost.body_offset = 0;
  lost.extent = {};
  absl::MutexLock lock(&mutex_);
  return ReplaceChunk(container, chunk, damaged, lost);
}

absl::StatusOr<bool> DiskIndex::ReplaceChunk(ContainerId container, ChunkId chunk,
                                             const ChunkRow& from, const ChunkRow& to) {
  // Rows that wait for space say nothing true of what the batch frees.
  RETURN_IF_ERROR(CommitLocked());
  const std::string key = ChunkKey(container, chunk);
  ASSIGN_OR_RETURN(const std::optional<std::string> present, kv_.Get(Family::kChunk, key));
  if (!present.has_value()) return false;
  ASSIGN_OR_RETURN(const ChunkRow row, DecodeChunkRow(*present));
  // Its run may have been claimed meanwhile; its bytes are where they were.
  ChunkRow expected = from;
  expected.partition = row.partition;
  if (row != expected) return false;
  ChunkRow moved = to;
  moved.partition = row.partition;
  RocksBatch batch;
  batch.Put(Family::kChunk, key, EncodeChunkRow(moved));
  RETURN_IF_ERROR(kv_.Write(batch));
  if (to.place == ChunkPlace::kLost) lost_[container].insert(chunk);
  AppendPlace(from, frees_);
  return true;
}

absl::StatusOr<DiskIndex::Deleted> DiskIndex::DeleteChunks(const std::string& prefix,
                                                           RocksBatch& batch) {
  // Every iterator over a memtable first sorts all range tombstones in it: they are for what is
  // large and rare. Runs are dropped all the time, and most are short.
  constexpr size_t kMaxSingleDeletes = 4096;
  const std::string end = PrefixEnd(prefix);
  auto rows = kv_.NewIterator(Family::kChunk, prefix, end);
  Deleted deleted;
  std::vector<std::string> keys;
  bool many = false;
  for (rows->Seek(""); rows->Valid(); rows->Next()) {
    ASSIGN_OR_RETURN(const ChunkRow row, DecodeChunkRow(rows->value()));
    AppendPlace(row, deleted.places);
    deleted.bytes[row.partition] += row.size_bytes;
    many = many || keys.size() == kMaxSingleDeletes;
    if (!many) keys.emplace_back(rows->key());
  }
  RETURN_IF_ERROR(rows->status());
  if (many) {
    batch.DeleteRange(Family::kChunk, prefix, end);
  } else {
    for (const std::string& key : keys) batch.Delete(Family::kChunk, key);
  }
  return deleted;
}

absl::Status DiskIndex::DropRun(ContainerId container, RunId run) {
  absl::MutexLock lock(&mutex_);
  RETURN_IF_ERROR(CommitLocked());
  RocksBatch batch;
  ASSIGN_OR_RETURN(const Deleted deleted, DeleteChunks(RunPrefix(container, run), batch));
  RETURN_IF_ERROR(kv_.Write(batch));
  if (const auto lost = lost_.find(container); lost != lost_.end()) {
    lost->second.erase(lost->second.lower_bound({.run = run, .number = 0}),
                       lost->second.upper_bound({.run = run, .number = UINT32_MAX}));
  }
  frees_.insert(frees_.end(), deleted.places.begin(), deleted.places.end());
  for (const auto& [partition, bytes] : deleted.bytes) CountStored(container, partition, -bytes);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<DiskIndex::RunOfPartition>> DiskIndex::ListRuns(ContainerId container,
                                                                           RunId after,
                                                                           size_t max) const {
  std::vector<RunOfPartition> runs;
  const std::string prefix(container.bytes());
  auto chunks = kv_.NewIterator(Family::kChunk, prefix, PrefixEnd(prefix));
  chunks->Seek(after.is_nil() ? prefix : PrefixEnd(RunPrefix(container, after)));
  while (chunks->Valid() && runs.size() < max) {
    ASSIGN_OR_RETURN(const ChunkKeyParts key, DecodeChunkKey(chunks->key()));
    ASSIGN_OR_RETURN(const ChunkRow row, DecodeChunkRow(chunks->value()));
    runs.push_back({.run = key.chunk.run, .partition = row.partition});
    chunks->Seek(PrefixEnd(RunPrefix(container, key.chunk.run)));
  }
  RETURN_IF_ERROR(chunks->status());
  return runs;
}

uint64_t DiskIndex::StoredBytes(const ReplicaOnDisk& replica) const {
  absl::MutexLock lock(&mutex_);
  const auto container = stored_.find(replica.container);
  if (container == stored_.end()) return 0;
  const auto stored = container->second.find(replica.partition);
  if (stored == container->second.end()) return 0;
  return static_cast<uint64_t>(std::max<int64_t>(stored->second, 0));
}

void DiskIndex::CountStored(ContainerId container, PartitionId partition, int64_t bytes) {
  if (bytes == 0) return;
  auto& partitions = stored_[container];
  if ((partitions[partition] += bytes) != 0) return;
  partitions.erase(partition);
  if (partitions.empty()) stored_.erase(container);
}

absl::Status DiskIndex::ClaimRun(const ReplicaOnDisk& replica, RunId run) {
  absl::MutexLock lock(&mutex_);
  RETURN_IF_ERROR(CommitLocked());
  const std::string prefix = RunPrefix(replica.container, run);
  auto chunks = kv_.NewIterator(Family::kChunk, prefix, PrefixEnd(prefix));
  chunks->Seek("");
  if (!chunks->Valid()) return chunks->status();
  ASSIGN_OR_RETURN(const ChunkRow row, DecodeChunkRow(chunks->value()));
  if (row.partition == replica.partition) return absl::OkStatus();
  ChunkRow claimed = row;
  claimed.partition = replica.partition;
  RocksBatch batch;
  batch.Put(Family::kChunk, std::string(chunks->key()), EncodeChunkRow(claimed));
  RETURN_IF_ERROR(kv_.Write(batch));
  CountStored(replica.container, row.partition, -int64_t{row.size_bytes});
  CountStored(replica.container, claimed.partition, claimed.size_bytes);
  return absl::OkStatus();
}

absl::StatusOr<bool> DiskIndex::PlaceLost(const ReplicaOnDisk& replica, ChunkId chunk,
                                          Timestamp now) {
  absl::MutexLock lock(&mutex_);
  RETURN_IF_ERROR(CommitLocked());
  const std::string key = ChunkKey(replica.container, chunk);
  ASSIGN_OR_RETURN(const std::optional<std::string> present, kv_.Get(Family::kChunk, key));
  if (present.has_value()) return false;
  ChunkRow row;
  row.place = ChunkPlace::kLost;
  row.first_written = now;
  row.partition = replica.partition;
  RocksBatch batch;
  batch.Put(Family::kChunk, key, EncodeChunkRow(row));
  RETURN_IF_ERROR(kv_.Write(batch));
  lost_[replica.container].insert(chunk);
  return true;
}

}  // namespace meridian::storage
