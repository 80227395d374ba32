// Installs a leader's snapshot in place of this replica's state and log (P6): rows as they come,
// and every chunk that they reference, before anything is acknowledged.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "replication/chunk_fetcher.h"
#include "replication/core/replica_core.h"
#include "replication/peer_link.h"
#include "replication/rebuild_throttle.h"
#include "replication/wire.h"
#include "storage/replica_storage.h"
#include "storage/state_machine.h"

namespace meridian::replication {

// Confined to the replica's strand.
class SnapshotReceiver {
 public:
  struct Hooks {
    std::function<void(const absl::Status&)> disk_failed;
    // Right before the old state goes, and after the new one stands durably.
    std::function<void()> begun;
    std::function<void(LogPosition last, Timestamp timestamp)> installed;
    // Null: none.
    RebuildThrottle* throttle = nullptr;
  };

  SnapshotReceiver(ReplicaCore& core, storage::ReplicaStorage& storage,
                   const storage::StateMachine& state_machine, ChunkFetcher& chunks,
                   const PeerLink& peers, Hooks hooks)
      : core_(core),
        storage_(storage),
        state_machine_(state_machine),
        chunks_(chunks),
        peers_(peers),
        hooks_(std::move(hooks)) {}

  void OnBegin(ReplicaId from, const SnapshotBegin& begin);
  void OnPiece(ReplicaId from, const SnapshotPiece& piece);

 private:
  struct Install {
    ReplicaId from;
    SnapshotBegin begin;
    uint64_t next_piece = 0;
    // The begin or the end is being written, a piece's chunks are being fetched, or the throttle
    // keeps the next piece back.
    bool busy = true;
    // There was no room for the piece that is next.
    bool disk_full = false;
    ChunkFetcher::Ticket ticket = 0;
  };

  // Its sender leads: in the epoch of its begin, or a later one, which it may have raised in place.
  // What a snapshot holds is committed, so that it is as good in every later epoch.
  bool IsUnderWay(ReplicaId from, uint64_t snapshot) const;
  void Begun(uint64_t snapshot, const absl::Status& status);
  void PieceComplete(uint64_t snapshot, bool final);
  void Ack(ReplicaId to, uint64_t snapshot, Epoch epoch, bool installed, bool refused);

  ReplicaCore& core_;
  storage::ReplicaStorage& storage_;
  const storage::StateMachine& state_machine_;
  ChunkFetcher& chunks_;
  const PeerLink& peers_;
  const Hooks hooks_;
  std::optional<Install> install_;
  // The throttle holds it weakly: it outlives this.
  const std::shared_ptr<char> alive_ = std::make_shared<char>();
};

}  // namespace meridian::replication
