#include "replication/core/peer_progress.h"

#include <algorithm>

namespace meridian::replication {

bool PeerProgress::CanSend(size_t max_inflight_bytes) const {
  switch (mode_) {
    case Mode::kProbe:
      return !probe_sent_;
    case Mode::kReplicate:
      return in_flight_bytes_ < max_inflight_bytes;
    case Mode::kSnapshot:
      return false;
  }
  return false;
}

void PeerProgress::SentEntries(LogIndex last, size_t bytes) {
  if (mode_ == Mode::kProbe) {
    probe_sent_ = true;
    return;
  }
  next_ = last + 1;
  in_flight_.push_back({last, bytes});
  in_flight_bytes_ += bytes;
}

void PeerProgress::OnMatch(LogIndex match) {
  if (mode_ == Mode::kSnapshot) return;
  match_ = std::max(match_, match);
  next_ = std::max(next_, match_ + 1);
  while (!in_flight_.empty() && in_flight_.front().last <= match_) {
    in_flight_bytes_ -= in_flight_.front().bytes;
    in_flight_.pop_front();
  }
  // A reply that accepts nothing new still shows where the logs agree only if it acknowledges all
  // before `next`.
  if (mode_ == Mode::kProbe && match_ + 1 == next_) mode_ = Mode::kReplicate;
}

void PeerProgress::OnRejected(LogIndex rejected_prev, LogIndex retry_after) {
  if (mode_ == Mode::kSnapshot || rejected_prev <= match_) return;
  if (mode_ == Mode::kProbe && rejected_prev + 1 != next_) return;
  mode_ = Mode::kProbe;
  probe_sent_ = false;
  in_flight_.clear();
  in_flight_bytes_ = 0;
  next_ = std::max(match_, std::min(retry_after, rejected_prev - 1)) + 1;
}

void PeerProgress::NeedsSnapshot() {
  mode_ = Mode::kSnapshot;
  snapshot_wanted_ = true;
  snapshot_index_.reset();
  in_flight_.clear();
  in_flight_bytes_ = 0;
}

void PeerProgress::LostState() {
  match_ = LogIndex(0);
  NeedsSnapshot();
}

void PeerProgress::SnapshotEnded(std::optional<LogIndex> installed) {
  mode_ = Mode::kProbe;
  probe_sent_ = false;
  snapshot_wanted_ = false;
  snapshot_index_.reset();
  if (installed) {
    match_ = std::max(match_, *installed);
    next_ = match_ + 1;
  }
}

}  // namespace meridian::replication
