#include "storage/store/checkpointer.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <set>
#include <utility>

#include "absl/synchronization/blocking_counter.h"
#include "base/status.h"

namespace meridian::storage {
namespace {

constexpr uint64_t kPackBatchBytes = 4 << 20;
constexpr size_t kPackBatchBodies = 1024;
constexpr size_t kPackBatchEntries = 256;
// Copying the rest of an extent that is half garbage wins as much as it costs.
constexpr double kCompactGarbageRatio = 0.5;
// On a full disk every deletion must win something.
constexpr double kCompactGarbageRatioWhenFull = 0.1;
constexpr size_t kCompactExtentsAtOnce = 2;
// For so many passes an extent of which nothing more could be moved is left alone: about an hour.
constexpr uint64_t kStuckPasses = 720;
constexpr absl::Duration kRetryUnderPressure = absl::Milliseconds(200);
// A read error may pass. After so many attempts the record counts as lost, to be repaired.
constexpr int kReadAttempts = 3;
// All other errors that last so long are the disk's end.
constexpr int kAttempts = 2 * kReadAttempts;

}  // namespace

Checkpointer::Checkpointer(Parts parts, absl::Duration interval)
    : parts_(parts), interval_(interval) {
  thread_ = std::thread([this] { Loop(); });
}

Checkpointer::~Checkpointer() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    changed_.SignalAll();
  }
  thread_.join();
  AnswerFlushes(absl::CancelledError("the disk is closed"));
}

void Checkpointer::Kick() {
  absl::MutexLock lock(&mutex_);
  kicked_ = true;
  changed_.SignalAll();
}

void Checkpointer::FlushThen(Done done) {
  {
    absl::ReleasableMutexLock lock(&mutex_);
    if (stops_flushes_) {
      lock.Release();
      return done(absl::CancelledError("the disk is closed"));
    }
    flushes_.push_back(std::move(done));
    changed_.SignalAll();
  }
  // Looked at after it was put in: either this or OnNoSpace sees the other.
  if (parts_.kv.flush_waits()) OnNoSpace();
}

void Checkpointer::OnNoSpace() {
  AnswerFlushes(absl::ResourceExhaustedError("a flush of the disk's rows waits for space"));
}

void Checkpointer::BeginStop() {
  {
    absl::MutexLock lock(&mutex_);
    stops_flushes_ = true;
  }
  AnswerFlushes(absl::CancelledError("the disk is closed"));
}

void Checkpointer::AnswerFlushes(const absl::Status& status) {
  std::vector<Done> answered;
  {
    absl::MutexLock lock(&mutex_);
    answered.swap(running_flushes_);
    for (Done& done : flushes_) answered.push_back(std::move(done));
    flushes_.clear();
  }
  for (const Done& done : answered) done(status);
}

uint64_t Checkpointer::checkpoints() const {
  absl::MutexLock lock(&mutex_);
  return checkpoints_;
}

absl::Status Checkpointer::Run() {
  absl::MutexLock lock(&run_mutex_);
  RETURN_IF_ERROR(EmptySegmentsOrFail());
  return Compact();
}

void Checkpointer::Loop() {
  bool pressure = false;
  while (true) {
    bool flush = false;
    bool due = false;
    {
      absl::MutexLock lock(&mutex_);
      while (!stopping_ && !kicked_ && flushes_.empty() && !due) {
        due = changed_.WaitWithTimeout(
            &mutex_, pressure || parts_.kv.waits_for_space() ? kRetryUnderPressure : interval_);
      }
      if (stopping_) return;
      flush = !flushes_.empty();
      pressure = pressure || kicked_;
      kicked_ = false;
    }
    absl::MutexLock lock(&run_mutex_);
    if (flush) FlushForWaiting();
    // What fails for want of space is tried again until there is some; all else for a while, then
    // it is the disk's end: a journal that is never emptied holds all writers for ever.
    if (pressure) pressure = !EmptySegmentsOrFail().ok() && parts_.out_of_service.health().ok();
    if (due && !pressure) {
      if (parts_.index.has_frees() || parts_.kv.waits_for_space()) FlushAndFree().IgnoreError();
      Compact().IgnoreError();
      const bool full = parts_.kv.waits_for_space();
      if (!full && !parts_.ballast.Take().ok()) parts_.out_of_service.Check();
    }
  }
}

void Checkpointer::FlushForWaiting() {
  {
    absl::MutexLock lock(&mutex_);
    running_flushes_.swap(flushes_);
  }
  const absl::Status flushed = FlushAndFree();
  std::vector<Done> done;
  {
    absl::MutexLock lock(&mutex_);
    done.swap(running_flushes_);
  }
  for (const Done& one : done) one(flushed);
}

absl::Status Checkpointer::EmptySegmentsOrFail() {
  absl::Status status = EmptySegments();
  // What it wants may be the very space that waits to be given back.
  if (absl::IsResourceExhausted(status) && GiveBack().ok()) status = EmptySegments();
  if (status.ok()) {
    failed_attempts_ = 0;
  } else if (!absl::IsResourceExhausted(status) && !absl::IsCancelled(status) &&
             ++failed_attempts_ >= kAttempts) {
    parts_.out_of_service
        .Fail(absl::UnavailableError("the journal cannot be emptied: " + status.ToString()))
        .IgnoreError();
  }
  return status;
}

bool Checkpointer::IsLost(const absl::Status& read) const {
  return absl::IsDataLoss(read) || failed_attempts_ + 1 >= kReadAttempts;
}

absl::Status Checkpointer::EmptySegments() {
  // What follows waits for rows, which may have no room until they are flushed.
  if (parts_.kv.waits_for_space()) RETURN_IF_ERROR(FlushAndFree());
  const std::vector<SegmentInfo> segments = parts_.journal.SegmentsInUse();
  // Records of earlier lives were durable before the last one began: now they are in the rows.
  RETURN_IF_ERROR(parts_.pipeline.WaitUntilIndexed());
  const uint64_t life = segments.back().life;
  RETURN_IF_ERROR(parts_.index.CompleteGroupsBefore(segments.back().first_group));
  RETURN_IF_ERROR(PackBodies(life));
  for (const ReplicaOnDisk& replica : parts_.index.Replicas()) {
    RETURN_IF_ERROR(PackEntries(replica.replica, life));
  }
  RETURN_IF_ERROR(FlushAndFree());
  parts_.journal.ReleaseBefore(life);
  absl::MutexLock lock(&mutex_);
  ++checkpoints_;
  return absl::OkStatus();
}

absl::Status Checkpointer::Flush() {
  const absl::Status flushed = parts_.kv.Flush();
  if (!absl::IsResourceExhausted(flushed)) return flushed;
  const absl::StatusOr<bool> released = parts_.ballast.Release();
  return released.ok() && *released ? parts_.kv.Flush() : flushed;
}

absl::Status Checkpointer::FlushAndFree() {
  RETURN_IF_ERROR(parts_.out_of_service.health());
  const std::vector<ChunkLocation> frees = parts_.index.TakeFrees();
  const absl::Status flushed = Flush();
  if (!flushed.ok()) {
    parts_.index.ReturnFrees(frees);
    return parts_.out_of_service.Fail(flushed);
  }
  for (const ChunkLocation& place : frees) parts_.extents.MarkFree(place);
  return absl::OkStatus();
}

absl::Status Checkpointer::GiveBack() {
  RETURN_IF_ERROR(FlushAndFree());
  return Compact();
}

absl::Status Checkpointer::PackBodies(uint64_t life) {
  std::vector<DiskIndex::Body> bodies = parts_.index.TakeBodies(life);
  size_t next = 0;
  absl::Status status;
  while (status.ok() && next < bodies.size()) {
    const size_t first = next;
    status = PackSomeBodies(bodies, next, life);
    if (!status.ok()) next = first;  // those that were moved are skipped the next time
  }
  bodies.erase(bodies.begin(), bodies.begin() + static_cast<ptrdiff_t>(next));
  if (!bodies.empty()) parts_.index.ReturnBodies(std::move(bodies), life - 1);
  return status;
}

absl::Status Checkpointer::PackSomeBodies(const std::vector<DiskIndex::Body>& bodies, size_t& next,
                                          uint64_t life) {
  struct Packed {
    DiskIndex::Body body;
    ChunkRow from;
    Buffer bytes;
    absl::StatusOr<ChunkLocation> to = absl::DataLossError("damaged in the journal");
  };
  std::vector<Packed> batch;
  uint64_t bytes = 0;
  for (; next < bodies.size() && bytes < kPackBatchBytes && batch.size() < kPackBatchBodies;
       ++next) {
    const DiskIndex::Body& body = bodies[next];
    ASSIGN_OR_RETURN(const std::optional<ChunkRow> row,
                     parts_.index.FindChunk(body.container, {.run = body.run, .number = 0}));
    if (!row.has_value() || row->place != ChunkPlace::kJournal || row->record.life >= life) {
      continue;
    }
    absl::StatusOr<Buffer> read = parts_.reader.ReadBody(*row);
    // A body that cannot be read must not hold the journal: a peer will repair it.
    if (!read.ok() && !IsLost(read.status())) return read.status();
    if (!read.ok()) parts_.reader.CountCorrupt();
    bytes += row->size_bytes;
    batch.push_back({.body = body, .from = *row, .bytes = read.ok() ? *read : Buffer()});
  }
  absl::BlockingCounter waiting(static_cast<int>(batch.size()));
  for (Packed& packed : batch) {
    if (packed.bytes.empty()) {
      waiting.DecrementCount();
      continue;
    }
    parts_.extents.Relocate({.container = packed.body.container,
                             .chunk = {.run = packed.body.run, .number = 0},
                             .crc32c = packed.from.crc32c},
                            packed.bytes,
                            [&packed, &waiting](const absl::StatusOr<ChunkLocation>& to) {
                              packed.to = to;
                              waiting.DecrementCount();
                            });
  }
  waiting.Wait();

  absl::Status first_error;
  for (const Packed& packed : batch) {
    ChunkRow to = packed.from;
    to.record = {};
    to.body_offset = 0;
    if (packed.to.ok()) {
      to.place = ChunkPlace::kExtent;
      to.extent = *packed.to;
    } else if (packed.bytes.empty()) {
      to.place = ChunkPlace::kLost;
    } else {
      parts_.out_of_service.Check();
      if (first_error.ok()) first_error = packed.to.status();
      continue;
    }
    RETURN_IF_ERROR(parts_.index.MoveChunk(packed.body.container,
                                           {.run = packed.body.run, .number = 0}, packed.from, to));
  }
  return first_error;
}

absl::Status Checkpointer::PackEntries(ReplicaId replica, uint64_t life) {
  while (true) {
    ASSIGN_OR_RETURN(const std::vector<DiskIndex::OldEntry> old,
                     parts_.index.ListOld(replica, life, kPackBatchEntries));
    if (old.empty()) return absl::OkStatus();
    std::vector<LogRow> rows;
    for (const DiskIndex::OldEntry& entry : old) {
      ASSIGN_OR_RETURN(LogRow row, PackEntry(entry.row));
      rows.push_back(std::move(row));
    }
    RETURN_IF_ERROR(parts_.index.ReplaceEntries(replica, old, rows));
  }
}

absl::StatusOr<LogRow> Checkpointer::PackEntry(const LogRow& row) {
  LogRow packed = row;
  packed.record = {};
  absl::StatusOr<Buffer> payload = parts_.journal.Read(row.record);
  if (!payload.ok() && !IsLost(payload.status())) return payload.status();
  if (!payload.ok()) {
    parts_.reader.CountCorrupt();
    packed.place = EntryPlace::kLost;
    return packed;
  }
  ASSIGN_OR_RETURN(const EntryHeader header, DecodeEntryHeader(payload->view()));
  packed.place = EntryPlace::kRow;
  packed.head = std::string(payload->view().substr(0, header.body_offset));
  return packed;
}

std::vector<uint32_t> Checkpointer::ExtentsToCompact() {
  const bool full = absl::IsResourceExhausted(parts_.space.Admit());
  std::vector<ExtentInfo> extents = parts_.extents.Extents();
  std::erase_if(extents, [this](const ExtentInfo& info) {
    run_mutex_.AssertHeld();
    const auto found = stuck_.find(info.extent);
    return found != stuck_.end() && passes_ < found->second.until_pass &&
           found->second.generation == info.generation &&
           found->second.live_bytes == info.live_bytes;
  });
  std::vector<uint32_t> candidates =
      EvacuationCandidates(extents, full ? kCompactGarbageRatioWhenFull : kCompactGarbageRatio);
  if (candidates.size() > kCompactExtentsAtOnce) candidates.resize(kCompactExtentsAtOnce);
  return candidates;
}

absl::Status Checkpointer::Evacuate(uint32_t extent) {
  using Row = std::optional<ChunkRow>;
  // The chunk's row, if it says that the chunk is there.
  const auto find = [this](const ChunkIdentity& identity,
                           const ChunkLocation& place) -> absl::StatusOr<Row> {
    ASSIGN_OR_RETURN(Row row, parts_.index.FindChunk(identity.container, identity.chunk));
    if (row.has_value() && (row->place != ChunkPlace::kExtent || row->extent != place)) row.reset();
    return row;
  };
  return parts_.extents.Evacuate(
      extent, {.is_live = [&find](const ChunkIdentity& identity,
                                  const ChunkLocation& place) -> absl::StatusOr<bool> {
                 ASSIGN_OR_RETURN(const Row row, find(identity, place));
                 return row.has_value();
               },
               .moved = [this, &find](const ChunkIdentity& identity, const ChunkLocation& from,
                                      const ChunkLocation& to) -> absl::Status {
                 ASSIGN_OR_RETURN(const Row row, find(identity, from));
                 // Of a row that has changed, no row: then the copy's place is freed.
                 ChunkRow old = row.value_or(ChunkRow());
                 old.place = ChunkPlace::kExtent;
                 old.extent = from;
                 ChunkRow moved = old;
                 moved.extent = to;
                 return parts_.index.MoveChunk(identity.container, identity.chunk, old, moved);
               },
               .damaged = [this, &find](const ChunkIdentity& identity,
                                        const ChunkLocation& place) -> absl::Status {
                 ASSIGN_OR_RETURN(const Row row, find(identity, place));
                 if (!row.has_value()) return absl::OkStatus();
                 ASSIGN_OR_RETURN(const bool found,
                                  parts_.index.MarkLost(identity.container, identity.chunk, *row));
                 if (found) parts_.reader.CountCorrupt();
                 return absl::OkStatus();
               }});
}

absl::Status Checkpointer::Compact() {
  ++passes_;
  std::set<uint32_t> evacuated;
  // One that fails must not keep the others from it.
  absl::Status first_error;
  const std::vector<uint32_t> extents = ExtentsToCompact();
  for (const uint32_t extent : extents) {
    const absl::Status status = Evacuate(extent);
    if (status.ok()) evacuated.insert(extent);
    first_error.Update(status);
  }
  if (extents.empty()) return absl::OkStatus();
  const absl::Status freed = FlushAndFree();
  first_error.Update(freed);
  if (!freed.ok()) return first_error;
  for (const ExtentInfo& info : parts_.extents.Extents()) {
    if (!evacuated.contains(info.extent)) continue;
    stuck_.erase(info.extent);
    if (info.live_bytes == 0) continue;
    stuck_[info.extent] = {.generation = info.generation,
                           .live_bytes = info.live_bytes,
                           .until_pass = passes_ + kStuckPasses};
  }
  return first_error;
}

}  // namespace meridian::storage
