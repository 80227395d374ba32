// What replication applies committed entries to.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "storage/kv.h"
#include "storage/log_entry.h"

namespace meridian::storage {

// Above every key of a state machine.
inline constexpr std::string_view kEndOfKeys = "\xff";

// Deterministic: the same entries on the same state give the same batch and outcome everywhere.
class StateMachine {
 public:
  virtual ~StateMachine() = default;

  // Computes the effect of one committed kCommand entry on `state` (which holds all earlier
  // entries), and adds it to `batch`. The outcome, a refusal too, is for the proposer (P5). An
  // error means that the state cannot be read or the entry not understood: the replica stops.
  virtual absl::StatusOr<std::string> Apply(const LogEntry& entry, const KvReader& state,
                                            KvBatch& batch) const = 0;

  // Chunks that the whole state references: what a snapshot's receiver must hold. Calls `visit` for
  // each; stops at its first error. Each row tells its own chunks: over a reader that holds only
  // some rows of a state, it visits what these reference (a snapshot arrives in pieces).
  virtual absl::Status VisitChunks(
      const KvReader& state, const std::function<absl::Status(const ChunkRange&)>& visit) const = 0;

  // A run that may be freed (P8), and the local change that forgets it.
  struct Garbage {
    RunId run;
    KvBatch forget;
  };
  // Up to `max_runs` runs whose last reference was dropped by an entry with index <= `up_to`,
  // oldest first, leaving out those that `held` names (a running read still needs them).
  virtual absl::StatusOr<std::vector<Garbage>> CollectGarbage(
      const KvReader& state, LogIndex up_to, size_t max_runs,
      const std::function<bool(RunId)>& held) const = 0;

  // Whether the state references a run, or remembers it as aborted or as garbage.
  virtual absl::StatusOr<bool> KnowsRun(const KvReader& state, RunId run) const = 0;

  // SHA-256 over everything that replicas must agree on in the rows with keys in [first, end).
  virtual absl::StatusOr<std::string> DigestRange(const KvReader& state, std::string_view first,
                                                  std::string_view end) const = 0;
  // Of the whole state.
  absl::StatusOr<std::string> Digest(const KvReader& state) const {
    return DigestRange(state, "", kEndOfKeys);
  }

  // Tells which rows of the state another replica gets in a snapshot: not what is this replica's
  // own affair.
  using RowFilter =
      std::function<absl::StatusOr<bool>(std::string_view key, std::string_view value)>;
  virtual absl::StatusOr<RowFilter> SnapshotRows(const KvReader& state) const = 0;

  // The next local change of those that remove rows which no longer count (they moved in a split);
  // looks at up to `max_rows`. nullopt: there are none.
  virtual absl::StatusOr<std::optional<KvBatch>> CleanUp(const KvReader& state,
                                                         size_t max_rows) const = 0;
};

}  // namespace meridian::storage
