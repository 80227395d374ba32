#include "storage/store/scrubber.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "storage/extents/format.h"

namespace meridian::storage {
namespace {

constexpr char kFile[] = "scrub";
constexpr size_t kMaxFileBytes = 4096;
constexpr size_t kRowsAtOnce = 256;
// What fails may pass: a file of rows that goes on failing is damaged.
constexpr int kTableAttempts = 3;
constexpr absl::Duration kRetry = absl::Seconds(10);
// A place may be recycled between the look at its row and the read: then the row has changed.
constexpr int kMaxMoves = 16;
constexpr absl::Duration kSaveInterval = absl::Minutes(1);

absl::Time FromMicros(uint64_t us) {
  return us == 0 ? absl::InfinitePast() : absl::FromUnixMicros(static_cast<int64_t>(us));
}

// What the row's record takes on the disk.
uint64_t BytesOf(const ChunkRow& row) {
  return row.place == ChunkPlace::kExtent ? extent_format::RecordBytes(row.extent.length)
                                          : row.size_bytes;
}

}  // namespace

Scrubber::Scrubber(const Parts& parts, const ScrubOptions& options)
    : parts_(parts), options_(options) {
  Load();
  thread_ = std::thread([this] { Run(); });
}

Scrubber::~Scrubber() {
  {
    absl::MutexLock lock(&alarm_->mutex);
    alarm_->stopping = true;
    alarm_->changed.SignalAll();
  }
  thread_.join();
}

ScrubStatus Scrubber::status() const {
  absl::MutexLock lock(&mutex_);
  ScrubStatus status;
  status.bytes_per_second = options_.bytes_per_second;
  status.running = state_.phase != ScrubState::Phase::kResting;
  status.pass_begin = FromMicros(state_.pass_begin_us);
  status.last_pass_end = FromMicros(state_.last_pass_end_us);
  status.verified_bytes = state_.verified_bytes;
  status.corrupt = state_.corrupt;
  status.corrupt_before = state_.corrupt_before;
  status.problem = problem_;
  if (!status.running) {
    status.progress = state_.last_pass_end_us == 0 ? 0 : 1;
  } else if (state_.total_bytes > 0) {
    // Less than the whole until it is done.
    status.progress = std::min(
        0.99, static_cast<double>(state_.verified_bytes) / static_cast<double>(state_.total_bytes));
  }
  return status;
}

void Scrubber::Load() {
  const absl::StatusOr<std::string> bytes = ReadWholeFile(parts_.disk, kFile, kMaxFileBytes);
  if (!bytes.ok()) return;
  // If it is damaged, a pass begins anew: nothing else depends on it.
  const absl::StatusOr<ScrubState> state = DecodeScrubState(*bytes);
  if (!state.ok()) return;
  absl::MutexLock lock(&mutex_);
  state_ = *state;
}

ScrubState Scrubber::state() const {
  absl::MutexLock lock(&mutex_);
  return state_;
}

void Scrubber::Run() {
  absl::Duration rest = UntilNextPass();
  while (Wait(rest).ok()) {
    const absl::Status status = Pass();
    if (absl::IsCancelled(status) || !parts_.out_of_service.health().ok()) return;
    {
      absl::MutexLock lock(&mutex_);
      problem_ = status;
    }
    rest = status.ok() ? UntilNextPass() : kRetry;
  }
}

uint64_t Scrubber::NowMicros() const {
  return static_cast<uint64_t>(std::max<int64_t>(1, absl::ToUnixMicros(parts_.clock.WallNow())));
}

absl::Duration Scrubber::UntilNextPass() const {
  const ScrubState now = state();
  if (now.phase != ScrubState::Phase::kResting || now.pass_begin_us == 0) {
    return absl::ZeroDuration();
  }
  // However the clock may have jumped.
  const absl::Duration since = parts_.clock.WallNow() - FromMicros(now.pass_begin_us);
  return options_.pass_interval - std::clamp(since, absl::ZeroDuration(), options_.pass_interval);
}

absl::Status Scrubber::Wait(absl::Duration duration) {
  absl::MutexLock lock(&alarm_->mutex);
  if (duration > absl::ZeroDuration() && !alarm_->stopping) {
    alarm_->rung = false;
    const Executor::TimerId timer = parts_.timers.PostAfter(duration, [alarm = alarm_] {
      absl::MutexLock lock(&alarm->mutex);
      alarm->rung = true;
      alarm->changed.SignalAll();
    });
    while (!alarm_->rung && !alarm_->stopping) alarm_->changed.Wait(&alarm_->mutex);
    if (!alarm_->rung) parts_.timers.Cancel(timer);
  }
  return alarm_->stopping ? absl::CancelledError("the scrub is stopped") : absl::OkStatus();
}

// Each read is paid for by the wait before the next one.
absl::Status Scrubber::Pace(uint64_t bytes) {
  const absl::Duration now = parts_.timers.MonotonicNow();
  const absl::Duration at = std::max(now, next_read_);
  next_read_ = at + absl::Seconds(static_cast<double>(bytes) /
                                  static_cast<double>(options_.bytes_per_second));
  return Wait(at - now);
}

absl::Status Scrubber::Pass() {
  if (state().phase == ScrubState::Phase::kResting) BeginPass();
  if (state().phase == ScrubState::Phase::kTables) {
    RETURN_IF_ERROR(ScrubTables());
    Enter(ScrubState::Phase::kLog);
  }
  if (state().phase == ScrubState::Phase::kLog) {
    RETURN_IF_ERROR(ScrubLog());
    Enter(ScrubState::Phase::kChunks);
  }
  RETURN_IF_ERROR(ScrubChunks());
  {
    absl::MutexLock lock(&mutex_);
    state_.phase = ScrubState::Phase::kResting;
    state_.last_pass_end_us = NowMicros();
  }
  Save();
  return absl::OkStatus();
}

void Scrubber::BeginPass() {
  ScrubState begun;
  begun.phase = ScrubState::Phase::kTables;
  begun.pass_begin_us = NowMicros();
  for (const RocksKv::TableFile& table : parts_.kv.TableFiles()) {
    begun.total_bytes += table.size_bytes;
    begun.table_limit = table.number + 1;
  }
  for (const ExtentInfo& extent : parts_.extents.Extents()) begun.total_bytes += extent.live_bytes;
  {
    absl::MutexLock lock(&mutex_);
    begun.last_pass_end_us = state_.last_pass_end_us;
    begun.corrupt_before = state_.corrupt;
    state_ = begun;
  }
  Save();
}

void Scrubber::Enter(ScrubState::Phase phase) {
  absl::MutexLock lock(&mutex_);
  state_.phase = phase;
}

void Scrubber::Count(uint64_t verified_bytes) {
  absl::MutexLock lock(&mutex_);
  state_.verified_bytes += verified_bytes;
}

void Scrubber::CountCorrupt() {
  parts_.reader.CountCorrupt();
  absl::MutexLock lock(&mutex_);
  ++state_.corrupt;
}

void Scrubber::SaveIfDue() {
  if (parts_.timers.MonotonicNow() >= next_save_) Save();
}

void Scrubber::Save() {
  next_save_ = parts_.timers.MonotonicNow() + kSaveInterval;
  // On a full disk the file stays as it is, and a restart verifies more again.
  if (!WriteWholeFile(parts_.disk, kFile, EncodeScrubState(state())).ok()) {
    parts_.out_of_service.Check();
  }
}

absl::Status Scrubber::ScrubTables() {
  for (const RocksKv::TableFile& table : parts_.kv.TableFiles()) {
    const ScrubState now = state();
    if (table.number <= now.table || table.number >= now.table_limit) continue;
    RETURN_IF_ERROR(ScrubTable(table));
    Count(table.size_bytes);
    {
      absl::MutexLock lock(&mutex_);
      state_.table = table.number;
    }
    SaveIfDue();
  }
  return absl::OkStatus();
}

absl::Status Scrubber::ScrubTable(const RocksKv::TableFile& table) {
  absl::Status status;
  for (int attempt = 0; attempt < kTableAttempts; ++attempt) {
    if (attempt > 0) RETURN_IF_ERROR(Wait(kRetry));
    status = parts_.kv.VerifyTable(table, [this](uint64_t bytes) { return Pace(bytes); });
    if (status.ok() || absl::IsCancelled(status)) return status;
    RETURN_IF_ERROR(parts_.out_of_service.health());
  }
  CountCorrupt();
  Save();
  return parts_.out_of_service.Fail(absl::UnavailableError(
      absl::StrCat("the scrub has found RocksDB's file ", table.name,
                   " damaged, which only a new replica mends: ", status.ToString())));
}

absl::Status Scrubber::ScrubLog() {
  for (const ReplicaOnDisk& replica : parts_.index.Replicas()) {
    LogIndex after(0);
    while (true) {
      ASSIGN_OR_RETURN(const std::vector<DiskIndex::OldEntry> entries,
                       parts_.index.ListEntries(replica, after, kRowsAtOnce));
      if (entries.empty()) break;
      for (const DiskIndex::OldEntry& entry : entries) {
        RETURN_IF_ERROR(ScrubEntry(replica, entry));
      }
      after = entries.back().index;
    }
  }
  return absl::OkStatus();
}

absl::Status Scrubber::ScrubEntry(const ReplicaOnDisk& replica, const DiskIndex::OldEntry& entry) {
  // What is in the row itself is in a file of rows.
  if (entry.row.place != EntryPlace::kJournal) return absl::OkStatus();
  const auto read = [&]() -> absl::Status {
    RETURN_IF_ERROR(Pace(entry.row.record.length));
    const absl::StatusOr<Buffer> payload = parts_.journal.Read(entry.row.record);
    return payload.ok() ? DecodeEntry(*payload).status() : payload.status();
  };
  absl::Status status = read();
  if (!status.ok() && !absl::IsNotFound(status) && !absl::IsCancelled(status)) status = read();
  if (absl::IsCancelled(status)) return status;
  // Trimmed, or moved into the row, since it was listed.
  if (absl::IsNotFound(status)) return absl::OkStatus();
  if (status.ok()) {
    Count(entry.row.record.length);
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(parts_.out_of_service.health());
  ASSIGN_OR_RETURN(const std::optional<LogRow> now, parts_.index.FindEntry(replica, entry.index));
  if (now != entry.row) return absl::OkStatus();
  // Who has still to apply it finds it damaged, loudly; nobody else can tell what it does.
  ASSIGN_OR_RETURN(const bool trimmed, parts_.index.TrimDamaged(replica.replica, entry.index));
  if (trimmed) CountCorrupt();
  return absl::OkStatus();
}

absl::Status Scrubber::ScrubChunks() {
  while (true) {
    ASSIGN_OR_RETURN(const std::vector<DiskIndex::ListedChunk> chunks,
                     parts_.index.ListChunks(state().chunk, kRowsAtOnce));
    if (chunks.empty()) return absl::OkStatus();
    for (const DiskIndex::ListedChunk& chunk : chunks) {
      RETURN_IF_ERROR(ScrubChunk(chunk.chunk, chunk.row));
      {
        absl::MutexLock lock(&mutex_);
        state_.chunk = chunk.key;
      }
      SaveIfDue();
    }
  }
}

absl::Status Scrubber::VerifyPlace(const ChunkKeyParts& chunk, const ChunkRow& row) const {
  if (row.place == ChunkPlace::kJournal) return parts_.reader.ReadBody(row).status();
  return parts_.extents.Verify(
      row.extent, {.container = chunk.container, .chunk = chunk.chunk, .crc32c = row.crc32c});
}

absl::Status Scrubber::ScrubChunk(const ChunkKeyParts& chunk, ChunkRow row) {
  for (int moves = 0; moves < kMaxMoves; ++moves) {
    // It was counted when it was found, and is searched for.
    if (row.place == ChunkPlace::kLost) return absl::OkStatus();
    absl::Status status;
    for (int attempt = 0; attempt < 2 && (attempt == 0 || !status.ok()); ++attempt) {
      RETURN_IF_ERROR(Pace(BytesOf(row)));
      status = VerifyPlace(chunk, row);
    }
    if (status.ok()) {
      Count(BytesOf(row));
      return absl::OkStatus();
    }
    RETURN_IF_ERROR(parts_.out_of_service.health());
    ASSIGN_OR_RETURN(const std::optional<ChunkRow> now,
                     parts_.index.FindChunk(chunk.container, chunk.chunk));
    if (!now.has_value()) return absl::OkStatus();
    if (*now == row && !absl::IsNotFound(status)) {
      ASSIGN_OR_RETURN(const bool found, parts_.index.MarkLost(chunk.container, chunk.chunk, row));
      if (found) CountCorrupt();
      return absl::OkStatus();
    }
    row = *now;
  }
  // The row names a place that is another's by now: nothing can be freed, and it is told each time.
  CountCorrupt();
  return absl::OkStatus();
}

}  // namespace meridian::storage
