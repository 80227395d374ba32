// How far one member has followed its leader, and what is on the way to it.
#pragma once

#include <deque>
#include <optional>
#include <utility>

#include "absl/time/time.h"
#include "base/strong_int.h"
#include "replication/core/messages.h"

namespace meridian::replication {

class PeerProgress {
 public:
  enum class Mode {
    kProbe,      // where its log agrees with ours is not known: one append at a time
    kReplicate,  // appends are pipelined
    kSnapshot,   // our log no longer reaches back to its end
  };

  PeerProgress(LogIndex next, absl::Duration now) : next_(next), last_heard_(now) {}

  Mode mode() const { return mode_; }
  // Durable there and the same as ours, up to this index.
  LogIndex match() const { return match_; }
  // The first entry to send.
  LogIndex next() const { return next_; }
  absl::Duration last_heard() const { return last_heard_; }
  // Of a running snapshot: where it stands.
  std::optional<LogIndex> snapshot_index() const { return snapshot_index_; }

  void Heard(absl::Duration now) { last_heard_ = now; }

  // Whether more entries may be sent now.
  bool CanSend(size_t max_inflight_bytes) const;
  void SentEntries(LogIndex last, size_t bytes);
  // A heartbeat is due: what was sent in probe mode may be lost, and may be sent again.
  void AllowProbe() { probe_sent_ = false; }

  void OnMatch(LogIndex match);
  // The member refused what follows `rejected_prev`; `retry_after` is the last place in our log
  // that can agree with its hint. Late refusals have no effect.
  void OnRejected(LogIndex rejected_prev, LogIndex retry_after);

  void NeedsSnapshot();
  // An install was cut off there: what it acknowledged before is gone, only a snapshot helps.
  void LostState();
  // True once for each snapshot that becomes necessary.
  bool TakeSnapshotWanted() { return std::exchange(snapshot_wanted_, false); }
  void SnapshotStarted(LogIndex index) { snapshot_index_ = index; }
  // Follows the log after `index`: the snapshot's, or where it was before if the snapshot failed.
  void SnapshotEnded(std::optional<LogIndex> installed);

 private:
  struct InFlight {
    LogIndex last;
    size_t bytes;
  };

  Mode mode_ = Mode::kProbe;
  LogIndex match_;
  LogIndex next_;  // > match_
  absl::Duration last_heard_;
  bool probe_sent_ = false;
  std::deque<InFlight> in_flight_;
  size_t in_flight_bytes_ = 0;
  bool snapshot_wanted_ = false;
  std::optional<LogIndex> snapshot_index_;
};

}  // namespace meridian::replication
