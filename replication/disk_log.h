// Reads what of a replica's log is no longer in memory, without holding up the strand.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "replication/core/log_view.h"
#include "storage/replica_storage.h"

namespace meridian::replication {

// Confined to the replica's strand. A few reads are under way or wait to be taken; others queue, in
// the order in which they were asked for, so that nobody is passed over. What was read and nobody
// came for is dropped after a while.
class DiskLog final : public LogReader {
 public:
  // `ready`: something that was found to be under way can be asked for again. Not called from
  // within ReadLog.
  DiskLog(const storage::ReplicaStorage& storage, std::function<void()> ready)
      : storage_(storage), ready_(std::move(ready)) {}

  absl::StatusOr<std::vector<storage::LogEntry>> ReadLog(LogIndex first, LogIndex last,
                                                         size_t max_bytes) const override;
  void Tick();

 private:
  struct Read {
    uint64_t id = 0;
    LogIndex last;
    size_t max_bytes = 0;
    std::optional<absl::StatusOr<std::vector<storage::LogEntry>>> result = {};
    bool aged = false;  // has seen a Tick since it was done
  };

  // Those that wait in the queue, as far as there is room.
  void StartSome() const;
  void Start(LogIndex first) const;

  const storage::ReplicaStorage& storage_;
  const std::function<void()> ready_;
  // Reading is const to the core; these remember what is under way, by the first entry.
  mutable std::map<LogIndex, Read> reads_;
  mutable std::deque<LogIndex> queue_;  // of reads_, not started
  mutable uint64_t last_id_ = 0;
  mutable bool starting_ = false;
  mutable bool tell_ = false;  // the next Tick calls ready_
};

}  // namespace meridian::replication
