#include "replication/replica.h"

#include <algorithm>
#include <utility>

#include "absl/synchronization/notification.h"
#include "base/check.h"
#include "replication/replica_driver.h"

namespace meridian::replication {
namespace {

// Requests that wait for the strand, beside the bounds of each kind.
constexpr size_t kMaxInbox = 1 << 14;

LeadershipOptions CoreLeadership(const ReplicaOptions& options) {
  return {options.heartbeat_interval, options.election_timeout, options.max_append_bytes,
          options.max_inflight_append_bytes};
}

}  // namespace

std::unique_ptr<Replica> MakeReplica(PartitionId partition, ReplicaId self, GroupConfig config,
                                     int64_t config_revision, const ReplicaOptions& options,
                                     Replica::Environment environment) {
  return std::make_unique<ReplicaDriver>(partition, self, std::move(config), config_revision,
                                         options, std::move(environment));
}

ReplicaDriver::ReplicaDriver(PartitionId partition, ReplicaId self, GroupConfig config,
                             int64_t config_revision, const ReplicaOptions& options,
                             Environment environment)
    : self_(self),
      options_(options),
      env_(std::move(environment)),
      storage_(std::move(env_.storage)),
      disk_log_(*storage_, [this] { OnLogRead(); }),
      inbox_(env_.strand, kMaxInbox),
      core_(self, SessionId::Draw(env_.random), config, storage_->recovered(),
            CoreOptions{CoreLeadership(options),
                        {options.max_cached_log_bytes, options.max_persisting_bytes}},
            disk_log_, env_.random, env_.strand.MonotonicNow()),
      peers_(partition, self, env_.transport),
      config_(partition, env_.coordination, inbox_.MakeHandle(), config, config_revision,
              options.request_timeout, [this](const GroupConfig& read) { OnConfig(read); }),
      fetcher_(peers_, *storage_,
               {[this](const absl::Status& status) { Fail(status); }, [this] { return Now(); },
                [this] {
                  const bool known = core_.config().epoch == core_.promised();
                  return known ? &core_.config() : nullptr;
                },
                env_.rebuild_throttle}),
      own_needs_(*storage_, env_.state_machine,
                 {[this] { return core_.is_installing() || pins_scanned_ < pins_scan_end_; },
                  [this](RunId run) { return RunInUse(run); }}),
      lost_search_(*storage_, fetcher_, own_needs_),
      writer_(self, peers_, fetcher_, options.max_inflight_chunk_bytes, options.request_timeout,
              [this] { return Now(); }),
      garbage_(*storage_, env_.state_machine, own_needs_, options.orphan_age),
      digester_(env_.state_machine, inbox_.MakeHandle(), options.digest_on_own_thread),
      comparer_(peers_, digester_,
                {[this] { return storage_->NewView(); }, [this] { return Now(); }}),
      receiver_(core_, *storage_, env_.state_machine, fetcher_, peers_,
                {[this](const absl::Status& status) { Fail(status); },
                 [this] {
                   for (auto& [index, ticket] : std::exchange(completing_, {})) {
                     fetcher_.CallOff(ticket);
                   }
                   AnswerAll(absl::UnavailableError("a snapshot replaces this replica's state"));
                 },
                 [this](LogPosition last, Timestamp timestamp) {
                   core_.FinishInstall(last, timestamp, Now());
                   applied_ = apply_to_ = pins_scanned_ = pins_scan_end_ = last.index;
                   applied_timestamp_ = timestamp;
                   comparer_.OnApplied(applied_);
                   SchedulePump();
                 },
                 env_.rebuild_throttle}) {
  const storage::RecoveredReplica& recovered = storage_->recovered();
  applied_ = apply_to_ = recovered.applied_index;
  applied_timestamp_ = recovered.applied_timestamp;
  pins_scanned_ = recovered.base_index;
  pins_scan_end_ = recovered.base_index + recovered.epochs.size();
  next_background_ = Now();
  next_garbage_ = Now() + options_.garbage_interval;
  storage_->TellNeeds(own_needs_);
  peers_.Learn(config);
  ArmTimer();
}

ReplicaDriver::~ReplicaDriver() {
  Stop();
  alive_.reset();
}

void ReplicaDriver::Stop() {
  absl::Status reason = absl::UnavailableError("the replica is stopped");
  if (out_of_service_.ok()) out_of_service_ = reason;
  env_.strand.Cancel(timer_);
  inbox_.Close(reason);
  AnswerAll(reason);
}

void ReplicaDriver::CheckInvariants() const {
  core_.CheckInvariants();
  if (core_.is_installing()) return;
  CHECK_INVARIANT(applied_ <= core_.commit_index(), "only committed entries are applied");
  CHECK_INVARIANT(storage_->base_index() <= applied_, "only applied entries are trimmed");
}

absl::Status ReplicaDriver::CheckInService() const { return out_of_service_; }

void ReplicaDriver::Propose(Proposal proposal, std::function<void(absl::StatusOr<Applied>)> done) {
  // One of the two functions is called, so that both may refer to one callback.
  auto shared = std::make_shared<ProposalWaiters::Done>(std::move(done));
  inbox_.Add({[this, shared, proposal = std::move(proposal)]() mutable {
                AdmitProposal(std::move(proposal), std::move(*shared));
              },
              [shared](const absl::Status& reason) { (*shared)(reason); }});
}

void ReplicaDriver::AdmitProposal(Proposal proposal, ProposalWaiters::Done done) {
  if (absl::Status status = CheckInService(); !status.ok()) return done(status);
  if (!core_.is_serving()) {
    return done(absl::UnavailableError("this replica does not lead its group"));
  }
  storage::LogEntry entry;
  entry.command = std::move(proposal.command);
  entry.inline_body = std::move(proposal.inline_body);
  entry.inline_run = proposal.inline_run;
  entry.inline_crc32c = proposal.inline_crc32c;
  entry.chunks = std::move(proposal.chunks);
  if (EntryBytes(entry) > options_.max_entry_bytes) {
    return done(absl::InvalidArgumentError("the command and its body are too large for an entry"));
  }
  // By what the log holds, not by who still waits for it: while nothing commits, time-outs would
  // let the log grow for ever.
  uint64_t unapplied = core_.log().last().index - applied_;
  if (std::max<uint64_t>(proposals_.size(), unapplied) + proposals_in_check_ >=
          options_.max_inflight_proposals ||
      core_.log().unapplied_bytes() >= options_.max_inflight_proposal_bytes) {
    return done(absl::ResourceExhaustedError("too many proposals wait for their commit"));
  }
  AppendProposal(std::move(entry), Now() + options_.request_timeout, std::move(done));
}

// Appends once every chunk is durable here, and pins the runs in the same step (P8). A chunk may be
// late: a write quorum of the others was enough to acknowledge it.
void ReplicaDriver::AppendProposal(storage::LogEntry entry, absl::Duration deadline,
                                   ProposalWaiters::Done done) {
  if (absl::Status status = CheckInService(); !status.ok()) return done(status);
  if (Now() >= deadline) {
    return done(absl::UnavailableError("the proposal's chunks could not be fetched in time"));
  }
  for (const storage::ChunkRange& range : entry.chunks) {
    auto missing = storage_->MissingChunks(range);
    if (!missing.ok()) {
      Fail(missing.status());
      return done(missing.status());
    }
    if (missing->empty()) continue;
    ++proposals_in_check_;
    auto state = std::make_shared<std::pair<storage::LogEntry, ProposalWaiters::Done>>(
        std::move(entry), std::move(done));
    fetcher_.Fetch(missing->front(), deadline, [this, state, deadline](auto fetched) {
      --proposals_in_check_;
      if (absl::IsDataLoss(fetched.status())) {
        return state->second(absl::UnavailableError("no replica holds the proposal's chunks"));
      }
      if (!fetched.ok()) return state->second(fetched.status());
      AppendProposal(std::move(state->first), deadline, std::move(state->second));
    });
    return;
  }
  std::vector<storage::ChunkRange> chunks = entry.chunks;
  auto wall = static_cast<uint64_t>(std::max<int64_t>(0, absl::ToUnixMicros(env_.clock.WallNow())));
  auto position = core_.Propose(std::move(entry), Timestamp(wall));
  if (!position.ok()) return done(position.status());
  log_pins_.Add(position->index, chunks);
  proposals_.Add(*position, deadline - options_.request_timeout, deadline, std::move(done));
  SchedulePump();
}

void ReplicaDriver::ConfirmRead(std::function<void(absl::Status)> done) {
  auto shared = std::make_shared<ReadWaiters::Done>(std::move(done));
  inbox_.Add({[this, shared] {
                if (absl::Status status = CheckInService(); !status.ok()) return (*shared)(status);
                if (!core_.is_serving()) {
                  return (*shared)(absl::UnavailableError("this replica does not lead its group"));
                }
                uint64_t id = reads_.Add(Now() + options_.request_timeout, std::move(*shared));
                absl::Status status = core_.ConfirmRead(id);
                CHECK_INVARIANT(status.ok(), "a serving leader takes reads");
                SchedulePump();
              },
              [shared](const absl::Status& reason) { (*shared)(reason); }});
}

void ReplicaDriver::WriteChunk(storage::ChunkId chunk, Buffer ciphertext, uint32_t crc32c,
                               std::function<void(absl::Status)> done) {
  auto shared = std::make_shared<ChunkWriter::Done>(std::move(done));
  inbox_.Add({[this, shared, chunk, ciphertext = std::move(ciphertext), crc32c] {
                if (absl::Status status = CheckInService(); !status.ok()) return (*shared)(status);
                writer_.Write(core_.config(), chunk, ciphertext, crc32c, std::move(*shared));
              },
              [shared](const absl::Status& reason) { (*shared)(reason); }});
}

void ReplicaDriver::EndRun(RunId run) {
  inbox_.MakeHandle().Post([this, run] { writer_.EndRun(run); });
}

void ReplicaDriver::FetchChunk(storage::ChunkId chunk,
                               std::function<void(absl::StatusOr<Buffer>)> done) {
  auto shared = std::make_shared<std::function<void(absl::StatusOr<Buffer>)>>(std::move(done));
  inbox_.Add({[this, shared, chunk] {
                if (absl::Status status = CheckInService(); !status.ok()) return (*shared)(status);
                fetcher_.Fetch(chunk, Now() + options_.request_timeout, std::move(*shared));
              },
              [shared](const absl::Status& reason) { (*shared)(reason); }});
}

absl::StatusOr<Buffer> ReplicaDriver::ReadChunk(storage::ChunkId chunk, size_t offset, size_t size,
                                                absl::Duration timeout) {
  auto local = storage_->ReadChunk(chunk, offset, size);
  if (local.ok() || absl::IsInvalidArgument(local.status()) || absl::IsOutOfRange(local.status())) {
    return local;
  }
  if (absl::IsDataLoss(local.status())) ++corrupt_chunks_;
  struct Fetched {
    absl::Notification arrived;
    absl::StatusOr<Buffer> bytes = absl::UnavailableError("not fetched");
  };
  auto fetched = std::make_shared<Fetched>();
  FetchChunk(chunk, [fetched](absl::StatusOr<Buffer> bytes) {
    fetched->bytes = std::move(bytes);
    fetched->arrived.Notify();
  });
  if (!fetched->arrived.WaitForNotificationWithTimeout(timeout)) {
    return absl::UnavailableError("no peer has delivered the chunk in time");
  }
  if (!fetched->bytes.ok()) return fetched->bytes.status();
  if (offset > fetched->bytes->size() || size > fetched->bytes->size() - offset) {
    return absl::OutOfRangeError("the chunk ends before the range");
  }
  return fetched->bytes->Slice(offset, size);
}

void ReplicaDriver::ChangeMembers(std::vector<Member> members,
                                  std::function<void(absl::Status)> done) {
  auto shared = std::make_shared<decltype(done)>(std::move(done));
  inbox_.Add({[this, shared, members = std::move(members)] {
                if (absl::Status status = CheckInService(); !status.ok()) return (*shared)(status);
                (*shared)(core_.ChangeMembers(members));
                SchedulePump();
              },
              [shared](const absl::Status& reason) { (*shared)(reason); }});
}

void ReplicaDriver::OfferLeadership(ReplicaId to, std::function<void(absl::Status)> done) {
  auto shared = std::make_shared<decltype(done)>(std::move(done));
  inbox_.Add({[this, shared, to] {
                if (absl::Status status = CheckInService(); !status.ok()) return (*shared)(status);
                (*shared)(core_.OfferLeadership(to, Now()));
                SchedulePump();
              },
              [shared](const absl::Status& reason) { (*shared)(reason); }});
}

void ReplicaDriver::GetStatus(std::function<void(ReplicaStatus)> done) {
  auto shared = std::make_shared<decltype(done)>(std::move(done));
  inbox_.Add({[this, shared] { (*shared)(StatusNow()); },
              [shared](const absl::Status& reason) {
                ReplicaStatus status;
                status.health = reason;
                (*shared)(std::move(status));
              }});
}

ReplicaStatus ReplicaDriver::StatusNow() const {
  ReplicaStatus status;
  bool in_service = out_of_service_.ok();
  status.is_leader = in_service && core_.is_leader();
  status.is_serving = in_service && core_.is_serving();
  status.leader = core_.leader();
  status.epoch = core_.promised();
  status.last_index = core_.log().last().index;
  status.durable_index = core_.log().durable_index();
  status.durable_epoch = core_.log().EpochAt(status.durable_index).value_or(Epoch());
  status.durable_time = std::max(core_.log().durable_timestamp(), applied_timestamp_);
  status.commit_index = core_.commit_index();
  status.applied_index = applied_;
  status.applied_time = applied_timestamp_;
  status.freeable_index = core_.freeable_index();
  status.corrupt_chunks = corrupt_chunks_;
  status.repaired_chunks = fetcher_.counters().repaired;
  status.chunks_awaited = fetcher_.awaited();
  status.chunks_without_copy = lost_search_.Count();
  status.installing = core_.is_installing();
  status.health = health_;
  status.config = core_.config();
  status.last_swap = config_.last_swap();
  if (status.is_leader) {
    status.config_committed = core_.config_committed();
    status.changing_members = core_.changing_members();
    for (const ReplicaId& peer : peers_.peers()) {
      const PeerProgress* progress = core_.leadership()->progress(peer);
      if (progress == nullptr) continue;
      status.silence[peer] = core_.leadership()->Silence(*progress, Now());
      status.lag[peer] = status.last_index - std::min(status.last_index, progress->match());
    }
    for (const auto& [peer, sender] : senders_) {
      status.snapshots[peer] = {Now() - sender->last_progress(), sender->disk_full()};
    }
  }
  status.proposals_waiting = proposals_.size() + proposals_in_check_;
  status.reads_waiting = reads_.size();
  status.commit_latency = proposals_.latency();
  status.counters = core_.counters();
  status.counters.chunks_fetched = fetcher_.counters().fetched;
  status.counters.chunks_lost = fetcher_.counters().lost;
  status.counters.swaps_failed = config_.failed_swaps();
  status.counters.runs_freed = runs_freed_;
  status.counters.orphans_aborted = orphans_aborted_;
  status.counters.malformed_messages += undecodable_;
  return status;
}

void ReplicaDriver::GetDigest(
    std::function<void(absl::StatusOr<std::pair<LogIndex, std::string>>)> done) {
  auto shared = std::make_shared<decltype(done)>(std::move(done));
  inbox_.Add({[this, shared] {
                if (absl::Status status = CheckInService(); !status.ok()) return (*shared)(status);
                if (core_.is_installing()) {
                  return (*shared)(absl::UnavailableError("a snapshot is being installed"));
                }
                digester_.Compute(applied_, storage_->NewView(), "",
                                  std::string(storage::kEndOfKeys), std::move(*shared));
              },
              [shared](const absl::Status& reason) { (*shared)(reason); }});
}

void ReplicaDriver::CompareState(std::string first, std::string end,
                                 std::function<void(absl::StatusOr<StateComparison>)> done) {
  auto shared = std::make_shared<decltype(done)>(std::move(done));
  inbox_.Add({[this, shared, first = std::move(first), end = std::move(end)] {
                if (absl::Status status = CheckInService(); !status.ok()) return (*shared)(status);
                if (!core_.is_serving()) {
                  return (*shared)(absl::UnavailableError("this replica does not lead its group"));
                }
                std::set<ReplicaId> voters;
                for (const auto* set : {&core_.config().members, &core_.config().joint_old}) {
                  for (const Member& member : *set) voters.insert(member.replica);
                }
                // Nobody is past the last entry of the leader's log, nor has another one there.
                comparer_.Compare(voters, {core_.log().last().index, first, end}, applied_,
                                  std::move(*shared));
              },
              [shared](const absl::Status& reason) { (*shared)(reason); }});
}

}  // namespace meridian::replication
