// Clients that wait for a proposal to be applied or a read to be confirmed.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/histogram.h"
#include "base/strong_int.h"
#include "replication/core/messages.h"
#include "replication/core/read_rounds.h"
#include "replication/replica.h"

namespace meridian::replication {

// Proposals in the log of this leader. Confined to the replica's strand; callbacks are called from
// within its calls.
class ProposalWaiters {
 public:
  using Done = std::function<void(absl::StatusOr<Applied>)>;

  // `begun`: when it was proposed.
  void Add(LogPosition position, absl::Duration begun, absl::Duration deadline, Done done);
  // The entry at `position` was applied.
  void OnApplied(LogPosition position, Timestamp timestamp, std::string outcome,
                 absl::Duration now);
  void Tick(absl::Duration now);
  void FailAll(const absl::Status& reason);
  size_t size() const { return waiting_.size(); }
  // Of those that were applied, in microseconds.
  HistogramCounts latency() const { return latency_.Read(); }

 private:
  // Fewer than kLatencyBounds: a node has many groups.
  static constexpr uint64_t kCommitLatencyBounds[] = {
      500, 1'000, 2'500, 5'000, 10'000, 25'000, 100'000, 250'000, 500'000, 1'000'000, 5'000'000};
  struct Waiting {
    Epoch epoch;
    absl::Duration begun;
    absl::Duration deadline;
    Done done;
  };
  std::map<LogIndex, Waiting> waiting_;
  Histogram latency_{kCommitLatencyBounds};
};

// Reads that wait for a round of the quorum, then for the state to reach what it confirmed.
class ReadWaiters {
 public:
  using Done = std::function<void(absl::Status)>;

  // The id to confirm.
  uint64_t Add(absl::Duration deadline, Done done);
  void OnConfirmed(const ConfirmedRead& read);
  void OnApplied(LogIndex applied);
  void Tick(absl::Duration now);
  void FailAll(const absl::Status& reason);
  size_t size() const { return waiting_.size(); }

 private:
  struct Waiting {
    absl::Duration deadline;
    Done done;
  };
  std::map<uint64_t, Waiting> waiting_;
  std::multimap<LogIndex, uint64_t> confirmed_;
  uint64_t last_id_ = 0;
};

}  // namespace meridian::replication
