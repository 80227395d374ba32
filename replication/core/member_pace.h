// How fast each voter of a group makes durable what the leader appends: now and then one entry is
// timed, on all of them. So a leader whose disk has become slow finds out that others would do
// better. Pure.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <vector>

#include "absl/time/time.h"
#include "base/id.h"
#include "base/strong_int.h"
#include "replication/core/group_config.h"

namespace meridian::replication {

// Of one leadership. Not thread-safe.
class MemberPace {
 public:
  // A voter is slow in a round if it takes so many times longer than the fastest one, and longer by
  // so much: disks differ, and what nobody notices is no reason for a change.
  static constexpr int kTimesSlower = 8;
  static constexpr absl::Duration kLeastDelay = absl::Milliseconds(100);
  // A round begins so long after the one before at the earliest, and ends after this at the latest,
  // for whoever has not come to its end too.
  static constexpr absl::Duration kRoundInterval = absl::Seconds(1);
  static constexpr absl::Duration kRoundLimit = absl::Seconds(2);
  // One that was slow in all of so many rounds is slow. One round in which it was not ends that.
  static constexpr size_t kSlowRounds = 10;
  // What the last round told counts for so long: a group that nobody writes to measures nothing.
  static constexpr absl::Duration kLately = absl::Seconds(10);

  // Durable at a voter up to there.
  using DurableIndex = std::function<LogIndex(ReplicaId)>;
  // To be called after each change of what is durable, and whenever the leader has appended: its
  // log ends at `last` now.
  void Advance(const std::vector<Member>& voters, const DurableIndex& durable, LogIndex last,
               absl::Duration now);

  bool IsSlow(ReplicaId voter, absl::Duration now) const {
    return now < ended_ + kLately && SlowRounds(voter) >= kSlowRounds;
  }
  bool WasSlowLately(ReplicaId voter, absl::Duration now) const {
    return now < ended_ + kLately && SlowRounds(voter) > 0;
  }
  // Of the last round; nil before its end.
  ReplicaId fastest() const { return fastest_; }

 private:
  size_t SlowRounds(ReplicaId voter) const;
  void EndRound(const std::vector<Member>& voters, absl::Duration now);

  LogIndex last_;  // of the log, when last asked
  // Of the round under way: the entry, when it was appended, and who has it after how long. 0:
  // none.
  LogIndex timed_;
  absl::Duration begun_ = -absl::InfiniteDuration();
  std::map<ReplicaId, absl::Duration> taken_;
  // In succession, up to the last round, which ended then.
  std::map<ReplicaId, size_t> slow_rounds_;
  absl::Duration ended_ = -absl::InfiniteDuration();
  ReplicaId fastest_;
};

}  // namespace meridian::replication
