#include "server/partition_removal.h"

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

absl::Status CheckViewEmpty(HostedReplica& replica) {
  const std::unique_ptr<storage::KvReader> view = replica.NewView();
  ASSIGN_OR_RETURN(const auto split, objects::FindSplit(*view));
  if (split) return absl::AbortedError("the partition is being split");
  ASSIGN_OR_RETURN(const bool empty, objects::ObjectReader(*view).IsEmpty());
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

PartitionRemover::PartitionRemover(coordination::CoordinationStore& coordination, Prepare prepare)
    : coordination_(coordination),
      prepare_(std::move(prepare)),
      settler_(MakeThreadExecutor("removals")) {}

absl::Status PartitionRemover::CheckEmpty(HostedReplica& replica, absl::Time deadline) {
  const std::optional<absl::Status> confirmed = AwaitUntil<absl::Status>(
      deadline,
      [&](std::function<void(absl::Status)> done) { replica.ConfirmRead(std::move(done)); });
  if (!confirmed) return Late("the partition's quorum");
  RETURN_IF_ERROR(*confirmed);
  return CheckViewEmpty(replica);
}

// The group's row, with the configuration by which `replica` leads.
absl::StatusOr<KeyValue> PartitionRemover::LedGroup(HostedReplica& replica, absl::Time deadline) {
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

absl::Status PartitionRemover::CommitRemoval(HostedReplica& replica,
                                             coordination::Transaction transaction,
                                             const KeyValue& group, absl::Time deadline) {
  const PartitionId partition = replica.identity().partition;
  transaction.compares.push_back({group.key, group.mod_revision});
  transaction.writes.push_back({group.key, std::nullopt});
  transaction.writes.push_back({PartitionKeyOf(partition), std::nullopt});
  transaction.writes.push_back({RemovedKeyOf(partition), std::string("1")});
  ASSIGN_OR_RETURN(const bool committed, Commit(coordination_, std::move(transaction), deadline));
  return committed ? absl::OkStatus()
                   : absl::AbortedError("container or leader have changed meanwhile");
}

absl::Status PartitionRemover::RemoveIfEmpty(const std::shared_ptr<HostedReplica>& replica,
                                             absl::Time deadline) {
  if (!replica->Seal()) return absl::AbortedError("another call is deleting the partition");
  std::optional<KeyValue> group;
  coordination::Transaction transaction;
  const auto prepare = [&]() -> absl::Status {
    // Read before the barrier: had the leadership changed since, the barrier would not have passed,
    // or the compare does not hold.
    ASSIGN_OR_RETURN(group, LedGroup(*replica, deadline));
    ASSIGN_OR_RETURN(transaction, prepare_(replica->identity().partition));
    RETURN_IF_ERROR(PassBarrier(*replica, deadline));
    return CheckViewEmpty(*replica);
  };
  if (const absl::Status refused = prepare(); !refused.ok()) {
    replica->Unseal();
    return refused;
  }
  const absl::Status status = CommitRemoval(*replica, std::move(transaction), *group, deadline);
  if (status.ok()) return status;
  const Fate fate = absl::IsAborted(status) ? Fate::kThere : Settle(*group);
  if (fate == Fate::kGone) return absl::OkStatus();
  if (fate == Fate::kThere) replica->Unseal();
  if (fate == Fate::kUnknown) SettleLater(replica, *std::move(group));
  return status;
}

// The partition stays closed until this is known: nothing may be acknowledged in one that is gone.
// That its keys are there says nothing, since a commit whose answer was lost may still be on its
// way; only when the group's row has been written again can its condition never hold.
PartitionRemover::Fate PartitionRemover::Settle(const KeyValue& group) {
  const absl::Time deadline = absl::Now() + kSettleTimeout;
  const absl::StatusOr<bool> rewritten = Commit(
      coordination_, {{{group.key, group.mod_revision}}, {{group.key, group.value}}}, deadline);
  if (!rewritten.ok()) return Fate::kUnknown;
  if (*rewritten) return Fate::kThere;
  const auto row = GetRow(coordination_, group.key, deadline);
  if (!row.ok()) return Fate::kUnknown;
  return row->has_value() ? Fate::kThere : Fate::kGone;
}

void PartitionRemover::SettleLater(std::weak_ptr<HostedReplica> replica, KeyValue group) {
  settler_->PostAfter(kSettleInterval,
                      [this, replica = std::move(replica), group = std::move(group)] {
                        // Not held while waiting, so that the node can stop.
                        if (replica.expired()) return;
                        const Fate fate = Settle(group);
                        if (fate == Fate::kUnknown) {
                          SettleLater(replica, group);
                        } else if (const std::shared_ptr<HostedReplica> there = replica.lock();
                                   there != nullptr && fate == Fate::kThere) {
                          there->Unseal();
                        }
                      });
}

}  // namespace meridian::server
