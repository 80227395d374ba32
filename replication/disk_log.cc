#include "replication/disk_log.h"

#include <iterator>
#include <utility>

namespace meridian::replication {
namespace {
// Of about 1 MiB each.
constexpr size_t kMaxReads = 4;
constexpr size_t kMaxQueued = 16;
}  // namespace

absl::StatusOr<std::vector<storage::LogEntry>> DiskLog::ReadLog(LogIndex first, LogIndex last,
                                                                size_t max_bytes) const {
  auto read = reads_.find(first);
  if (read == reads_.end()) {
    if (queue_.size() >= kMaxQueued) {
      tell_ = true;
      return ReadUnderWay();
    }
    read = reads_.emplace(first, Read{++last_id_, last, max_bytes}).first;
    queue_.push_back(first);
    StartSome();
  }
  if (!read->second.result) return ReadUnderWay();
  auto result = *std::move(read->second.result);
  reads_.erase(read);
  StartSome();
  // Both pass: the log has changed, or much is being read.
  if (absl::IsAborted(result.status()) || absl::IsResourceExhausted(result.status())) {
    tell_ = true;
    return ReadUnderWay();
  }
  if (!result.ok()) return result;
  while (!result->empty() && result->back().index > last) result->pop_back();
  return result;
}

void DiskLog::StartSome() const {
  while (!queue_.empty() && reads_.size() - queue_.size() < kMaxReads) {
    const LogIndex first = queue_.front();
    queue_.pop_front();
    Start(first);
  }
}

void DiskLog::Start(LogIndex first) const {
  const Read& read = reads_.at(first);
  starting_ = true;
  storage_.ReadLogLater(first, read.last, read.max_bytes, [this, first, id = read.id](auto result) {
    auto read = reads_.find(first);
    if (read == reads_.end() || read->second.id != id) return;
    read->second.result = std::move(result);
    if (!starting_) return ready_();
    tell_ = true;  // unless whoever asks now takes it
  });
  starting_ = false;
}

void DiskLog::Tick() {
  for (auto it = reads_.begin(); it != reads_.end();) {
    Read& read = it->second;
    const bool unwanted = read.result.has_value() && std::exchange(read.aged, true);
    it = unwanted ? reads_.erase(it) : std::next(it);
  }
  StartSome();
  if (std::exchange(tell_, false)) ready_();
}

}  // namespace meridian::replication
