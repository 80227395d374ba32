// Counts quorums of a group's voters. While the membership is joint, a quorum is a majority of the
// members AND a majority of the old members (P4); learners are never counted.
#pragma once

#include <functional>
#include <vector>

#include "base/id.h"
#include "base/strong_int.h"
#include "replication/core/group_config.h"

namespace meridian::replication {

// Immutable.
class Quorum {
 public:
  explicit Quorum(const GroupConfig& config);

  // Whether the voters for which `has` is true form a quorum of each set.
  bool Reached(const std::function<bool(ReplicaId)>& has) const;

  // The highest index that a quorum of each set has reached, where `index` tells a voter's.
  LogIndex HighestReached(const std::function<LogIndex(ReplicaId)>& index) const;

  bool IsVoter(ReplicaId replica) const;

  // Members of either set, each once.
  const std::vector<ReplicaId>& voters() const { return voters_; }

 private:
  // One or two; none is empty.
  std::vector<std::vector<ReplicaId>> sets_;
  std::vector<ReplicaId> voters_;
};

}  // namespace meridian::replication
