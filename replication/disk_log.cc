#include "replication/disk_log.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace meridian::replication {
namespace {
// Of about 1 MiB each.
constexpr size_t kMaxReads = 4;
}  // namespace

absl::StatusOr<std::vector<storage::LogEntry>> DiskLog::ReadLog(LogIndex first, LogIndex last,
                                                                size_t max_bytes) const {
  auto read = reads_.find(first);
  if (read == reads_.end()) {
    if (!MakeRoom()) return ReadUnderWay();
    Start(first, last, max_bytes);
    read = reads_.find(first);
  }
  if (!read->second.result) return ReadUnderWay();
  auto result = *std::move(read->second.result);
  reads_.erase(read);
  // Both pass: the log has changed, or much is being read.
  if (absl::IsAborted(result.status()) || absl::IsResourceExhausted(result.status())) {
    return ReadUnderWay();
  }
  if (!result.ok()) return result;
  while (!result->empty() && result->back().index > last) result->pop_back();
  return result;
}

void DiskLog::Start(LogIndex first, LogIndex last, size_t max_bytes) const {
  const uint64_t id = starting_ = ++last_id_;
  reads_[first].id = id;
  storage_.ReadLogLater(first, last, max_bytes, [this, first, id](auto result) {
    auto read = reads_.find(first);
    if (read == reads_.end() || read->second.id != id) return;
    read->second.result = std::move(result);
    if (starting_ != id) ready_();
  });
  starting_ = 0;
}

bool DiskLog::MakeRoom() const {
  if (reads_.size() < kMaxReads) return true;
  auto done = std::find_if(reads_.begin(), reads_.end(),
                           [](const auto& read) { return read.second.result.has_value(); });
  if (done == reads_.end()) return false;
  reads_.erase(done);
  return true;
}

void DiskLog::Tick() {
  for (auto it = reads_.begin(); it != reads_.end();) {
    Read& read = it->second;
    const bool unwanted = read.result.has_value() && std::exchange(read.aged, true);
    it = unwanted ? reads_.erase(it) : std::next(it);
  }
}

}  // namespace meridian::replication
