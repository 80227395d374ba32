// Sends a client's chunks to every replica of the group and counts who holds them durably.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/buffer.h"
#include "replication/chunk_fetcher.h"
#include "replication/core/group_config.h"
#include "replication/core/quorum.h"
#include "replication/peer_link.h"
#include "replication/wire.h"

namespace meridian::replication {

// Confined to the replica's strand.
class ChunkWriter {
 public:
  using Done = std::function<void(absl::Status)>;

  // `local` stores this replica's copy. At most `max_bytes` wait to be answered.
  ChunkWriter(ReplicaId self, const PeerLink& peers, ChunkFetcher& local, size_t max_bytes,
              absl::Duration timeout, std::function<absl::Duration()> now)
      : self_(self),
        peers_(peers),
        local_(local),
        max_bytes_(max_bytes),
        timeout_(timeout),
        now_(std::move(now)) {}

  // `done` with OK once the chunk is durable on a quorum of `config`'s voters. RESOURCE_EXHAUSTED:
  // too many bytes wait, or too many disks are full; INVALID_ARGUMENT: no disk takes a chunk of
  // this size; UNAVAILABLE: no quorum in time.
  void Write(const GroupConfig& config, storage::ChunkId chunk, Buffer ciphertext, uint32_t crc32c,
             Done done);
  void OnAck(ReplicaId from, const ChunkAck& ack);
  // Sends again what may be lost, gives up what is too old.
  void Tick();
  void FailAll(const absl::Status& reason);

  // Runs that a client is writing here: not orphans (P8).
  bool IsActive(RunId run) const { return active_.contains(run); }
  void EndRun(RunId run) { active_.erase(run); }

 private:
  struct Pending {
    Pending(const GroupConfig& config, Buffer bytes, uint32_t crc)
        : quorum(config), ciphertext(std::move(bytes)), crc32c(crc) {}

    Quorum quorum;
    Buffer ciphertext;
    uint32_t crc32c;
    std::set<ReplicaId> durable;
    std::set<ReplicaId> full;
    bool storing = false;  // here
    absl::Duration sent_at;
    absl::Duration deadline;
    Done done;
  };

  void StoreHere(storage::ChunkId chunk, Pending& write);
  // Answers and forgets the chunk if it is decided.
  void Settle(std::map<storage::ChunkId, Pending>::iterator it);
  void Finish(std::map<storage::ChunkId, Pending>::iterator it, const absl::Status& status);

  const ReplicaId self_;
  const PeerLink& peers_;
  ChunkFetcher& local_;
  const size_t max_bytes_;
  const absl::Duration timeout_;
  const std::function<absl::Duration()> now_;
  std::map<storage::ChunkId, Pending> pending_;
  size_t pending_bytes_ = 0;
  std::set<RunId> active_;
};

}  // namespace meridian::replication
