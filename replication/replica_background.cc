// ReplicaDriver's slower work: chunks between peers, snapshots, trimming, garbage.
#include <algorithm>
#include <utility>

#include "base/crc32c.h"
#include "base/status.h"
#include "replication/replica_driver.h"

namespace meridian::replication {
namespace {
constexpr size_t kScanBytes = 1 << 20;
constexpr size_t kMaxReportedOrphans = 256;
constexpr size_t kMaxAbortsAtOnce = 128;
constexpr size_t kMaxCleanedRows = 512;
constexpr absl::Duration kSnapshotPause = absl::Seconds(1);
}  // namespace

void ReplicaDriver::Deliver(ReplicaId from, PeerBody body) {
  if (auto* write = std::get_if<ChunkWrite>(&body)) {
    if (IsChunkSize(write->ciphertext.size()) &&
        Crc32c(write->ciphertext.view()) != write->crc32c) {
      ++undecodable_;
      return;
    }
    fetcher_.Store(write->chunk, write->ciphertext, write->crc32c,
                   [this, from, chunk = write->chunk](absl::Status status) {
                     if (!out_of_service_.ok()) return;
                     if (absl::IsInvalidArgument(status)) ++undecodable_;
                     peers_.Send(from, ChunkAck{chunk, status.code()});
                   });
  } else if (auto* ack = std::get_if<ChunkAck>(&body)) {
    writer_.OnAck(from, *ack);
  } else if (auto* fetch = std::get_if<ChunkFetch>(&body)) {
    fetcher_.Serve(from, *fetch);
  } else if (auto* reply = std::get_if<ChunkFetchReply>(&body)) {
    fetcher_.OnReply(from, std::move(*reply));
  } else if (auto* begin = std::get_if<SnapshotBegin>(&body)) {
    receiver_.OnBegin(from, *begin);
    SchedulePump();
  } else if (auto* piece = std::get_if<SnapshotPiece>(&body)) {
    receiver_.OnPiece(from, *piece);
  } else if (auto* ack = std::get_if<SnapshotAck>(&body)) {
    auto sender = senders_.find(from);
    if (sender == senders_.end()) return;
    absl::Status status = sender->second->OnAck(*ack, Now());
    if (!status.ok()) return Fail(Annotate(status, "reading the state for a snapshot"));
    EndSnapshots();
  } else if (auto* report = std::get_if<OrphanReport>(&body)) {
    AbortOrphans(report->runs);
  } else if (auto* request = std::get_if<DigestRequest>(&body)) {
    comparer_.OnRequest(from, *request, applied_, core_.is_installing());
  } else if (auto* reply = std::get_if<DigestReply>(&body)) {
    comparer_.OnReply(from, *reply);
  }
}

void ReplicaDriver::Background(absl::Duration now) {
  // Found out by others: with nothing to write, a leader would go on for ever, and serve nobody.
  if (const absl::Status health = storage_->health(); !health.ok()) return Fail(health);
  proposals_.Tick(now);
  reads_.Tick(now);
  fetcher_.Tick();
  writer_.Tick();
  comparer_.Tick();
  config_.Tick(now);
  for (auto& [peer, sender] : senders_) sender->Tick(now);
  EndSnapshots();
  disk_log_.Tick();
  if (core_.is_installing()) return;
  lost_search_.Tick(now);
  if (apply_to_ > applied_) ScheduleApply();
  Trim(now);
  ScanRecoveredLog();
  if (pins_scanned_ < pins_scan_end_) return;
  if (now >= next_garbage_) CollectGarbage(now);
  FindOrphans(now);
  CleanUp();
}

void ReplicaDriver::Trim(absl::Duration now) {
  // Kept for members that lag, up to a bound; then they get a snapshot. A leader's bound for those
  // that are silent is the smaller one, and the others follow it by its freeable index.
  const auto back = [this](uint64_t entries) {
    return LogIndex(applied_.value() - std::min(applied_.value(), entries));
  };
  // On a disk that is full nobody's history is worth more than what clients want to write.
  const uint64_t most = storage_->AdmitNewData().ok() ? options_.retained_for_answering
                                                      : options_.retained_log_entries;
  const LogIndex answering = std::max(core_.awaited_from(now), back(most));
  const LogIndex keep_from =
      std::max(core_.freeable_index(), std::min(answering, back(options_.retained_log_entries)));
  absl::Status trimmed = storage_->TrimTo(std::min(applied_, keep_from));
  if (!trimmed.ok() && !absl::IsResourceExhausted(trimmed)) {
    return Fail(Annotate(trimmed, "trimming the log"));
  }
  // As RunInUse asks: what is not applied yet, no state knows.
  log_pins_.Forget(std::min(core_.freeable_index(), applied_));
}

// Pins what the entries of an earlier process's life reference, a part at a time. Nothing is freed
// before it is through.
void ReplicaDriver::ScanRecoveredLog() {
  pins_scanned_ = std::max(pins_scanned_, core_.log().base().index);
  LogIndex end = std::min(pins_scan_end_, core_.log().last().index);
  if (pins_scanned_ >= end) {
    pins_scanned_ = pins_scan_end_;
    return;
  }
  auto entries = core_.ReadLog(pins_scanned_ + 1, end, kScanBytes);
  if (IsReadUnderWay(entries.status())) return;
  if (absl::IsOutOfRange(entries.status())) return;  // trimmed meanwhile: goes on above the base
  if (!entries.ok()) return Fail(Annotate(entries.status(), "reading the recovered log"));
  for (const storage::LogEntry& entry : *entries) log_pins_.Add(entry);
  pins_scanned_ = entries->back().index;
}

bool ReplicaDriver::RunInUse(RunId run) const {
  return writer_.IsActive(run) || read_pins_.IsPinned(run) ||
         log_pins_.IsPinned(run, std::min(core_.freeable_index(), applied_));
}

void ReplicaDriver::CollectGarbage(absl::Duration now) {
  next_garbage_ = now + options_.garbage_interval;
  LogIndex up_to = std::min(core_.freeable_index(), applied_);
  auto freed = garbage_.Collect(up_to, applied_, applied_timestamp_);
  core_.OnTrimmed(storage_->base_index());
  if (absl::IsResourceExhausted(freed.status())) return;  // a full disk: at the next turn
  if (!freed.ok()) return Fail(Annotate(freed.status(), "freeing runs"));
  runs_freed_ += *freed;
  if (*freed > 0) next_garbage_ = now;  // there may be more: at the next turn
}

// Local like garbage: may be undone by a crash, and is then done again.
void ReplicaDriver::CleanUp() {
  if (!out_of_service_.ok()) return;
  auto changes = env_.state_machine.CleanUp(*storage_->NewView(), kMaxCleanedRows);
  if (!changes.ok()) return Fail(Annotate(changes.status(), "cleaning up rows that moved"));
  if (!changes->has_value()) {
    cleaning_ = false;
    return;
  }
  // The chunks of what has moved are others' to free: the log must lead nobody to them (P8).
  absl::Status cleaned = cleaning_ ? absl::OkStatus() : storage_->TrimTo(applied_);
  cleaning_ = cleaned.ok();
  if (cleaned.ok()) cleaned = storage_->Apply(**changes, applied_, applied_timestamp_);
  core_.OnTrimmed(storage_->base_index());
  if (!cleaned.ok() && !absl::IsResourceExhausted(cleaned)) {
    Fail(Annotate(cleaned, "cleaning up rows that moved"));
  }
}

void ReplicaDriver::FindOrphans(absl::Duration now) {
  if (!out_of_service_.ok()) return;
  auto orphans = garbage_.FindOrphans(now);
  if (absl::IsResourceExhausted(orphans.status())) return;  // a full disk: at the next turn
  if (!orphans.ok()) return Fail(Annotate(orphans.status(), "looking for orphaned runs"));
  runs_freed_ += orphans->freed;
  std::vector<RunId>& runs = orphans->to_abort;
  if (runs.empty()) return;
  if (core_.is_serving()) return AbortOrphans(runs);
  ReplicaId leader = core_.leader();
  if (leader.is_nil() || core_.is_leader()) return;
  if (runs.size() > kMaxReportedOrphans) runs.resize(kMaxReportedOrphans);
  peers_.Send(leader, OrphanReport{std::move(runs)});
}

// After the abort commits, a manifest that names the run is refused, and its chunks are garbage on
// every replica (P8). Found again, and tried again, if the proposal fails.
void ReplicaDriver::AbortOrphans(const std::vector<RunId>& runs) {
  if (!core_.is_serving() || !env_.encode_abort_run) return;
  auto unknown = garbage_.UnknownOf(runs);
  if (!unknown.ok()) return Fail(Annotate(unknown.status(), "checking orphaned runs"));
  if (unknown->size() > kMaxAbortsAtOnce) unknown->resize(kMaxAbortsAtOnce);
  for (const RunId& run : *unknown) {
    Proposal abort;
    abort.command = env_.encode_abort_run(run);
    AdmitProposal(std::move(abort), [this](absl::StatusOr<Applied> applied) {
      if (applied.ok()) ++orphans_aborted_;
    });
  }
}

void ReplicaDriver::BeginSnapshot(ReplicaId peer) {
  auto due = snapshot_due_.find(peer);
  absl::Duration now = Now();
  std::optional<LogPosition> last = core_.SnapshotPosition();
  if ((due != snapshot_due_.end() && now < due->second) || !last) {
    // Asked for again by the next heartbeat.
    core_.OnSnapshotEnded(peer, std::nullopt);
    return;
  }
  SnapshotBegin begin;
  begin.snapshot = env_.random.Uniform(UINT64_MAX);
  begin.epoch = core_.promised();
  begin.last = *last;
  begin.timestamp = applied_timestamp_;
  std::unique_ptr<storage::KvReader> view = storage_->NewView();
  auto filter = env_.state_machine.SnapshotRows(*view);
  if (!filter.ok()) return Fail(Annotate(filter.status(), "reading the state for a snapshot"));
  core_.OnSnapshotStarted(peer, last->index);
  senders_[peer] = std::make_unique<SnapshotSender>(
      peer, begin, std::move(view), *std::move(filter), peers_, options_.request_timeout, now);
}

// Tells the core of snapshots that are done, or all of them if this replica leads no more.
void ReplicaDriver::EndSnapshots() {
  for (auto it = senders_.begin(); it != senders_.end();) {
    SnapshotSender::State state = it->second->state();
    bool running = state == SnapshotSender::State::kRunning;
    if (running && core_.is_leader()) {
      ++it;
      continue;
    }
    bool installed = state == SnapshotSender::State::kInstalled;
    if (!installed) snapshot_due_[it->first] = Now() + kSnapshotPause;
    core_.OnSnapshotEnded(it->first,
                          installed ? std::optional(it->second->last().index) : std::nullopt);
    it = senders_.erase(it);
    SchedulePump();
  }
}

}  // namespace meridian::replication
