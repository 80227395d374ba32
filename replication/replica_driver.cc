// ReplicaDriver and the core: inputs in, outputs acted on, committed entries applied.
#include "replication/replica_driver.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/status.h"

namespace meridian::replication {
namespace {
// Bound the time that one task takes on the strand.
constexpr size_t kMaxAppliedAtOnce = 64;
constexpr size_t kApplyReadBytes = 1 << 20;
constexpr absl::Duration kFullDiskRetry = absl::Milliseconds(250);
}  // namespace

void ReplicaDriver::OnMessage(PeerMessage message) {
  if (!out_of_service_.ok() || message.to != self_) return;
  auto body = DecodeBody(message.body, message.attachments);
  if (!body.ok()) {
    ++undecodable_;
    return;
  }
  if (auto* core_message = std::get_if<CoreMessage>(&*body)) {
    core_.OnMessage(message.from, std::move(*core_message), Now());
    SchedulePump();
  } else {
    Deliver(message.from, *std::move(body));
  }
}

void ReplicaDriver::OnConfigHint() {
  if (out_of_service_.ok()) config_.Read();
}

void ReplicaDriver::OnConfig(const GroupConfig& config) {
  if (!out_of_service_.ok()) return;
  core_.OnConfig(config, Now());
  SchedulePump();
}

void ReplicaDriver::OnLogRead() {
  if (!out_of_service_.ok()) return;
  core_.OnLogRead(Now());
  if (apply_to_ > applied_) ScheduleApply();
  SchedulePump();
}

void ReplicaDriver::SchedulePump() {
  if (std::exchange(pump_scheduled_, true)) return;
  env_.strand.Post([this, alive = std::weak_ptr<char>(alive_)] {
    if (alive.expired()) return;
    pump_scheduled_ = false;
    Pump();
  });
}

void ReplicaDriver::Pump() {
  if (!out_of_service_.ok()) return;
  // An install's base is storage's before the install is done, and the core's only then.
  if (!core_.is_installing()) core_.OnTrimmed(storage_->base_index());
  ActOn(core_.TakeOutput(Now()));
  if (out_of_service_.ok()) ArmTimer();
}

void ReplicaDriver::ActOn(CoreOutput out) {
  if (!out.failure.ok()) return Fail(Annotate(out.failure, "reading the log"));
  if (out.truncated_from) {
    auto first = completing_.lower_bound(*out.truncated_from);
    for (auto it = first; it != completing_.end(); ++it) fetcher_.CallOff(it->second);
    completing_.erase(first, completing_.end());
  }
  if (out.leadership_lost) {
    EndSnapshots();
    proposals_.FailAll(
        absl::UnavailableError("the leadership was lost; the proposal's outcome is unknown"));
    reads_.FailAll(absl::UnavailableError("the leadership was lost"));
  }
  // The disk first: it works while messages are encoded.
  if (out.persist) Persist(*std::move(out.persist));
  CompleteEntries(std::move(out.incomplete));
  peers_.Learn(core_.config());
  for (OutboundMessage& message : out.messages) {
    peers_.Send(message.to, PeerBody(std::move(message.message)));
  }
  if (out.read_config) config_.Read();
  if (out.swap) config_.Swap(*out.swap);
  for (const ReplicaId& peer : out.need_snapshot) BeginSnapshot(peer);
  for (const ConfirmedRead& read : out.reads) reads_.OnConfirmed(read);
  if (out.apply_to > apply_to_) apply_to_ = out.apply_to;
  if (apply_to_ > applied_) ScheduleApply();
  reads_.OnApplied(applied_);
}

void ReplicaDriver::Persist(CoreOutput::Persist persist) {
  // From here on the disk has the bodies that the entries carry.
  for (const storage::LogEntry& entry : persist.request.entries) log_pins_.Add(entry);
  storage_->Persist(std::move(persist.request), [this, id = persist.id](absl::Status status) {
    if (!out_of_service_.ok()) return;
    if (!status.ok()) return Fail(Annotate(status, "writing the log"));
    core_.OnPersisted(id, Now());
    SchedulePump();
  });
}

void ReplicaDriver::CompleteEntries(std::vector<CoreOutput::Incomplete> entries) {
  for (CoreOutput::Incomplete& entry : entries) {
    log_pins_.Add(entry.position.index, entry.chunks);
    LogPosition position = entry.position;
    ChunkFetcher::Ticket ticket = fetcher_.Ensure(
        entry.chunks,
        [this, position] {
          completing_.erase(position.index);
          core_.OnComplete(position);
          SchedulePump();
        },
        // Committed by others: this replica's acknowledgement makes no write quorum (I4).
        /*may_lose=*/[this, position] { return position.index <= core_.commit_index(); });
    if (ticket != 0) completing_[position.index] = ticket;
  }
}

void ReplicaDriver::ScheduleApply(absl::Duration delay) {
  if (std::exchange(apply_scheduled_, true)) return;
  Task apply = [this, alive = std::weak_ptr<char>(alive_)] {
    if (alive.expired()) return;
    apply_scheduled_ = false;
    ApplySome();
  };
  if (delay == absl::ZeroDuration()) {
    env_.strand.Post(std::move(apply));
  } else {
    env_.strand.PostAfter(delay, std::move(apply));
  }
}

void ReplicaDriver::ApplySome() {
  if (!out_of_service_.ok() || core_.is_installing() || applied_ >= apply_to_) return;
  LogIndex last = std::min(apply_to_, applied_ + kMaxAppliedAtOnce);
  auto entries = core_.ReadLog(applied_ + 1, last, kApplyReadBytes);
  if (IsReadUnderWay(entries.status())) return;  // OnLogRead goes on, or the next turn
  if (!entries.ok()) return Fail(Annotate(entries.status(), "reading entries to apply"));
  for (const storage::LogEntry& entry : *entries) {
    absl::Status applied = ApplyEntry(entry);
    if (absl::IsResourceExhausted(applied)) {
      // A full disk: committed entries wait, and are applied once there is space.
      ScheduleApply(kFullDiskRetry);
      break;
    }
    if (!applied.ok()) return Fail(Annotate(applied, "applying an entry"));
    // A client's callback may have stopped the replica.
    if (!out_of_service_.ok()) return;
  }
  reads_.OnApplied(applied_);
  if (applied_ < apply_to_) ScheduleApply();
  SchedulePump();
}

absl::Status ReplicaDriver::ApplyEntry(const storage::LogEntry& entry) {
  CHECK_INVARIANT(entry.index == applied_ + 1, "entries are applied in log order");
  storage::KvBatch batch;
  std::string outcome;
  if (entry.kind == storage::LogEntry::Kind::kCommand) {
    ASSIGN_OR_RETURN(outcome, env_.state_machine.Apply(entry, *storage_->NewView(), batch));
  }
  RETURN_IF_ERROR(storage_->Apply(batch, entry.index, entry.timestamp));
  applied_ = entry.index;
  applied_timestamp_ = entry.timestamp;
  core_.OnApplied(applied_, applied_timestamp_);
  comparer_.OnApplied(applied_);
  proposals_.OnApplied({entry.epoch, entry.index}, entry.timestamp, std::move(outcome), Now());
  return absl::OkStatus();
}

void ReplicaDriver::ArmTimer() {
  absl::Duration at = std::min(core_.NextDeadline(), next_background_);
  if (timer_ != 0 && timer_at_ == at) return;
  if (timer_ != 0) env_.strand.Cancel(timer_);
  timer_at_ = at;
  absl::Duration delay = std::max(absl::ZeroDuration(), at - Now());
  timer_ = env_.strand.PostAfter(delay, [this, alive = std::weak_ptr<char>(alive_)] {
    if (alive.expired()) return;
    timer_ = 0;
    OnTimer();
  });
}

void ReplicaDriver::OnTimer() {
  if (!out_of_service_.ok()) return;
  absl::Duration now = Now();
  if (core_.NextDeadline() <= now) core_.Tick(now);
  if (now >= next_background_) {
    next_background_ = now + options_.heartbeat_interval;
    Background(now);
  }
  Pump();
}

void ReplicaDriver::Fail(const absl::Status& status) {
  if (!health_.ok()) return;
  health_ = status;
  bool was_in_service = out_of_service_.ok();
  out_of_service_ = absl::UnavailableError("the replica's disk is out of service");
  env_.strand.Cancel(timer_);
  AnswerAll(out_of_service_);
  if (was_in_service && env_.on_failure) env_.on_failure(status);
}

void ReplicaDriver::AnswerAll(const absl::Status& reason) {
  senders_.clear();
  proposals_.FailAll(reason);
  reads_.FailAll(reason);
  writer_.FailAll(reason);
  fetcher_.FailAll(reason);
  comparer_.FailAll(reason);
  digester_.FailAll(reason);
}

}  // namespace meridian::replication
