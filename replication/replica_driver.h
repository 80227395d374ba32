// The implementation of Replica: feeds the core, and does what it asks for. Its parts (chunks,
// snapshots, garbage, configuration, waiters) are classes of their own; this one connects them.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/executor.h"
#include "replication/chunk_fetcher.h"
#include "replication/chunk_writer.h"
#include "replication/config_keeper.h"
#include "replication/core/replica_core.h"
#include "replication/digester.h"
#include "replication/disk_log.h"
#include "replication/garbage_collector.h"
#include "replication/inbox.h"
#include "replication/lost_search.h"
#include "replication/own_needs.h"
#include "replication/peer_link.h"
#include "replication/replica.h"
#include "replication/run_pins.h"
#include "replication/snapshot_receiver.h"
#include "replication/snapshot_sender.h"
#include "replication/state_comparer.h"
#include "replication/waiters.h"
#include "replication/wire.h"

namespace meridian::replication {

// Thread safety as Replica's; all private members belong to the strand unless they say otherwise.
class ReplicaDriver final : public Replica {
 public:
  ReplicaDriver(PartitionId partition, ReplicaId self, GroupConfig config, int64_t config_revision,
                const ReplicaOptions& options, Environment environment);
  ~ReplicaDriver() override;

  void Propose(Proposal proposal, std::function<void(absl::StatusOr<Applied>)> done) override;
  void ConfirmRead(std::function<void(absl::Status)> done) override;
  std::unique_ptr<storage::KvReader> NewView() const override { return storage_->NewView(); }
  void WriteChunk(storage::ChunkId chunk, Buffer ciphertext, uint32_t crc32c,
                  std::function<void(absl::Status)> done) override;
  void EndRun(RunId run) override;
  absl::StatusOr<Buffer> ReadChunk(storage::ChunkId chunk, size_t offset, size_t size,
                                   absl::Duration timeout) override;
  void FetchChunk(storage::ChunkId chunk,
                  std::function<void(absl::StatusOr<Buffer>)> done) override;
  std::shared_ptr<void> PinRun(RunId run) override { return read_pins_.Pin(run); }
  void ChangeMembers(std::vector<Member> members, std::function<void(absl::Status)> done) override;
  void OfferLeadership(ReplicaId to, std::function<void(absl::Status)> done) override;
  void GetStatus(std::function<void(ReplicaStatus)> done) override;
  void GetDigest(
      std::function<void(absl::StatusOr<std::pair<LogIndex, std::string>>)> done) override;
  void CompareState(std::string first, std::string end,
                    std::function<void(absl::StatusOr<StateComparison>)> done) override;
  uint64_t StoredBytes() const override { return storage_->StoredBytes(); }
  void OnMessage(PeerMessage message) override;
  void OnConfigHint() override;
  bool HasMember(ReplicaId replica, const NodeId& node) const override {
    return core_.config().Names(replica, node) || peers_.HasLeft(replica, node);
  }
  void CheckInvariants() const override;
  void Stop() override;

 private:
  // Requests, on the strand: replica.cc.
  void AdmitProposal(Proposal proposal, ProposalWaiters::Done done);
  void AppendProposal(storage::LogEntry entry, absl::Duration deadline, ProposalWaiters::Done done);
  ReplicaStatus StatusNow() const;
  absl::Status CheckInService() const;

  // The core and its consequences: replica_driver.cc.
  absl::Duration Now() const { return env_.strand.MonotonicNow(); }
  // Acts on the core's output once the tasks that wait on the strand have run: they share a batch.
  void SchedulePump();
  void Pump();
  void ActOn(CoreOutput out);
  void Persist(CoreOutput::Persist persist);
  void CompleteEntries(std::vector<CoreOutput::Incomplete> entries);
  void ScheduleApply(absl::Duration delay = absl::ZeroDuration());
  void ApplySome();
  absl::Status ApplyEntry(const storage::LogEntry& entry);
  void ArmTimer();
  void OnTimer();
  void OnConfig(const GroupConfig& config);
  void OnLogRead();
  // The disk or the state is broken: out of service, for good.
  void Fail(const absl::Status& status);
  void AnswerAll(const absl::Status& reason);

  // Background work: replica_background.cc.
  void Background(absl::Duration now);
  void Trim(absl::Duration now);
  void ScanRecoveredLog();
  void CollectGarbage(absl::Duration now);
  void FindOrphans(absl::Duration now);
  void CleanUp();
  void AbortOrphans(const std::vector<RunId>& runs);
  bool RunInUse(RunId run) const;
  void BeginSnapshot(ReplicaId peer);
  void EndSnapshots();
  void Deliver(ReplicaId from, PeerBody body);

  const ReplicaId self_;
  const ReplicaOptions options_;
  Environment env_;
  std::unique_ptr<storage::ReplicaStorage> storage_;  // of env_
  DiskLog disk_log_;
  ReadPins read_pins_;                       // any thread
  std::atomic<uint64_t> corrupt_chunks_{0};  // any thread
  Inbox inbox_;                              // any thread

  ReplicaCore core_;
  PeerLink peers_;
  ConfigKeeper config_;
  ChunkFetcher fetcher_;
  OwnNeeds own_needs_;
  LostSearch lost_search_;
  ChunkWriter writer_;
  LogPins log_pins_;
  GarbageCollector garbage_;
  Digester digester_;
  StateComparer comparer_;
  SnapshotReceiver receiver_;
  bool cleaning_ = false;  // rows that moved are being removed, the log has been trimmed for it
  std::map<ReplicaId, std::unique_ptr<SnapshotSender>> senders_;
  // Peers whose last snapshot failed: when another may begin.
  std::map<ReplicaId, absl::Duration> snapshot_due_;
  uint64_t last_snapshot_ = 0;
  ProposalWaiters proposals_;
  ReadWaiters reads_;
  size_t proposals_in_check_ = 0;  // whose chunks are being fetched
  // Fetches of entries' chunks, by the entry's index.
  std::map<LogIndex, ChunkFetcher::Ticket> completing_;

  LogIndex applied_;
  Timestamp applied_timestamp_;
  LogIndex apply_to_;
  // Entries above it, up to where the log ended at the start, have no pins yet.
  LogIndex pins_scanned_;
  LogIndex pins_scan_end_;
  absl::Duration next_background_;
  absl::Duration next_garbage_;
  uint64_t runs_freed_ = 0;
  uint64_t orphans_aborted_ = 0;
  uint64_t undecodable_ = 0;

  bool pump_scheduled_ = false;
  bool apply_scheduled_ = false;
  Executor::TimerId timer_ = 0;
  absl::Duration timer_at_;
  absl::Status out_of_service_;  // not OK: stopped or failed
  absl::Status health_;
  // Tasks posted to the strand hold it weakly: they do nothing once the replica is gone.
  std::shared_ptr<char> alive_ = std::make_shared<char>();
};

}  // namespace meridian::replication
