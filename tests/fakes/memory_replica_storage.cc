#include "tests/fakes/memory_replica_storage.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/crc32c.h"

namespace meridian::storage {
namespace {

absl::Status OutOfService() {
  return absl::UnavailableError("the disk is out of service after a failed sync");
}

size_t EntryBytes(const LogEntry& entry) {
  return entry.command.size() + entry.inline_body.size() + 64;
}

size_t RequestBytes(const PersistRequest& request) {
  size_t bytes = request.hard_state.has_value() ? sizeof(HardState) : 0;
  for (const LogEntry& entry : request.entries) bytes += EntryBytes(entry);
  return bytes;
}

// Leaves the part of a request that reached the disk; returns the bytes that did not.
size_t TearOff(PersistRequest& request, Random& random) {
  const size_t before = RequestBytes(request);
  request.entries.resize(random.Uniform(request.entries.size() + 1));
  if (request.entries.empty() && random.Uniform(2) == 0) request = {};
  return before - RequestBytes(request);
}

}  // namespace

void MemoryReplicaDisk::Log::TruncateFrom(LogIndex index) {
  CHECK_INVARIANT(index > base_index, "a truncation below the base of the log");
  while (last_index() >= index) entries.pop_back();
}

void MemoryReplicaDisk::Log::TrimTo(LogIndex index) {
  while (base_index < index && !entries.empty()) {
    base_index = entries.front().index;
    base_epoch = entries.front().epoch;
    entries.pop_front();
  }
}

void MemoryReplicaDisk::ApplyTo(State& state, AppliedBatch& applied) {
  for (const KvBatch::Op& op : applied.batch.ops()) {
    switch (op.kind) {
      case KvBatch::Op::Kind::kPut:
        state.rows[op.key] = op.value;
        break;
      case KvBatch::Op::Kind::kDelete:
        state.rows.erase(op.key);
        break;
      case KvBatch::Op::Kind::kDeleteRange:
        state.rows.erase(state.rows.lower_bound(op.key), state.rows.lower_bound(op.value));
        break;
    }
  }
  state.applied_index = applied.index;
  state.applied_timestamp = applied.timestamp;
}

void MemoryChunks::Place(ChunkId chunk, Chunk written) {
  absl::MutexLock lock(&mutex_);
  chunks_.try_emplace(chunk, std::move(written)).first->second.durable = true;
}

void MemoryChunks::Claim(RunId run, PartitionId partition) {
  absl::MutexLock lock(&mutex_);
  const auto first = chunks_.lower_bound({run, 0});
  if (first != chunks_.end() && first->first.run == run) first->second.partition = partition;
}

MemoryReplicaDisk::MemoryReplicaDisk(MemoryDiskOptions options, PartitionId partition,
                                     std::shared_ptr<MemoryChunks> chunks, bool installing)
    : options_(options),
      partition_(partition),
      chunks_(std::move(chunks)),
      installing_(installing) {
  absl::MutexLock lock(&chunks_->mutex_);
  chunks_->replicas_[partition] = nullptr;
}

void MemoryReplicaDisk::Remove(const StateMachine& state_machine) {
  MemoryKv state;
  {
    absl::MutexLock lock(&mutex_);
    KvBatch rows;
    for (const auto& [key, value] : flushed_.rows) rows.Put(key, value);
    state.Apply(rows);
    for (const AppliedBatch& applied : unflushed_) state.Apply(applied.batch);
  }
  // A state that cannot be read leaves its runs marked as they were.
  state_machine
      .VisitChunks(*state.NewView(),
                   [this](const ChunkRange& range) {
                     chunks_->Claim(range.run, partition_);
                     return absl::OkStatus();
                   })
      .IgnoreError();
  absl::MutexLock lock(&chunks_->mutex_);
  chunks_->replicas_.erase(partition_);
  if (chunks_->replicas_.empty()) chunks_->chunks_.clear();
}

void MemoryReplicaDisk::MakeDurable(LogWrite& write) {
  if (write.install.has_value()) {
    flushed_ = std::move(write.install->state);
    log_ = {.base_index = flushed_.applied_index, .base_epoch = write.install->epoch};
    installing_ = false;
  }
  if (write.request.hard_state.has_value()) hard_state_ = *write.request.hard_state;
  if (write.request.truncate_from.has_value()) log_.TruncateFrom(*write.request.truncate_from);
  for (LogEntry& entry : write.request.entries) {
    if (!entry.inline_body.empty()) {
      chunks_->Place(
          {entry.inline_run, 0},
          {.bytes = entry.inline_body, .crc32c = entry.inline_crc32c, .partition = partition_});
    }
    log_.entries.push_back(std::move(entry));
  }
}

void MemoryReplicaDisk::Flush(LogIndex trimmed) {
  while (!unflushed_.empty() && unflushed_.front().index <= log_.last_index()) {
    ApplyTo(flushed_, unflushed_.front());
    unflushed_.pop_front();
  }
  if (unflushed_.empty()) dropped_.clear();
  log_.TrimTo(std::min(trimmed, flushed_.applied_index));
}

void MemoryReplicaDisk::BringBackDropped() {
  absl::MutexLock lock(&chunks_->mutex_);
  for (auto& [id, chunk] : dropped_) {
    if (chunk.lost) chunks_->maybe_lost_.insert(id);
    chunks_->chunks_.emplace(id, std::move(chunk));
  }
  dropped_.clear();
}

size_t MemoryReplicaDisk::LoseUnsynced(Random& random) {
  absl::MutexLock lock(&mutex_);
  size_t lost = 0;
  size_t survive = random.Uniform(unsynced_.size() + 1);
  if (survive < unsynced_.size() && !unsynced_[survive].install.has_value()) {
    lost += TearOff(unsynced_[survive++].request, random);
  }
  for (size_t i = 0; i < unsynced_.size(); ++i) {
    if (i < survive) {
      MakeDurable(unsynced_[i]);
    } else {
      lost += RequestBytes(unsynced_[i].request);
    }
  }
  unsynced_.clear();
  {
    MemoryChunks& shared = *chunks_;
    absl::MutexLock chunks_lock(&shared.mutex_);
    for (auto it = shared.chunks_.begin(); it != shared.chunks_.end();) {
      if (!it->second.durable && random.Uniform(2) == 0) {
        lost += it->second.bytes.size();
        it = shared.chunks_.erase(it);
      } else {
        (it++)->second.durable = true;
      }
    }
  }
  BringBackDropped();
  return lost;
}

bool MemoryReplicaDisk::FlipBit(ChunkId chunk, Random& random) {
  absl::MutexLock lock(&chunks_->mutex_);
  const auto found = chunks_->chunks_.find(chunk);
  if (found == chunks_->chunks_.end() || found->second.bytes.empty()) return false;
  std::string bytes(found->second.bytes.view());
  bytes[random.Uniform(bytes.size())] ^= static_cast<char>(1 << random.Uniform(8));
  found->second.bytes = Buffer::FromString(std::move(bytes));
  return true;
}

std::vector<ChunkId> MemoryReplicaDisk::Chunks() const {
  absl::MutexLock lock(&chunks_->mutex_);
  std::vector<ChunkId> ids;
  for (const auto& [id, chunk] : chunks_->chunks_) ids.push_back(id);
  return ids;
}

void MemoryReplicaDisk::SetSlowness(double factor) {
  absl::MutexLock lock(&mutex_);
  slowness_ = factor;
}

void MemoryReplicaDisk::Fail() {
  absl::MutexLock lock(&mutex_);
  failed_ = true;
}

absl::Status MemoryReplicaStorage::health() const {
  absl::MutexLock lock(&disk_.mutex_);
  return disk_.failed_ ? OutOfService() : absl::OkStatus();
}

MemoryReplicaStorage::MemoryReplicaStorage(MemoryReplicaDisk& disk, Executor& strand,
                                           Random& random)
    : disk_(disk), strand_(strand), random_(random), state_(std::make_shared<MemoryKv>()) {
  absl::MutexLock lock(&disk_.mutex_);
  for (MemoryReplicaDisk::LogWrite& write : disk_.unsynced_) disk_.MakeDurable(write);
  disk_.unsynced_.clear();
  disk_.unflushed_.clear();
  disk_.BringBackDropped();
  log_ = disk_.log_;
  recovered_ = {.hard_state = disk_.hard_state_,
                .base_index = log_.base_index,
                .base_epoch = log_.base_epoch,
                .epochs = {},
                .last_timestamp = {},
                .applied_index = disk_.flushed_.applied_index,
                .applied_timestamp = disk_.flushed_.applied_timestamp,
                .installing = disk_.installing_};
  for (const LogEntry& entry : log_.entries) {
    recovered_.epochs.push_back(entry.epoch);
    recovered_.last_timestamp = entry.timestamp;
  }
  KvBatch rows;
  for (const auto& [key, value] : disk_.flushed_.rows) rows.Put(key, value);
  absl::MutexLock state_lock(&state_mutex_);
  state_->Apply(rows);
}

MemoryReplicaStorage::~MemoryReplicaStorage() {
  for (const Executor::TimerId timer : timers_) strand_.Cancel(timer);
  absl::MutexLock lock(&disk_.chunks_->mutex_);
  const auto self = disk_.chunks_->replicas_.find(disk_.partition_);
  if (self != disk_.chunks_->replicas_.end()) self->second = nullptr;
}

void MemoryReplicaStorage::After(absl::Duration delay, Task task) {
  auto id = std::make_shared<Executor::TimerId>();
  *id = strand_.PostAfter(delay, [this, id, task = std::move(task)] {
    timers_.erase(*id);
    task();
  });
  timers_.insert(*id);
}

absl::Duration MemoryReplicaStorage::SyncTime() {
  absl::MutexLock lock(&disk_.mutex_);
  const absl::Duration spread = disk_.options_.max_sync - disk_.options_.min_sync;
  const double part = static_cast<double>(random_.Uniform(1 << 20)) / (1 << 20);
  return (disk_.options_.min_sync + spread * part) * disk_.slowness_;
}

void MemoryReplicaStorage::Persist(PersistRequest request, Done done) {
  if (request.truncate_from.has_value()) log_.TruncateFrom(*request.truncate_from);
  for (const LogEntry& entry : request.entries) {
    CHECK_INVARIANT(entry.index == log_.last_index() + 1, "an entry that leaves a gap in the log");
    log_.entries.push_back(entry);
    if (entry.inline_body.empty()) continue;
    absl::MutexLock lock(&disk_.chunks_->mutex_);
    disk_.chunks_->chunks_.try_emplace({entry.inline_run, 0},
                                       MemoryChunks::Chunk{.bytes = entry.inline_body,
                                                           .crc32c = entry.inline_crc32c,
                                                           .partition = disk_.partition_});
  }
  Enqueue({.request = std::move(request), .install = {}}, std::move(done));
}

void MemoryReplicaStorage::Enqueue(MemoryReplicaDisk::LogWrite write, Done done) {
  {
    absl::MutexLock lock(&disk_.mutex_);
    disk_.unsynced_.push_back(std::move(write));
  }
  waiting_.push_back(std::move(done));
  if (!syncing_) StartSync();
}

void MemoryReplicaStorage::StartSync() {
  syncing_ = true;
  After(SyncTime(), [this, writes = waiting_.size()] { FinishSync(writes); });
}

void MemoryReplicaStorage::FinishSync(size_t writes) {
  absl::Status status;
  {
    absl::MutexLock lock(&disk_.mutex_);
    if (disk_.failed_) status = OutOfService();
    for (size_t i = 0; status.ok() && i < writes; ++i) {
      disk_.MakeDurable(disk_.unsynced_.front());
      disk_.unsynced_.pop_front();
    }
  }
  syncing_ = false;
  std::vector<Done> synced(std::make_move_iterator(waiting_.begin()),
                           std::make_move_iterator(waiting_.begin() + writes));
  waiting_.erase(waiting_.begin(), waiting_.begin() + writes);
  if (!waiting_.empty()) StartSync();
  // A callback may destroy this storage: posted, so that the strand outlives each of them.
  for (Done& done : synced) {
    After(absl::ZeroDuration(), [done = std::move(done), status] { done(status); });
  }
}

absl::StatusOr<std::vector<LogEntry>> MemoryReplicaStorage::ReadLog(LogIndex first, LogIndex last,
                                                                    size_t max_bytes) const {
  if (first <= log_.base_index) {
    return absl::OutOfRangeError(absl::StrCat("the log begins after entry ",
                                              log_.base_index.value(), ", entry ", first.value(),
                                              " is trimmed"));
  }
  std::vector<LogEntry> entries;
  size_t bytes = 0;
  for (LogIndex index = first; index <= std::min(last, log_.last_index()); ++index) {
    const LogEntry& entry = log_.entries[index - log_.base_index - 1];
    bytes += EntryBytes(entry);
    if (!entries.empty() && bytes > max_bytes) break;
    entries.push_back(entry);
  }
  return entries;
}

absl::Status MemoryReplicaStorage::Apply(const KvBatch& batch, LogIndex applied_index,
                                         Timestamp applied_timestamp) {
  {
    absl::MutexLock lock(&disk_.mutex_);
    if (disk_.failed_) return OutOfService();
    disk_.unflushed_.push_back(
        {.batch = batch, .index = applied_index, .timestamp = applied_timestamp});
  }
  {
    absl::MutexLock lock(&state_mutex_);
    state_->Apply(batch);
  }
  ScheduleFlush();
  return absl::OkStatus();
}

void MemoryReplicaStorage::ScheduleFlush() {
  if (flush_scheduled_) return;
  flush_scheduled_ = true;
  After(disk_.options_.flush_interval, [this] {
    flush_scheduled_ = false;
    absl::MutexLock lock(&disk_.mutex_);
    if (disk_.failed_) return;
    disk_.Flush(trimmed_);
  });
}

absl::Status MemoryReplicaStorage::TrimTo(LogIndex index) {
  {
    absl::MutexLock lock(&disk_.mutex_);
    if (disk_.failed_) return OutOfService();
  }
  if (index <= log_.base_index) return absl::OkStatus();
  CHECK_INVARIANT(index <= log_.last_index(), "the log is trimmed beyond its end");
  log_.TrimTo(index);
  trimmed_ = index;
  ScheduleFlush();
  return absl::OkStatus();
}

std::unique_ptr<KvReader> MemoryReplicaStorage::NewView() const {
  absl::MutexLock lock(&state_mutex_);
  return state_->NewView();
}

void MemoryReplicaStorage::WriteChunk(ChunkId chunk, Buffer ciphertext, uint32_t crc32c,
                                      Done done) {
  {
    absl::MutexLock lock(&disk_.chunks_->mutex_);
    MemoryChunks::Chunk written{
        .bytes = std::move(ciphertext), .crc32c = crc32c, .partition = disk_.partition_};
    const auto [present, added] = disk_.chunks_->chunks_.try_emplace(chunk, written);
    if (!added && present->second.lost) present->second = std::move(written);
  }
  After(SyncTime(), [this, chunk, done = std::move(done)] { done(ChunkSynced(chunk)); });
}

absl::StatusOr<Buffer> MemoryReplicaStorage::ReadChunk(ChunkId chunk, size_t offset,
                                                       size_t size) const {
  Buffer bytes;
  uint32_t crc32c = 0;
  {
    absl::MutexLock lock(&disk_.chunks_->mutex_);
    const auto found = disk_.chunks_->chunks_.find(chunk);
    if (found == disk_.chunks_->chunks_.end()) {
      return absl::NotFoundError(
          absl::StrCat("chunk ", chunk.number, " of run ", chunk.run.ToHex(), " is not here"));
    }
    if (found->second.lost) return absl::DataLossError("the chunk was found lost before");
    bytes = found->second.bytes;
    crc32c = found->second.crc32c;
  }
  if (Crc32c(bytes.view()) != crc32c) {
    return absl::DataLossError(
        absl::StrCat("chunk ", chunk.number, " of run ", chunk.run.ToHex(), " is corrupt"));
  }
  if (offset > bytes.size() || size > bytes.size() - offset) {
    return absl::OutOfRangeError(
        absl::StrCat("a read beyond the ", bytes.size(), " bytes of chunk ", chunk.number));
  }
  return bytes.Slice(offset, size);
}

void MemoryReplicaStorage::ReadChunkLater(ChunkId chunk, ChunkRead done) const {
  const auto info = StatChunk(chunk);
  const size_t size = info->has_value() ? (*info)->size_bytes : 0;
  auto bytes = ReadChunk(chunk, 0, size);
  if (!bytes.ok()) return done(bytes.status());
  done(StoredChunk{.ciphertext = *std::move(bytes), .crc32c = (*info)->crc32c});
}

void MemoryReplicaStorage::RepairChunk(ChunkId chunk, Buffer ciphertext, uint32_t crc32c,
                                       Done done) {
  {
    absl::MutexLock lock(&disk_.chunks_->mutex_);
    const auto at = disk_.chunks_->chunks_.try_emplace(
        chunk, MemoryChunks::Chunk{.bytes = {}, .partition = disk_.partition_});
    MemoryChunks::Chunk& stored = at.first->second;
    stored.bytes = std::move(ciphertext);
    stored.crc32c = crc32c;
    stored.lost = false;
  }
  After(SyncTime(), [this, chunk, done = std::move(done)] { done(ChunkSynced(chunk)); });
}

absl::StatusOr<std::optional<ReplicaStorage::ChunkInfo>> MemoryReplicaStorage::StatChunk(
    ChunkId chunk) const {
  absl::MutexLock lock(&disk_.chunks_->mutex_);
  const auto found = disk_.chunks_->chunks_.find(chunk);
  if (found == disk_.chunks_->chunks_.end()) return std::nullopt;
  return ChunkInfo{.size_bytes = static_cast<uint32_t>(found->second.bytes.size()),
                   .crc32c = found->second.crc32c};
}

absl::StatusOr<std::vector<ChunkId>> MemoryReplicaStorage::MissingChunks(
    const ChunkRange& range) const {
  absl::MutexLock lock(&disk_.chunks_->mutex_);
  std::vector<ChunkId> missing;
  for (uint32_t i = 0; i < range.count; ++i) {
    const ChunkId chunk{range.run, range.first + i};
    const auto found = disk_.chunks_->chunks_.find(chunk);
    if (found == disk_.chunks_->chunks_.end() || !found->second.durable || found->second.lost) {
      missing.push_back(chunk);
    }
  }
  return missing;
}

absl::Status MemoryReplicaStorage::DropRun(RunId run) {
  absl::MutexLock lock(&disk_.mutex_);
  if (disk_.failed_) return OutOfService();
  MemoryChunks& shared = *disk_.chunks_;
  absl::MutexLock chunks_lock(&shared.mutex_);
  auto chunk = shared.chunks_.lower_bound({run, 0});
  while (chunk != shared.chunks_.end() && chunk->first.run == run) {
    if (chunk->second.durable) disk_.dropped_.insert(*chunk);
    chunk = shared.chunks_.erase(chunk);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<ReplicaStorage::StoredRun>> MemoryReplicaStorage::ListRuns(
    RunId after, size_t max) const {
  const MemoryChunks& shared = *disk_.chunks_;
  absl::MutexLock lock(&shared.mutex_);
  std::vector<StoredRun> runs;
  auto chunk = shared.chunks_.upper_bound({after, UINT32_MAX});
  while (chunk != shared.chunks_.end() && runs.size() < max) {
    const PartitionId writer = chunk->second.partition;
    RunOwner owner = RunOwner::kNobody;
    if (writer == disk_.partition_) {
      owner = RunOwner::kSelf;
    } else if (shared.replicas_.contains(writer)) {
      owner = RunOwner::kSibling;
    }
    runs.push_back({.run = chunk->first.run, .owner = owner});
    chunk = shared.chunks_.upper_bound({runs.back().run, UINT32_MAX});
  }
  return runs;
}

void MemoryReplicaStorage::TellNeeds(const RunNeeds& needs) {
  absl::MutexLock lock(&disk_.chunks_->mutex_);
  const auto self = disk_.chunks_->replicas_.find(disk_.partition_);
  if (self != disk_.chunks_->replicas_.end()) self->second = &needs;
}

const RunNeeds* MemoryReplicaStorage::siblings() const {
  std::vector<const RunNeeds*> found;
  {
    absl::MutexLock lock(&disk_.chunks_->mutex_);
    for (const auto& [partition, needs] : disk_.chunks_->replicas_) {
      if (partition != disk_.partition_) found.push_back(needs);
    }
  }
  if (found.empty()) return nullptr;
  return &siblings_.emplace(std::move(found));
}

void MemoryReplicaStorage::PlaceLost(ChunkId chunk, Done done) {
  {
    absl::MutexLock lock(&disk_.chunks_->mutex_);
    disk_.chunks_->chunks_.try_emplace(
        chunk, MemoryChunks::Chunk{.bytes = {}, .partition = disk_.partition_, .lost = true});
    disk_.chunks_->maybe_lost_.insert(chunk);
  }
  After(SyncTime(), [this, chunk, done = std::move(done)] { done(ChunkSynced(chunk)); });
}

std::vector<ChunkId> MemoryReplicaStorage::ListLost(std::optional<ChunkId> after,
                                                    size_t max) const {
  const MemoryChunks& shared = *disk_.chunks_;
  absl::MutexLock lock(&shared.mutex_);
  std::vector<ChunkId> listed;
  const auto& maybe = shared.maybe_lost_;
  auto chunk = after ? maybe.upper_bound(*after) : maybe.begin();
  for (; chunk != maybe.end() && listed.size() < max; ++chunk) {
    const auto found = shared.chunks_.find(*chunk);
    if (found != shared.chunks_.end() && found->second.lost) listed.push_back(*chunk);
  }
  return listed;
}

uint64_t MemoryReplicaStorage::StoredBytes() const {
  const MemoryChunks& shared = *disk_.chunks_;
  absl::MutexLock lock(&shared.mutex_);
  uint64_t bytes = 0;
  for (const auto& [id, chunk] : shared.chunks_) {
    if (chunk.partition == disk_.partition_) bytes += chunk.bytes.size();
  }
  return bytes;
}

absl::Status MemoryReplicaStorage::ChunkSynced(ChunkId chunk) {
  absl::MutexLock lock(&disk_.mutex_);
  if (disk_.failed_) return OutOfService();
  absl::MutexLock chunks_lock(&disk_.chunks_->mutex_);
  const auto found = disk_.chunks_->chunks_.find(chunk);  // gone if its run was dropped meanwhile
  if (found != disk_.chunks_->chunks_.end()) found->second.durable = true;
  return absl::OkStatus();
}

void MemoryReplicaStorage::BeginInstall(Done done) {
  {
    absl::MutexLock lock(&disk_.mutex_);
    if (disk_.failed_) {
      After(absl::ZeroDuration(), [done = std::move(done)] { done(OutOfService()); });
      return;
    }
    // Synced with the mark, as a journal would: what was written before it comes first.
    for (MemoryReplicaDisk::LogWrite& write : disk_.unsynced_) {
      disk_.MakeDurable(write);
      write = {};
    }
    disk_.installing_ = true;
    disk_.log_ = {};
    disk_.flushed_ = {};
    disk_.unflushed_.clear();
  }
  log_ = {};
  trimmed_ = LogIndex();
  {
    absl::MutexLock lock(&state_mutex_);
    state_ = std::make_shared<MemoryKv>();
  }
  After(SyncTime(), [done = std::move(done)] { done(absl::OkStatus()); });
}

absl::Status MemoryReplicaStorage::LoadInstall(
    const std::vector<std::pair<std::string, std::string>>& rows) {
  KvBatch batch;
  for (const auto& [key, value] : rows) batch.Put(key, value);
  absl::MutexLock lock(&state_mutex_);
  state_->Apply(batch);
  return absl::OkStatus();
}

void MemoryReplicaStorage::FinishInstall(LogIndex index, Epoch epoch, Timestamp timestamp,
                                         Done done) {
  log_ = {.base_index = index, .base_epoch = epoch, .entries = {}};
  MemoryReplicaDisk::State state{
      .rows = {}, .applied_index = index, .applied_timestamp = timestamp};
  {
    absl::MutexLock lock(&state_mutex_);
    for (auto& [key, value] : state_->Rows()) state.rows.emplace(key, value);
  }
  Enqueue({.request = {},
           .install = MemoryReplicaDisk::Install{.state = std::move(state), .epoch = epoch}},
          std::move(done));
}

}  // namespace meridian::storage
