// Sends one snapshot of the state to one member that the log no longer reaches. Rows only: the
// receiver asks for the chunks that they reference. Pieces go out in a window and are repeated
// until acknowledged; if the receiver stays silent, the snapshot is given up and begun again later.
// A receiver that answers and makes no progress (its disk is full, a chunk cannot be had) is waited
// for: who plans the group's members sees it, and decides.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "replication/peer_link.h"
#include "replication/wire.h"
#include "storage/kv.h"
#include "storage/state_machine.h"

namespace meridian::replication {

// Confined to the replica's strand.
class SnapshotSender {
 public:
  enum class State { kRunning, kInstalled, kFailed };

  // `view` is the state right after begin.last was applied; of its rows those go that `filter`
  // says. Garbage dropped later than that is kept while the sender runs (P8).
  SnapshotSender(ReplicaId peer, const SnapshotBegin& begin,
                 std::unique_ptr<storage::KvReader> view, storage::StateMachine::RowFilter filter,
                 const PeerLink& peers, absl::Duration patience, absl::Duration now);

  LogPosition last() const { return begin_.last; }
  State state() const { return state_; }
  // When the receiver last loaded a piece, or brought a chunk for one; at first: when it began.
  absl::Duration last_progress() const { return last_progress_; }
  // By its last word it has no room for what comes next.
  bool disk_full() const { return disk_full_; }

  // Errors: the state cannot be read.
  absl::Status OnAck(const SnapshotAck& ack, absl::Duration now);
  void Tick(absl::Duration now);

 private:
  absl::Status FillWindow();

  const ReplicaId peer_;
  const SnapshotBegin begin_;
  const std::unique_ptr<storage::KvReader> view_;
  const std::unique_ptr<storage::KvIterator> rows_;
  const storage::StateMachine::RowFilter filter_;
  const PeerLink& peers_;
  const absl::Duration patience_;
  State state_ = State::kRunning;
  bool accepted_ = false;  // the receiver has begun
  bool at_end_ = false;    // the final piece is in the window, or was acknowledged
  // Pieces [window_.front().number, next_piece_) are not acknowledged.
  std::deque<SnapshotPiece> window_;
  uint64_t next_piece_ = 0;
  absl::Duration last_heard_;
  absl::Duration last_sent_;
  absl::Duration last_progress_;
  uint64_t progress_ = 0;  // that it has told of
  bool disk_full_ = false;
};

}  // namespace meridian::replication
