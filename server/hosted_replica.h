// A replica as a node hosts it: shared with the calls that use it, and closed to new commands while
// its container is being deleted.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "base/executor.h"
#include "base/id.h"
#include "replication/replica.h"

namespace meridian::server {

// Passes everything on to the replica. Held by shared_ptr: whoever calls it holds one, so that the
// replica lives until the call returns. The last one may go on any thread; the replica itself is
// destroyed on its strand. Thread-safe as a Replica is.
class HostedReplica final : public replication::Replica {
 public:
  struct Identity {
    PartitionId partition;
    ReplicaId replica;
    ContainerId container;
    DiskId disk;
  };

  // `destroyed` is called on the strand once the replica is gone.
  HostedReplica(Identity identity, Executor& strand, std::unique_ptr<Replica> replica,
                std::function<void()> destroyed);
  ~HostedReplica() override;

  const Identity& identity() const { return identity_; }

  // From now on commands are refused with UNAVAILABLE, except through ProposeSealed. What was
  // accepted before keeps its place in the log. False: sealed already.
  bool Seal() ABSL_LOCKS_EXCLUDED(mutex_);
  void Unseal() ABSL_LOCKS_EXCLUDED(mutex_);
  void ProposeSealed(replication::Proposal proposal,
                     std::function<void(absl::StatusOr<replication::Applied>)> done);

  void Propose(replication::Proposal proposal,
               std::function<void(absl::StatusOr<replication::Applied>)> done) override
      ABSL_LOCKS_EXCLUDED(mutex_);
  void ConfirmRead(std::function<void(absl::Status)> done) override;
  std::unique_ptr<storage::KvReader> NewView() const override;
  void WriteChunk(storage::ChunkId chunk, Buffer ciphertext, uint32_t crc32c,
                  std::function<void(absl::Status)> done) override;
  void EndRun(RunId run) override;
  absl::StatusOr<Buffer> ReadChunk(storage::ChunkId chunk, size_t offset, size_t size,
                                   absl::Duration timeout) override;
  void FetchChunk(storage::ChunkId chunk,
                  std::function<void(absl::StatusOr<Buffer>)> done) override;
  std::shared_ptr<void> PinRun(RunId run) override;
  void ChangeMembers(std::vector<replication::Member> members,
                     std::function<void(absl::Status)> done) override;
  void OfferLeadership(ReplicaId to, std::function<void(absl::Status)> done) override;
  void GetStatus(std::function<void(replication::ReplicaStatus)> done) override;
  void GetDigest(
      std::function<void(absl::StatusOr<std::pair<LogIndex, std::string>>)> done) override;
  void CompareState(
      std::string first, std::string end,
      std::function<void(absl::StatusOr<replication::StateComparison>)> done) override {
    replica_->CompareState(std::move(first), std::move(end), std::move(done));
  }
  uint64_t StoredBytes() const override { return replica_->StoredBytes(); }
  void OnMessage(replication::PeerMessage message) override;
  void OnConfigHint() override;
  bool HasMember(ReplicaId replica, const NodeId& node) const override {
    return replica_->HasMember(replica, node);
  }
  void Stop() override;

 private:
  const Identity identity_;
  Executor& strand_;
  std::unique_ptr<Replica> replica_;
  std::function<void()> destroyed_;
  absl::Mutex mutex_;
  bool sealed_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace meridian::server
