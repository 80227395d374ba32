// Compares a part of the replicas' states by hash, all right after the same entry was applied: what
// they say then is equal, or one of them is wrong. As the leader it asks; as a member it answers
// when it gets to the entry.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/strong_int.h"
#include "replication/digester.h"
#include "replication/peer_link.h"
#include "replication/replica.h"
#include "replication/wire.h"
#include "storage/kv.h"

namespace meridian::replication {

// Confined to the replica's strand.
class StateComparer {
 public:
  struct Hooks {
    // Of the state as it is now.
    std::function<std::unique_ptr<storage::KvReader>()> view;
    std::function<absl::Duration()> now;
  };
  // The rows with keys in [first, end), after `index` was applied.
  struct Part {
    LogIndex index;
    std::string first;
    std::string end;
  };
  using Done = std::function<void(absl::StatusOr<StateComparison>)>;

  StateComparer(const PeerLink& peers, Digester& digester, Hooks hooks)
      : peers_(peers), digester_(digester), hooks_(std::move(hooks)) {}

  // `voters` may hold this replica, which stands at `applied`. RESOURCE_EXHAUSTED: too many are
  // under way.
  void Compare(const std::set<ReplicaId>& voters, const Part& part, LogIndex applied, Done done);
  void OnRequest(ReplicaId from, const DigestRequest& request, LogIndex applied, bool installing);
  void OnReply(ReplicaId from, const DigestReply& reply);
  // After every entry, before the next one is applied; and after an install.
  void OnApplied(LogIndex applied);
  // Gives up what has waited for too long.
  void Tick();
  void FailAll(const absl::Status& reason);

 private:
  using Digested = std::function<void(const absl::StatusOr<std::string>&)>;
  struct Waiting {
    Part part;
    absl::Duration deadline;
    Digested done;
  };
  struct Comparison {
    StateComparison result;
    std::set<ReplicaId> missing;
    absl::Duration deadline;
    Done done;
  };

  // Calls `done` once the part can be hashed, or cannot any more.
  void Digest(const Part& part, LogIndex applied, Digested done);
  void Compute(const Part& part, const Digested& done);
  void Answered(uint64_t id, ReplicaId voter, const absl::StatusOr<std::string>& digest);

  const PeerLink& peers_;
  Digester& digester_;
  const Hooks hooks_;
  uint64_t last_id_ = 0;
  std::multimap<LogIndex, Waiting> waiting_;
  std::map<uint64_t, Comparison> comparisons_;
};

}  // namespace meridian::replication
