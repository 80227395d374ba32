// How the comparison of the replicas of each group led here stands.
#pragma once

#include <map>
#include <optional>
#include <set>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/id.h"
#include "replication/replica.h"

namespace meridian::server {

// Of one group, as its leader knows it: forgotten when another leads.
struct GroupScrub {
  // Of the pass over its state that is under way, or was the last.
  absl::Time pass_begin = absl::InfinitePast();
  // End of the last whole pass.
  absl::Time last_compared = absl::InfinitePast();
  // Voters whose state is not that of the others: in the last whole pass, or in this one so far.
  std::set<ReplicaId> differing;
  // Voters that did not answer for all of it in the last whole pass.
  std::set<ReplicaId> uncompared;
};

// Thread-safe.
class GroupScrubs {
 public:
  void Set(PartitionId partition, const GroupScrub& scrub) {
    absl::MutexLock lock(&mutex_);
    scrubs_[partition] = scrub;
  }
  void Forget(PartitionId partition) {
    absl::MutexLock lock(&mutex_);
    scrubs_.erase(partition);
  }
  std::optional<GroupScrub> Find(PartitionId partition) const {
    absl::MutexLock lock(&mutex_);
    const auto found = scrubs_.find(partition);
    return found == scrubs_.end() ? std::nullopt : std::optional(found->second);
  }

 private:
  mutable absl::Mutex mutex_;
  std::map<PartitionId, GroupScrub> scrubs_ ABSL_GUARDED_BY(mutex_);
};

// What a comparison of one part of the state says of the voters. Those differ whose hash is not
// that of more than half of all voters; all that answered, if there are several hashes and no such
// majority.
struct ComparisonVerdict {
  std::set<ReplicaId> differing;
  std::set<ReplicaId> uncompared;  // without a hash
};
ComparisonVerdict Judge(const replication::StateComparison& comparison);

}  // namespace meridian::server
