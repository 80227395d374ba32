#include "replication/snapshot_receiver.h"

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "storage/kv.h"

namespace meridian::replication {
namespace {

using Rows = std::vector<std::pair<std::string, std::string>>;

Rows::const_iterator FirstAtOrAfter(const Rows& rows, std::string_view key) {
  return std::lower_bound(rows.begin(), rows.end(), key,
                          [](const auto& row, std::string_view k) { return row.first < k; });
}

size_t BytesOf(const Rows& rows) {
  size_t bytes = 0;
  for (const auto& [key, value] : rows) bytes += key.size() + value.size();
  return bytes;
}

// The rows of one piece, in key order, as a state.
class PieceReader : public storage::KvReader {
 public:
  explicit PieceReader(const Rows& rows) : rows_(rows) {}

  absl::StatusOr<std::optional<std::string>> Get(std::string_view key) const override {
    auto it = FirstAtOrAfter(rows_, key);
    if (it == rows_.end() || it->first != key) return std::nullopt;
    return it->second;
  }
  std::unique_ptr<storage::KvIterator> NewIterator(std::string_view lower,
                                                   std::string_view upper) const override {
    return std::make_unique<Iterator>(FirstAtOrAfter(rows_, lower), FirstAtOrAfter(rows_, upper));
  }

 private:
  class Iterator : public storage::KvIterator {
   public:
    Iterator(Rows::const_iterator begin, Rows::const_iterator end)
        : begin_(begin), end_(std::max(begin, end)), at_(end_) {}
    void Seek(std::string_view key) override {
      at_ = std::lower_bound(begin_, end_, key,
                             [](const auto& row, std::string_view k) { return row.first < k; });
    }
    bool Valid() const override { return at_ != end_; }
    void Next() override { ++at_; }
    std::string_view key() const override { return at_->first; }
    std::string_view value() const override { return at_->second; }
    absl::Status status() const override { return absl::OkStatus(); }

   private:
    const Rows::const_iterator begin_;
    const Rows::const_iterator end_;
    Rows::const_iterator at_;
  };

  const Rows& rows_;
};

}  // namespace

void SnapshotReceiver::Ack(ReplicaId to, uint64_t snapshot, Epoch epoch, bool installed,
                           bool refused) {
  SnapshotAck ack;
  ack.snapshot = snapshot;
  ack.epoch = epoch;
  ack.next_piece = install_ && install_->begin.snapshot == snapshot ? install_->next_piece : 0;
  ack.installed = installed;
  ack.refused = refused;
  if (install_ && install_->begin.snapshot == snapshot) {
    const ChunkFetcher::Counters& chunks = chunks_.counters();
    ack.progress = install_->next_piece + chunks.fetched + chunks.repaired + chunks.lost;
    ack.disk_full = install_->disk_full;
  }
  peers_.Send(to, ack);
}

bool SnapshotReceiver::IsUnderWay(ReplicaId from, uint64_t snapshot) const {
  return install_ && install_->begin.snapshot == snapshot && install_->from == from &&
         core_.leader() == from;
}

void SnapshotReceiver::OnBegin(ReplicaId from, const SnapshotBegin& begin) {
  if (IsUnderWay(from, begin.snapshot)) {
    return Ack(from, begin.snapshot, begin.epoch, false, false);  // repeated
  }
  if (begin.epoch != core_.promised() || core_.leader() != from || core_.is_leader()) {
    return Ack(from, begin.snapshot, begin.epoch, /*installed=*/false, /*refused=*/true);
  }
  if (install_ && install_->busy && install_->ticket == 0) return;  // the disk has it: asked again
  ReplicaCore::SnapshotVerdict verdict = core_.JudgeSnapshot(begin.last);
  if (verdict != ReplicaCore::SnapshotVerdict::kInstall) {
    bool present = verdict == ReplicaCore::SnapshotVerdict::kPresent;
    return Ack(from, begin.snapshot, begin.epoch, /*installed=*/present, /*refused=*/!present);
  }
  if (install_) chunks_.CallOff(install_->ticket);
  hooks_.begun();
  core_.BeginInstall();
  Install install;
  install.from = from;
  install.begin = begin;
  install_ = std::move(install);
  storage_.BeginInstall(
      [this, snapshot = begin.snapshot](absl::Status status) { Begun(snapshot, status); });
}

void SnapshotReceiver::Begun(uint64_t snapshot, const absl::Status& status) {
  if (!install_ || install_->begin.snapshot != snapshot) return;
  if (!status.ok()) return hooks_.disk_failed(status);
  install_->busy = false;
  Ack(install_->from, snapshot, install_->begin.epoch, false, false);
}

void SnapshotReceiver::OnPiece(ReplicaId from, const SnapshotPiece& piece) {
  if (!IsUnderWay(from, piece.snapshot)) {
    return Ack(from, piece.snapshot, piece.epoch, false, /*refused=*/true);
  }
  if (install_->busy || piece.number != install_->next_piece) {
    // Early, late or repeated: tells that this side lives, and where it stands.
    return Ack(from, piece.snapshot, piece.epoch, false, false);
  }
  absl::Status status = storage_.LoadInstall(piece.rows);
  install_->disk_full = absl::IsResourceExhausted(status);
  if (install_->disk_full) {
    // Not loaded: the sender hears why, and sends it again, also after space has been made.
    return Ack(from, piece.snapshot, piece.epoch, false, false);
  }
  if (!status.ok()) return hooks_.disk_failed(status);
  if (hooks_.throttle != nullptr) hooks_.throttle->Take(BytesOf(piece.rows));
  std::vector<storage::ChunkRange> chunks;
  status =
      state_machine_.VisitChunks(PieceReader(piece.rows), [&](const storage::ChunkRange& range) {
        chunks.push_back(range);
        return absl::OkStatus();
      });
  if (!status.ok()) return hooks_.disk_failed(Annotate(status, "a snapshot's rows"));
  install_->busy = true;
  uint64_t snapshot = piece.snapshot;
  // Its rows are committed: a chunk that is lost everywhere must not keep the group from being
  // rebuilt.
  ChunkFetcher::Ticket ticket = chunks_.Ensure(
      chunks, [this, snapshot, final = piece.final] { PieceComplete(snapshot, final); },
      /*may_lose=*/[] { return true; }, ChunkFetcher::Pace::kRebuild);
  if (ticket != 0) install_->ticket = ticket;
}

void SnapshotReceiver::PieceComplete(uint64_t snapshot, bool final) {
  if (!install_ || install_->begin.snapshot != snapshot) return;
  install_->ticket = 0;
  const SnapshotBegin& begin = install_->begin;
  if (!final) {
    const auto resume = [this, snapshot, alive = std::weak_ptr<char>(alive_)] {
      if (!alive.expired()) PieceComplete(snapshot, /*final=*/false);
    };
    if (hooks_.throttle != nullptr && !hooks_.throttle->MayGo(resume)) return;
    ++install_->next_piece;
    install_->busy = false;
    return Ack(install_->from, snapshot, begin.epoch, false, false);
  }
  storage_.FinishInstall(
      begin.last.index, begin.last.epoch, begin.timestamp, [this](absl::Status status) {
        if (absl::IsResourceExhausted(status)) {
          install_->busy = false;  // the last piece comes again
          install_->disk_full = true;
          return Ack(install_->from, install_->begin.snapshot, install_->begin.epoch, false, false);
        }
        if (!status.ok()) return hooks_.disk_failed(status);
        Install done = *std::exchange(install_, std::nullopt);
        hooks_.installed(done.begin.last, done.begin.timestamp);
        Ack(done.from, done.begin.snapshot, done.begin.epoch, /*installed=*/true, false);
      });
}

}  // namespace meridian::replication
