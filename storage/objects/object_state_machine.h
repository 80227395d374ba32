// The objects of one partition as a deterministic state machine over its log: versions, uploads,
// request ids, and which runs are referenced. The rows are listed in keys.h; the commands are those
// of records.proto.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "meridian/internal/v1/records.pb.h"
#include "storage/state_machine.h"

namespace meridian::objects {

// Must be the same on all replicas: they decide outcomes.
struct Limits {
  // For how long of commit time an outcome is remembered (P5), and an aborted run refused.
  absl::Duration retention = absl::Hours(24);
  // Outcomes are forgotten earlier, but not before this, when there are too many of them.
  absl::Duration min_retention = absl::Minutes(15);
  size_t max_requests = size_t{1} << 22;
  // How far a request id's creation time may be ahead of the commit time.
  absl::Duration max_request_ahead = absl::Minutes(15);
  size_t max_runs_per_upload = 1000;
};

// Thread-safe: it has no state of its own.
class ObjectStateMachine : public storage::StateMachine {
 public:
  explicit ObjectStateMachine(Limits limits = {}) : limits_(limits) {}

  // The outcome is an encoded meridian.internal.v1.Outcome.
  absl::StatusOr<std::string> Apply(const storage::LogEntry& entry, const storage::KvReader& state,
                                    storage::KvBatch& batch) const override;
  absl::Status VisitChunks(
      const storage::KvReader& state,
      const std::function<absl::Status(const storage::ChunkRange&)>& visit) const override;
  absl::StatusOr<std::vector<Garbage>> CollectGarbage(
      const storage::KvReader& state, LogIndex up_to, size_t max_runs,
      const std::function<bool(RunId)>& held) const override;
  absl::StatusOr<bool> KnowsRun(const storage::KvReader& state, RunId run) const override;
  absl::StatusOr<std::string> DigestRange(const storage::KvReader& state, std::string_view first,
                                          std::string_view end) const override;
  absl::StatusOr<RowFilter> SnapshotRows(const storage::KvReader& state) const override;
  absl::StatusOr<std::optional<storage::KvBatch>> CleanUp(const storage::KvReader& state,
                                                          size_t max_rows) const override;

 private:
  const Limits limits_;
};

}  // namespace meridian::objects
