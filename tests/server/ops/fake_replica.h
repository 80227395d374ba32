// A partition of one replica in memory with the real state machine: what is proposed is applied
// before Propose returns.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "replication/replica.h"
#include "storage/objects/object_state_machine.h"
#include "tests/fakes/memory_kv.h"

namespace meridian::ops {

// Thread-safe. Refuses an entry whose chunks it does not hold (I4).
class FakeReplica : public replication::Replica {
 public:
  void Propose(replication::Proposal proposal,
               std::function<void(absl::StatusOr<replication::Applied>)> done) override;
  void ConfirmRead(std::function<void(absl::Status)> done) override;
  std::unique_ptr<storage::KvReader> NewView() const override { return kv_.NewView(); }
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
      std::string, std::string,
      std::function<void(absl::StatusOr<replication::StateComparison>)> done) override {
    done(absl::UnavailableError("it is alone"));
  }
  uint64_t StoredBytes() const override { return 0; }
  void OnMessage(replication::PeerMessage) override {}
  bool HasMember(ReplicaId, const NodeId&) const override { return true; }
  void OnConfigHint() override {}
  void Stop() override {}

  // The next proposal is answered with this; it is carried out all the same if `applied`.
  void FailNextProposal(absl::Status status, bool applied);
  // Chunk writes are answered with this from now on; OK: as usual.
  void FailChunkWrites(absl::Status status);
  void FailReads(absl::Status status);
  // Called, without locks, before each proposal is applied: what others do in between.
  void BeforeNextProposal(std::function<void()> action);
  // Holds the answers of chunk writes back; Release gives them.
  void HoldChunkWrites();
  void ReleaseChunkWrites();
  size_t held_chunk_writes() const;

  // Frees what is garbage, but for pinned runs.
  void CollectGarbage();
  size_t chunk_count() const;
  bool HasOpenRuns() const;
  // Changes a byte of every chunk, or removes all chunks.
  void CorruptChunks();
  void DropChunks();
  // Overwrites the value of the newest row whose key begins with the tag.
  void EditRow(char tag, const std::function<void(std::string&)>& edit);
  void Advance(absl::Duration duration);
  size_t proposals() const;

 private:
  absl::StatusOr<replication::Applied> Apply(const replication::Proposal& proposal)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const objects::ObjectStateMachine machine_;
  storage::MemoryKv kv_;
  mutable absl::Mutex mutex_;
  std::map<storage::ChunkId, std::string> chunks_ ABSL_GUARDED_BY(mutex_);
  std::set<RunId> open_runs_ ABSL_GUARDED_BY(mutex_);
  // Outlived by no pin: pins share it.
  struct Pins;
  const std::shared_ptr<Pins> pins_ = MakePins();
  static std::shared_ptr<Pins> MakePins();
  LogIndex last_index_ ABSL_GUARDED_BY(mutex_);
  int64_t now_us_ ABSL_GUARDED_BY(mutex_) = absl::ToUnixMicros(absl::Now());
  absl::Status next_error_ ABSL_GUARDED_BY(mutex_);
  bool next_applied_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status chunk_error_ ABSL_GUARDED_BY(mutex_);
  absl::Status read_error_ ABSL_GUARDED_BY(mutex_);
  std::function<void()> before_next_ ABSL_GUARDED_BY(mutex_);
  bool holding_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::function<void()>> held_ ABSL_GUARDED_BY(mutex_);
  size_t proposals_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace meridian::ops
