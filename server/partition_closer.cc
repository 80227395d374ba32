#include "server/partition_closer.h"

#include <optional>
#include <string>
#include <utility>

#include "absl/time/clock.h"
#include "base/status.h"
#include "meridian/internal/v1/records.pb.h"
#include "replication/replica.h"
#include "server/await.h"
#include "server/cluster_records.h"
#include "storage/objects/child_rows.h"
#include "storage/objects/object_reader.h"
#include "storage/objects/records.h"

namespace meridian::server {
namespace {

using coordination::KeyValue;

// Of one attempt to learn what became of a removal, and between two.
constexpr absl::Duration kSettleTimeout = absl::Seconds(2);
constexpr absl::Duration kSettleInterval = absl::Seconds(1);

absl::Status Late(const char* what) {
  return absl::UnavailableError(std::string(what) + " did not answer in time");
}

// A command without an effect: when it has been applied, so has everything accepted before.
absl::Status PassBarrier(HostedReplica& replica, absl::Time deadline) {
  meridian::internal::v1::Command command;
  command.mutable_maintain();
  using Answer = absl::StatusOr<replication::Applied>;
  const std::optional<Answer> applied =
      AwaitUntil<Answer>(deadline, [&](std::function<void(Answer)> done) {
        replication::Proposal proposal;
        proposal.command = objects::EncodeRecord(command);
        replica.ProposeSealed(std::move(proposal), std::move(done));
      });
  return applied ? applied->status() : Late("the partition's quorum");
}

bool Covers(const objects::NameRange& outer, const objects::NameRange& inner) {
  return outer.start <= inner.start &&
         (outer.end.empty() || (!inner.end.empty() && inner.end <= outer.end));
}

absl::Status CheckViewEmpty(HostedReplica& replica, const objects::NameRange& range) {
  const std::unique_ptr<storage::KvReader> view = replica.NewView();
  ASSIGN_OR_RETURN(const auto split, objects::FindSplit(*view));
  if (split) return absl::AbortedError("the partition is being split");
  const objects::ObjectReader reader(*view);
  ASSIGN_OR_RETURN(const objects::NameRange owned, reader.Owned());
  // Whose they are the caller does not know yet.
  if (!Covers(owned, range)) return absl::AbortedError("the partition has split");
  ASSIGN_OR_RETURN(const bool empty, reader.IsEmpty());
  if (empty) return absl::OkStatus();
  return absl::FailedPreconditionError("it holds objects, versions or uploads");
}

absl::StatusOr<std::optional<KeyValue>> GetRow(coordination::CoordinationStore& coordination,
                                               const std::string& key, absl::Time deadline) {
  using Answer = absl::StatusOr<std::optional<KeyValue>>;
  std::optional<Answer> answer = AwaitUntil<Answer>(
      deadline, [&](std::function<void(Answer)> done) { coordination.Get(key, std::move(done)); });
  if (!answer) return Late("the coordination store");
  return *std::move(answer);
}

// Whether the compares held. UNAVAILABLE: the outcome is unknown.
absl::StatusOr<bool> Commit(coordination::CoordinationStore& coordination,
                            coordination::Transaction transaction, absl::Time deadline) {
  using Answer = absl::StatusOr<coordination::CommitResult>;
  const std::optional<Answer> result =
      AwaitUntil<Answer>(deadline, [&](std::function<void(Answer)> done) {
        coordination.Commit(std::move(transaction), std::move(done));
      });
  if (!result) return Late("the coordination store");
  RETURN_IF_ERROR(result->status());
  return (*result)->succeeded;
}

}  // namespace

PartitionCloser::PartitionCloser(coordination::CoordinationStore& coordination,
                                 absl::Duration hold_time)
    : coordination_(coordination),
      hold_time_(hold_time),
      settler_(MakeThreadExecutor("closed-partitions")) {}

absl::Status PartitionCloser::CheckEmpty(HostedReplica& replica, const objects::NameRange& range,
                                         absl::Time deadline) {
  const std::optional<absl::Status> confirmed = AwaitUntil<absl::Status>(
      deadline,
      [&](std::function<void(absl::Status)> done) { replica.ConfirmRead(std::move(done)); });
  if (!confirmed) return Late("the partition's quorum");
  RETURN_IF_ERROR(*confirmed);
  return CheckViewEmpty(replica, range);
}

// The group's row, with the configuration by which `replica` leads.
absl::StatusOr<KeyValue> PartitionCloser::LedGroup(HostedReplica& replica, absl::Time deadline) {
  const HostedReplica::Identity& self = replica.identity();
  ASSIGN_OR_RETURN(std::optional<KeyValue> row,
                   GetRow(coordination_, replication::GroupConfigKey(self.partition), deadline));
  if (!row) return absl::AbortedError("the partition is gone");
  ASSIGN_OR_RETURN(const replication::GroupConfig config,
                   replication::DecodeGroupConfig(row->value));
  if (config.leader != self.replica) {
    return absl::UnavailableError("this replica does not lead the partition any more");
  }
  return *std::move(row);
}

absl::StatusOr<int64_t> PartitionCloser::CloseIfEmpty(const Replica& replica,
                                                      const objects::NameRange& range,
                                                      absl::Time deadline) {
  if (!replica->Seal()) return absl::AbortedError("another call is deleting the partition");
  KeyValue group;
  const auto close = [&]() -> absl::Status {
    // Read before the barrier: had the leadership changed since, the barrier would not have passed,
    // or the caller's condition does not hold.
    ASSIGN_OR_RETURN(group, LedGroup(*replica, deadline));
    RETURN_IF_ERROR(PassBarrier(*replica, deadline));
    return CheckViewEmpty(*replica, range);
  };
  if (const absl::Status refused = close(); !refused.ok()) {
    replica->Unseal();
    return refused;
  }
  const PartitionId partition = replica->identity().partition;
  const int64_t revision = group.mod_revision;
  {
    absl::MutexLock lock(&mutex_);
    closed_[partition] = {replica, std::move(group)};
  }
  SettleAfter(hold_time_, partition, revision);
  return revision;
}

void PartitionCloser::Reopen(PartitionId partition) {
  absl::MutexLock lock(&mutex_);
  const auto closed = closed_.find(partition);
  if (closed == closed_.end()) return;
  SettleAfter(absl::ZeroDuration(), partition, closed->second.group.mod_revision);
}

// The partition stays closed until this is known: nothing may be acknowledged in one that is gone.
// That its keys are there says nothing, since a commit whose answer was lost may still be on its
// way; only when the group's row has been written again can its condition never hold.
PartitionCloser::Fate PartitionCloser::Settle(const KeyValue& group) {
  const absl::Time deadline = absl::Now() + kSettleTimeout;
  const absl::StatusOr<bool> rewritten = Commit(
      coordination_, {{{group.key, group.mod_revision}}, {{group.key, group.value}}}, deadline);
  if (!rewritten.ok()) return Fate::kUnknown;
  if (*rewritten) return Fate::kThere;
  const auto row = GetRow(coordination_, group.key, deadline);
  if (!row.ok()) return Fate::kUnknown;
  return row->has_value() ? Fate::kThere : Fate::kGone;
}

void PartitionCloser::SettleAfter(absl::Duration delay, PartitionId partition, int64_t revision) {
  settler_->PostAfter(delay, [this, partition, revision] { SettleNow(partition, revision); });
}

void PartitionCloser::SettleNow(PartitionId partition, int64_t revision) {
  KeyValue group;
  {
    absl::MutexLock lock(&mutex_);
    const auto closed = closed_.find(partition);
    // Settled already, and perhaps closed once more since.
    if (closed == closed_.end() || closed->second.group.mod_revision != revision) return;
    // Not held while waiting, so that the node can stop.
    if (closed->second.replica.expired()) {
      closed_.erase(closed);
      return;
    }
    group = closed->second.group;
  }
  const Fate fate = Settle(group);
  if (fate == Fate::kUnknown) return SettleAfter(kSettleInterval, partition, revision);
  Replica replica;
  {
    absl::MutexLock lock(&mutex_);
    const auto closed = closed_.find(partition);
    if (closed == closed_.end() || closed->second.group.mod_revision != revision) return;
    replica = closed->second.replica.lock();
    closed_.erase(closed);
  }
  if (replica != nullptr && fate == Fate::kThere) replica->Unseal();
}

}  // namespace meridian::server
