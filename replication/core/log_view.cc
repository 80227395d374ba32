#include "replication/core/log_view.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace meridian::replication {
namespace {
constexpr size_t kEntryOverheadBytes = 64;
}  // namespace

size_t EntryBytes(const storage::LogEntry& entry) {
  return kEntryOverheadBytes + entry.command.size() + entry.inline_body.size() +
         entry.chunks.size() * sizeof(storage::ChunkRange);
}

LogView::LogView(const storage::RecoveredReplica& recovered, const Bounds& bounds)
    : base_{recovered.base_epoch, recovered.base_index}, bounds_(bounds) {
  last_ = base_;
  runs_.push_back({base_.index, base_.epoch});
  for (Epoch epoch : recovered.epochs) {
    last_ = {epoch, last_.index + 1};
    if (epoch != runs_.back().epoch) runs_.push_back({last_.index, epoch});
  }
  last_timestamp_ = durable_timestamp_ = recovered.last_timestamp;
  issued_ = durable_ = last_.index;
  applied_ = recovered.applied_index;
}

std::optional<Epoch> LogView::EpochAt(LogIndex index) const {
  if (index < base_.index || index > last_.index) return std::nullopt;
  auto after = std::upper_bound(runs_.begin(), runs_.end(), index,
                                [](LogIndex i, const EpochRun& run) { return i < run.first; });
  return std::prev(after)->epoch;
}

LogPosition LogView::LastAgreeable(LogPosition upto) const {
  LogIndex index = std::min(upto.index, last_.index);
  if (index <= base_.index) return base_;
  for (auto run = runs_.rbegin(); run != runs_.rend(); ++run) {
    if (run->epoch <= upto.epoch && run->first <= index) {
      return index <= base_.index ? base_ : LogPosition{run->epoch, index};
    }
    if (run->first <= index && run->first > LogIndex(0)) index = run->first - 1;
  }
  return base_;
}

void LogView::Append(storage::LogEntry entry, bool complete) {
  CHECK_INVARIANT(entry.index == last_.index + 1, "entries are consecutive");
  CHECK_INVARIANT(entry.epoch >= last_.epoch, "epochs never go back in a log (I3)");
  last_ = {entry.epoch, entry.index};
  last_timestamp_ = std::max(last_timestamp_, entry.timestamp);
  if (entry.epoch != runs_.back().epoch) runs_.push_back({entry.index, entry.epoch});
  if (!complete && !entry.chunks.empty()) incomplete_.emplace(entry.index, entry.epoch);
  size_t bytes = EntryBytes(entry);
  cached_bytes_ += bytes;
  unapplied_bytes_ += bytes;
  cached_.push_back(std::move(entry));
}

void LogView::TruncateFrom(LogIndex first) {
  CHECK_INVARIANT(first > base_.index && first > applied_,
                  "nothing at or below the base, and nothing applied, is truncated (I5)");
  if (first > last_.index) return;
  if (first <= issued_) {
    truncate_on_disk_ = std::min(first, truncate_on_disk_.value_or(first));
    issued_ = first - 1;
    if (issued_ < durable_) {
      durable_ = issued_;
      durable_timestamp_ = TimestampInMemory(durable_);
    }
    for (InFlight& request : in_flight_) request.durable_to = std::min(request.durable_to, issued_);
  }
  incomplete_.erase(incomplete_.lower_bound(first), incomplete_.end());
  while (!cached_.empty() && cached_.back().index >= first) {
    size_t bytes = EntryBytes(cached_.back());
    cached_bytes_ -= bytes;
    unapplied_bytes_ -= bytes;
    cached_.pop_back();
  }
  while (runs_.size() > 1 && runs_.back().first >= first) runs_.pop_back();
  last_ = {runs_.back().epoch, first - 1};
}

Timestamp LogView::TimestampInMemory(LogIndex index) const {
  if (cached_.empty() || index < cached_.front().index || index > cached_.back().index) {
    return Timestamp(0);
  }
  return cached_[index - cached_.front().index].timestamp;
}

void LogView::MarkComplete(LogPosition position) {
  auto it = incomplete_.find(position.index);
  if (it != incomplete_.end() && it->second == position.epoch) incomplete_.erase(it);
}

bool LogView::CollectPersist(storage::PersistRequest& request) {
  request.truncate_from = std::exchange(truncate_on_disk_, std::nullopt);
  LogIndex complete = complete_index();
  size_t next = cached_.size() - (last_.index - issued_);
  while (issued_ < complete && persisting_bytes_ < bounds_.persisting_bytes) {
    size_t bytes = EntryBytes(cached_[next]);
    persisting_bytes_ += bytes;
    collected_bytes_ += bytes;
    request.entries.push_back(cached_[next++]);
    ++issued_;
  }
  return request.truncate_from.has_value() || !request.entries.empty();
}

void LogView::Issued(uint64_t request_id) {
  in_flight_.push_back({request_id, issued_, std::exchange(collected_bytes_, 0)});
}

bool LogView::OnPersisted(uint64_t request_id) {
  CHECK_INVARIANT(!in_flight_.empty() && in_flight_.front().id == request_id,
                  "disk writes complete in the order issued");
  LogIndex before = durable_;
  if (in_flight_.front().durable_to > durable_) {
    durable_ = in_flight_.front().durable_to;
    durable_timestamp_ = TimestampInMemory(durable_);
  }
  persisting_bytes_ -= in_flight_.front().bytes;
  in_flight_.pop_front();
  return durable_ != before;
}

void LogView::Reset(LogPosition base) {
  base_ = last_ = base;
  issued_ = durable_ = base.index;
  durable_timestamp_ = Timestamp(0);
  runs_.assign(1, {base.index, base.epoch});
  incomplete_.clear();
  truncate_on_disk_.reset();
  // What was in flight belongs to the log that is gone.
  for (InFlight& request : in_flight_) request.durable_to = LogIndex(0);
  cached_.clear();
  cached_bytes_ = 0;
  unapplied_bytes_ = 0;
  applied_ = base.index;
}

void LogView::OnTrimmed(LogIndex index) {
  if (index <= base_.index) return;
  CHECK_INVARIANT(index <= durable_ && index <= applied_,
                  "only durable and applied entries are trimmed");
  base_ = {*EpochAt(index), index};
  while (runs_.size() > 1 && runs_[1].first <= index) runs_.erase(runs_.begin());
  while (!cached_.empty() && cached_.front().index <= index) {
    cached_bytes_ -= EntryBytes(cached_.front());
    cached_.pop_front();
  }
}

absl::StatusOr<std::vector<storage::LogEntry>> LogView::Read(LogIndex first, LogIndex last,
                                                             size_t max_bytes,
                                                             const LogReader& reader) const {
  CHECK_INVARIANT(first > base_.index && last <= last_.index, "reads stay within the log");
  LogIndex cached_from = last_.index + 1 - cached_.size();
  if (first < cached_from) {
    auto read = reader.ReadLog(first, std::min(last, cached_from - 1), max_bytes);
    if (!read.ok()) return read;
    // It may have been read before a truncation.
    auto other = std::find_if(read->begin(), read->end(), [this](const storage::LogEntry& entry) {
      return EpochAt(entry.index) != entry.epoch;
    });
    read->erase(other, read->end());
    if (read->empty()) return ReadUnderWay();
    return read;
  }
  std::vector<storage::LogEntry> entries;
  size_t bytes = 0;
  for (LogIndex index = first; index <= last; ++index) {
    const storage::LogEntry& entry = cached_[index - cached_from];
    bytes += EntryBytes(entry);
    if (!entries.empty() && bytes > max_bytes) break;
    entries.push_back(entry);
  }
  return entries;
}

void LogView::OnApplied(LogIndex index) {
  CHECK_INVARIANT(index <= durable_, "only durable entries are applied");
  if (index <= applied_) return;
  LogIndex cached_from = last_.index + 1 - cached_.size();
  for (LogIndex i = std::max(applied_ + 1, cached_from); i <= index; ++i) {
    unapplied_bytes_ -= EntryBytes(cached_[i - cached_from]);
  }
  applied_ = index;
  while (cached_bytes_ > bounds_.cached_bytes && !cached_.empty() &&
         cached_.front().index <= index) {
    cached_bytes_ -= EntryBytes(cached_.front());
    cached_.pop_front();
  }
}

void LogView::CheckInvariants() const {
  CHECK_INVARIANT(base_.index <= durable_ && durable_ <= issued_ && issued_ <= last_.index,
                  "base <= durable <= issued <= last");
  CHECK_INVARIANT(incomplete_.empty() || incomplete_.begin()->first > issued_,
                  "no incomplete entry has been handed to the disk (I4)");
  CHECK_INVARIANT(last_.index - durable_ <= cached_.size(), "what is not durable is in memory");
  CHECK_INVARIANT(EpochAt(last_.index) == last_.epoch, "the last epoch run holds the last entry");
  for (size_t i = 1; i < runs_.size(); ++i) {
    CHECK_INVARIANT(runs_[i - 1].first < runs_[i].first && runs_[i - 1].epoch < runs_[i].epoch,
                    "epochs ascend along the log");
  }
  LogIndex expected = last_.index + 1 - cached_.size();
  size_t unapplied = 0;
  for (const storage::LogEntry& entry : cached_) {
    CHECK_INVARIANT(entry.index == expected && EpochAt(entry.index) == entry.epoch,
                    "cached entries are the log's last");
    if (expected > applied_) unapplied += EntryBytes(entry);
    ++expected;
  }
  CHECK_INVARIANT(unapplied == unapplied_bytes_, "the bytes above the applied entry are counted");
}

}  // namespace meridian::replication
