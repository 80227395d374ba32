#include "storage/store/disk_replica.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status.h"

namespace meridian::storage {
namespace {

constexpr absl::Duration kRetryWhenQueueIsFull = absl::Milliseconds(10);

size_t SizeOf(const LogEntry& entry) { return entry.command.size() + entry.inline_body.size(); }

uint64_t EntryBytes(const PersistRequest& request) {
  uint64_t bytes = 0;
  for (const LogEntry& entry : request.entries) bytes += SizeOf(entry);
  return bytes;
}

absl::Status Trimmed(LogIndex first, LogIndex base) {
  return absl::OutOfRangeError(
      absl::StrCat("the log begins after ", base.value(), ", not at ", first.value()));
}

}  // namespace

DiskReplica::DiskReplica(const Parts& parts, const ReplicaOnDisk& id, RecoveredReplica recovered,
                         std::shared_ptr<const std::atomic<uint64_t>> base)
    : parts_(parts),
      id_(id),
      state_prefix_(StatePrefix(id)),
      recovered_(std::move(recovered)),
      base_(std::move(base)),
      hard_state_(recovered_.hard_state),
      last_index_(recovered_.base_index + recovered_.epochs.size()),
      installing_(recovered_.installing) {}

DiskReplica::~DiskReplica() {
  *alive_ = false;
  parts_.told_needs.Forget(id_.replica);
  parts_.index.CloseReplica(id_.replica);
}

void DiskReplica::Persist(PersistRequest request, Done done) {
  waiting_.push_back({.done = std::move(done), .answer = std::nullopt});
  const uint64_t ticket = answered_ + waiting_.size();
  Remember(request, ticket);
  deferred_.push_back({.request = std::move(request), .ticket = ticket, .install_begun = nullptr});
  WriteDeferred();
}

void DiskReplica::WriteDeferred() {
  while (!deferred_.empty() && !finishing_install_) {
    Deferred& next = deferred_.front();
    if (failure_.ok() && !parts_.pipeline.Reserve(EntryBytes(next.request)).ok()) {
      return RetryDeferred();
    }
    Deferred taken = std::move(next);
    deferred_.pop_front();
    if (taken.install_begun != nullptr) {
      parts_.pipeline.Append(RecordType::kInstallBegin, id_.replica,
                             {Buffer::FromString(EncodeEmpty())},
                             OnStrand(std::move(taken.install_begun)));
    } else {
      Write(std::move(taken.request), taken.ticket);
    }
  }
}

// Other replicas may fill the queue: nobody tells this one when there is room.
void DiskReplica::RetryDeferred() {
  if (retrying_) return;
  retrying_ = true;
  parts_.strand.PostAfter(kRetryWhenQueueIsFull, [this, alive = alive_] {
    if (!*alive) return;
    retrying_ = false;
    WriteDeferred();
  });
}

void DiskReplica::Remember(const PersistRequest& request, uint64_t ticket) {
  CHECK_INVARIANT(request.entries.empty() || !installing_,
                  "entries are appended while a snapshot is being installed");
  if (request.hard_state.has_value()) hard_state_ = *request.hard_state;
  if (request.truncate_from.has_value() && *request.truncate_from <= last_index_) {
    ++log_changes_;
    CHECK_INVARIANT(*request.truncate_from > base_index(), "the log is truncated below its base");
    last_index_ = *request.truncate_from - 1;
    while (!cache_.empty() && cache_.back().entry.index > last_index_) {
      cache_bytes_ -= SizeOf(cache_.back().entry);
      cache_.pop_back();
    }
  }
  for (const LogEntry& entry : request.entries) {
    CHECK_INVARIANT(entry.index == last_index_ + 1, "an entry does not follow the log");
    last_index_ = entry.index;
    cache_bytes_ += SizeOf(entry);
    cache_.push_back({.entry = entry, .ticket = ticket});
  }
}

void DiskReplica::Write(PersistRequest request, uint64_t ticket) {
  std::vector<std::pair<RecordType, std::vector<Buffer>>> records;
  const bool empty = !request.truncate_from.has_value() && request.entries.empty();
  if (request.hard_state.has_value() || empty) {
    const Epoch promised = request.hard_state.value_or(hard_state_).promised;
    records.push_back({RecordType::kHardState, {Buffer::FromString(EncodeHardState(promised))}});
  }
  if (request.truncate_from.has_value()) {
    records.push_back(
        {RecordType::kTruncate, {Buffer::FromString(EncodeTruncate(*request.truncate_from))}});
  }
  for (const LogEntry& entry : request.entries) {
    std::vector<Buffer> payload = {Buffer::FromString(EncodeEntryHead(entry))};
    if (!entry.inline_body.empty()) payload.push_back(entry.inline_body);
    records.push_back({RecordType::kEntry, std::move(payload)});
  }
  if (!failure_.ok()) {
    PostDone([this, ticket](const absl::Status& s) { OnPersisted(ticket, s); }, failure_);
    return;
  }
  Done done = OnStrand([this, ticket](const absl::Status& s) { OnPersisted(ticket, s); });
  for (size_t i = 0; i < records.size(); ++i) {
    const bool last = i + 1 == records.size();
    parts_.pipeline.Append(records[i].first, id_.replica, std::move(records[i].second),
                           last ? std::move(done) : nullptr);
  }
}

void DiskReplica::OnPersisted(uint64_t ticket, const absl::Status& status) {
  if (failure_.ok()) failure_ = status;
  waiting_.at(ticket - answered_ - 1).answer = status;
  while (!waiting_.empty() && waiting_.front().answer.has_value()) {
    const Waiting first = std::move(waiting_.front());
    waiting_.pop_front();
    ++answered_;
    const std::shared_ptr<bool> alive = alive_;
    first.done(*first.answer);
    if (!*alive) return;
  }
  ShrinkCache();
}

void DiskReplica::ShrinkCache() {
  while (!cache_.empty() && cache_bytes_ > parts_.log_cache_bytes &&
         cache_.front().ticket <= answered_) {
    cache_bytes_ -= SizeOf(cache_.front().entry);
    cache_.pop_front();
  }
}

absl::StatusOr<LogEntry> DiskReplica::ReadEntry(LogIndex index) const {
  if (!cache_.empty() && index >= cache_.front().entry.index) {
    return cache_[index - cache_.front().entry.index].entry;
  }
  return ReadRow(parts_.reader, id_, *base_, index);
}

absl::StatusOr<LogEntry> DiskReplica::ReadRow(const DataReader& reader, const ReplicaOnDisk& id,
                                              const std::atomic<uint64_t>& base, LogIndex index) {
  absl::StatusOr<LogEntry> entry = reader.ReadEntry(id, index);
  if (!absl::IsNotFound(entry.status())) return entry;
  if (index <= LogIndex(base)) {
    return absl::OutOfRangeError(absl::StrCat("log entry ", index.value(), " was trimmed"));
  }
  return absl::DataLossError(absl::StrCat("log entry ", index.value(), " is missing"));
}

absl::StatusOr<std::vector<LogEntry>> DiskReplica::ReadLog(LogIndex first, LogIndex last,
                                                           size_t max_bytes) const {
  if (first <= base_index()) {
    return Trimmed(first, base_index());
  }
  std::vector<LogEntry> entries;
  size_t bytes = 0;
  for (LogIndex index = first; index <= std::min(last, last_index_); ++index) {
    ASSIGN_OR_RETURN(LogEntry entry, ReadEntry(index));
    bytes += SizeOf(entry);
    if (!entries.empty() && bytes > max_bytes) break;
    entries.push_back(std::move(entry));
  }
  return entries;
}

void DiskReplica::ReadLogLater(LogIndex first, LogIndex last, size_t max_bytes,
                               LogRead done) const {
  const LogIndex cached_from = last_index_ + 1 - cache_.size();
  if (first <= base_index() || first >= cached_from) return done(ReadLog(first, last, max_bytes));
  last = std::min(last, cached_from - 1);
  auto answer = [this, alive = alive_, changes = log_changes_, first,
                 done](absl::StatusOr<std::vector<LogEntry>> entries) {
    if (!*alive) return;
    if (changes != log_changes_) {
      entries = absl::AbortedError("the log has changed meanwhile");
    } else if (!entries.ok() && first <= base_index()) {
      // Whatever went wrong: the rows may have gone before the base said so.
      entries = Trimmed(first, base_index());
    }
    done(std::move(entries));
  };
  const bool added = parts_.read_pool.Add(
      ReadPool::Kind::kLog, [&reader = parts_.reader, &strand = parts_.strand, id = id_,
                             base = base_, first, last, max_bytes, answer = std::move(answer)] {
        std::vector<LogEntry> entries;
        absl::Status status;
        size_t bytes = 0;
        for (LogIndex index = first; index <= last; ++index) {
          absl::StatusOr<LogEntry> entry = ReadRow(reader, id, *base, index);
          status = entry.status();
          if (!status.ok()) break;
          bytes += SizeOf(*entry);
          if (!entries.empty() && bytes > max_bytes) break;
          entries.push_back(*std::move(entry));
        }
        strand.Post([answer, status, entries = std::move(entries)]() mutable {
          if (entries.empty()) return answer(std::move(status));
          answer(std::move(entries));
        });
      });
  if (!added) done(absl::ResourceExhaustedError("too many reads wait for the disk"));
}

absl::Status DiskReplica::WriteRows(const RocksBatch& batch) {
  const absl::Status status = parts_.kv.Write(batch);
  return status.ok() ? status : parts_.out_of_service.Fail(status);
}

absl::Status DiskReplica::Apply(const KvBatch& batch, LogIndex applied_index,
                                Timestamp applied_timestamp) {
  RocksBatch rows;
  rows.Append(Family::kState, state_prefix_, batch);
  rows.Put(Family::kMeta, AppliedKey(id_.replica),
           EncodeApplied({.index = applied_index, .timestamp = applied_timestamp}));
  return WriteRows(rows);
}

absl::Status DiskReplica::TrimTo(LogIndex index) {
  const absl::Status status = parts_.index.TrimTo(id_.replica, index);
  return status.ok() ? status : parts_.out_of_service.Fail(status);
}

std::unique_ptr<KvReader> DiskReplica::NewView() const {
  return parts_.kv.NewView(Family::kState, state_prefix_);
}

void DiskReplica::WriteChunk(ChunkId chunk, Buffer ciphertext, uint32_t crc32c, Done done) {
  const absl::StatusOr<std::optional<ChunkRow>> present =
      parts_.index.FindChunk(id_.container, chunk);
  // What was found damaged is not here (I4).
  const bool lost = present.ok() && present->has_value() && (*present)->place == ChunkPlace::kLost;
  if (!present.ok() || (present->has_value() && !lost)) {
    PostDone(std::move(done), present.status());
    return;
  }
  if (const absl::Status admitted = parts_.space.Admit(); !admitted.ok()) {
    PostDone(std::move(done), admitted);
    return;
  }
  PlaceChunk(chunk, std::move(ciphertext), crc32c, /*replaces=*/lost, std::move(done));
}

void DiskReplica::RepairChunk(ChunkId chunk, Buffer ciphertext, uint32_t crc32c, Done done) {
  PlaceChunk(chunk, std::move(ciphertext), crc32c, /*replaces=*/true, std::move(done));
}

void DiskReplica::PlaceChunk(ChunkId chunk, Buffer ciphertext, uint32_t crc32c, bool replaces,
                             Done done) {
  ChunkPlaced placed;
  placed.chunk = chunk;
  placed.replaces = replaces;
  placed.first_written =
      Timestamp(static_cast<uint64_t>(absl::ToUnixMicros(parts_.clock.WallNow())));
  placed.crc32c = crc32c;
  // P2: bytes, then their place in the journal, then the answer. Runs on the extents' thread, which
  // ends before the pipeline does; this replica may have gone, so nothing of it is used.
  ExtentStore::Done placed_in_extent =
      [placed, owner = id_.replica, &pipeline = parts_.pipeline, &strand = parts_.strand,
       &out_of_service = parts_.out_of_service,
       done = OnStrand(std::move(done))](const absl::StatusOr<ChunkLocation>& place) mutable {
        if (!place.ok()) {
          out_of_service.Check();
          strand.Post([done, status = place.status()] { done(status); });
          return;
        }
        placed.location = *place;
        pipeline.Append(RecordType::kChunkPlaced, owner,
                        {Buffer::FromString(EncodeChunkPlaced(placed))}, std::move(done));
      };
  const ChunkIdentity identity = {.container = id_.container, .chunk = chunk, .crc32c = crc32c};
  if (replaces) {
    parts_.extents.Restore(identity, std::move(ciphertext), std::move(placed_in_extent));
  } else {
    parts_.extents.Append(identity, std::move(ciphertext), std::move(placed_in_extent));
  }
}

absl::StatusOr<Buffer> DiskReplica::ReadChunk(ChunkId chunk, size_t offset, size_t size) const {
  return parts_.reader.ReadChunk(id_.container, chunk, offset, size);
}

void DiskReplica::ReadChunkLater(ChunkId chunk, ChunkRead done) const {
  auto answer = [alive = alive_, done](absl::StatusOr<StoredChunk> stored) {
    if (*alive) done(std::move(stored));
  };
  const bool added = parts_.read_pool.Add(
      ReadPool::Kind::kChunk,
      [&index = parts_.index, &reader = parts_.reader, &strand = parts_.strand,
       container = id_.container, chunk, answer = std::move(answer)] {
        auto read = [&]() -> absl::StatusOr<StoredChunk> {
          ASSIGN_OR_RETURN(const std::optional<ChunkRow> row, index.FindChunk(container, chunk));
          if (!row.has_value()) return absl::NotFoundError("the chunk is not here");
          ASSIGN_OR_RETURN(Buffer bytes, reader.ReadChunk(container, chunk, 0, row->size_bytes));
          return StoredChunk{.ciphertext = std::move(bytes), .crc32c = row->crc32c};
        };
        strand.Post([answer, stored = read()] { answer(stored); });
      });
  if (!added) done(absl::ResourceExhaustedError("too many reads wait for the disk"));
}

absl::StatusOr<std::optional<ReplicaStorage::ChunkInfo>> DiskReplica::StatChunk(
    ChunkId chunk) const {
  ASSIGN_OR_RETURN(const std::optional<ChunkRow> row, parts_.index.FindChunk(id_.container, chunk));
  if (!row.has_value()) return std::nullopt;
  return ChunkInfo{.size_bytes = row->size_bytes, .crc32c = row->crc32c};
}

absl::StatusOr<std::vector<ChunkId>> DiskReplica::MissingChunks(const ChunkRange& range) const {
  std::vector<ChunkId> missing;
  for (uint32_t i = 0; i < range.count; ++i) {
    const ChunkId chunk = {.run = range.run, .number = range.first + i};
    ASSIGN_OR_RETURN(const std::optional<ChunkRow> row,
                     parts_.index.FindChunk(id_.container, chunk));
    if (!row.has_value() || row->place == ChunkPlace::kLost) missing.push_back(chunk);
  }
  return missing;
}

absl::Status DiskReplica::DropRun(RunId run) {
  const absl::Status status = parts_.index.DropRun(id_.container, run);
  return status.ok() ? status : parts_.out_of_service.Fail(status);
}

absl::StatusOr<std::vector<ReplicaStorage::StoredRun>> DiskReplica::ListRuns(RunId after,
                                                                             size_t max) const {
  ASSIGN_OR_RETURN(const std::vector<DiskIndex::RunOfPartition> runs,
                   parts_.index.ListRuns(id_.container, after, max));
  std::vector<StoredRun> listed;
  for (const DiskIndex::RunOfPartition& run : runs) {
    RunOwner owner = RunOwner::kSelf;
    if (run.partition != id_.partition) {
      const bool here = parts_.index.FindOwner(id_.container, run.partition).has_value();
      owner = here ? RunOwner::kSibling : RunOwner::kNobody;
    }
    listed.push_back({.run = run.run, .owner = owner});
  }
  return listed;
}

const RunNeeds* DiskReplica::siblings() const {
  std::vector<const RunNeeds*> needs;
  for (const ReplicaId& sibling : parts_.index.SiblingsOf(id_)) {
    needs.push_back(parts_.told_needs.Find(sibling));
  }
  if (needs.empty()) return nullptr;
  return &siblings_.emplace(std::move(needs));
}

void DiskReplica::PlaceLost(ChunkId chunk, Done done) {
  const Timestamp now(static_cast<uint64_t>(absl::ToUnixMicros(parts_.clock.WallNow())));
  const absl::StatusOr<bool> placed = parts_.index.PlaceLost(id_, chunk, now);
  if (!placed.ok()) {
    PostDone(std::move(done), parts_.out_of_service.Fail(placed.status()));
    return;
  }
  if (*placed) parts_.reader.CountCorrupt();
  // The row is in no journal: what relies on it comes after a flush.
  parts_.checkpointer.FlushThen(
      [&strand = parts_.strand, done = OnStrand(std::move(done))](const absl::Status& flushed) {
        strand.Post([done, flushed] { done(flushed); });
      });
}

void DiskReplica::BeginInstall(Done done) {
  installing_ = true;
  ++log_changes_;
  cache_.clear();
  cache_bytes_ = 0;
  last_index_ = LogIndex();
  // Behind the records of all Persists before it, whose rows it removes.
  deferred_.push_back({.request = {}, .ticket = 0, .install_begun = std::move(done)});
  WriteDeferred();
}

absl::Status DiskReplica::LoadInstall(
    const std::vector<std::pair<std::string, std::string>>& rows) {
  RocksBatch batch;
  for (const auto& [key, value] : rows) batch.Put(Family::kState, state_prefix_ + key, value);
  return WriteRows(batch);
}

void DiskReplica::FinishInstall(LogIndex index, Epoch epoch, Timestamp timestamp, Done done) {
  const absl::Status status =
      parts_.index.FinishInstall(id_.replica, {.index = index, .timestamp = timestamp}, epoch);
  if (!status.ok()) {
    PostDone(std::move(done), parts_.out_of_service.Fail(status));
    return;
  }
  installing_ = false;
  finishing_install_ = true;
  last_index_ = index;
  Done flushed = OnStrand(
      [this, done = std::move(done)](const absl::Status& s) { OnInstallFlushed(s, done); });
  parts_.checkpointer.FlushThen(
      [&strand = parts_.strand, flushed = std::move(flushed)](const absl::Status& s) {
        strand.Post([flushed, s] { flushed(s); });
      });
}

void DiskReplica::OnInstallFlushed(const absl::Status& status, const Done& done) {
  finishing_install_ = false;
  if (status.ok()) parts_.index.EndInstall(id_.replica);
  installing_ = !status.ok();
  // Of a full disk: it is still being installed, and is finished again.
  if (!status.ok() && !absl::IsResourceExhausted(status) && failure_.ok()) failure_ = status;
  WriteDeferred();
  done(status);
}

ReplicaStorage::Done DiskReplica::OnStrand(Done done) {
  return [alive = alive_, done = std::move(done)](absl::Status status) {
    if (*alive) done(std::move(status));
  };
}

void DiskReplica::PostDone(Done done, absl::Status status) {
  parts_.strand.Post(
      [done = OnStrand(std::move(done)), status = std::move(status)] { done(status); });
}

}  // namespace meridian::storage
