#include "replication/snapshot_sender.h"

#include <string>
#include <utility>

#include "base/status.h"

namespace meridian::replication {
namespace {
constexpr size_t kPieceBytes = 256 << 10;
constexpr size_t kWindowPieces = 4;
constexpr absl::Duration kResend = absl::Seconds(1);
// Above every key of a state machine, which begins with a byte below 0xff.
const char kEndOfKeys[] = "\xff";
}  // namespace

SnapshotSender::SnapshotSender(ReplicaId peer, const SnapshotBegin& begin,
                               std::unique_ptr<storage::KvReader> view,
                               storage::StateMachine::RowFilter filter, const PeerLink& peers,
                               absl::Duration patience, absl::Duration now)
    : peer_(peer),
      begin_(begin),
      view_(std::move(view)),
      rows_(view_->NewIterator("", kEndOfKeys)),
      filter_(std::move(filter)),
      peers_(peers),
      patience_(patience),
      last_heard_(now),
      last_sent_(now),
      last_progress_(now) {
  rows_->Seek("");
  peers_.Send(peer_, begin_);
}

absl::Status SnapshotSender::OnAck(const SnapshotAck& ack, absl::Duration now) {
  if (ack.snapshot != begin_.snapshot || state_ != State::kRunning) return absl::OkStatus();
  last_heard_ = now;
  disk_full_ = ack.disk_full;
  if (ack.progress > progress_) {
    progress_ = ack.progress;
    last_progress_ = now;
  }
  if (ack.installed) {
    state_ = State::kInstalled;
  } else if (ack.refused || ack.next_piece > next_piece_) {
    state_ = State::kFailed;
  } else {
    accepted_ = true;
    while (!window_.empty() && window_.front().number < ack.next_piece) window_.pop_front();
    return FillWindow();
  }
  return absl::OkStatus();
}

absl::Status SnapshotSender::FillWindow() {
  while (!at_end_ && window_.size() < kWindowPieces) {
    SnapshotPiece piece;
    piece.snapshot = begin_.snapshot;
    piece.epoch = begin_.epoch;
    piece.number = next_piece_++;
    for (size_t bytes = 0; rows_->Valid() && bytes < kPieceBytes; rows_->Next()) {
      bytes += rows_->key().size() + rows_->value().size();
      ASSIGN_OR_RETURN(const bool included, filter_(rows_->key(), rows_->value()));
      if (included) piece.rows.emplace_back(rows_->key(), rows_->value());
    }
    if (!rows_->status().ok()) return rows_->status();
    piece.final = at_end_ = !rows_->Valid();
    peers_.Send(peer_, piece);
    window_.push_back(std::move(piece));
  }
  return absl::OkStatus();
}

void SnapshotSender::Tick(absl::Duration now) {
  if (state_ != State::kRunning) return;
  if (now - last_heard_ >= patience_) {
    state_ = State::kFailed;
    return;
  }
  if (now - last_sent_ < kResend) return;
  last_sent_ = now;
  if (!accepted_) {
    peers_.Send(peer_, begin_);
  } else if (!window_.empty()) {
    for (const SnapshotPiece& piece : window_) peers_.Send(peer_, piece);
  }
}

}  // namespace meridian::replication
