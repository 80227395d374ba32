#include "replication/core/member_pace.h"

#include <algorithm>
#include <utility>

namespace meridian::replication {

void MemberPace::Advance(const std::vector<Member>& voters, const DurableIndex& durable,
                         LogIndex last, absl::Duration now) {
  if (timed_ != LogIndex(0)) {
    bool all = true;
    for (const Member& voter : voters) {
      if (durable(voter.replica) >= timed_) {
        taken_.try_emplace(voter.replica, now - begun_);
      } else {
        all = false;
      }
    }
    if (all || now - begun_ >= kRoundLimit) EndRound(voters, now);
  }
  if (timed_ == LogIndex(0) && last > last_ && now >= begun_ + kRoundInterval) {
    timed_ = last;
    begun_ = now;
    taken_.clear();
  }
  last_ = last;
}

void MemberPace::EndRound(const std::vector<Member>& voters, absl::Duration now) {
  timed_ = LogIndex(0);
  ended_ = now;
  const auto time_of = [&](const Member& voter) {
    const auto taken = taken_.find(voter.replica);
    return taken == taken_.end() ? now - begun_ : taken->second;
  };
  const auto best =
      std::min_element(voters.begin(), voters.end(),
                       [&](const Member& a, const Member& b) { return time_of(a) < time_of(b); });
  if (best == voters.end()) return;
  fastest_ = best->replica;
  const absl::Duration least = time_of(*best);
  std::map<ReplicaId, size_t> slow;
  for (const Member& voter : voters) {
    const absl::Duration time = time_of(voter);
    if (time < least * kTimesSlower || time < least + kLeastDelay) continue;
    slow[voter.replica] = SlowRounds(voter.replica) + 1;
  }
  slow_rounds_ = std::move(slow);
}

size_t MemberPace::SlowRounds(ReplicaId voter) const {
  const auto rounds = slow_rounds_.find(voter);
  return rounds == slow_rounds_.end() ? 0 : rounds->second;
}

}  // namespace meridian::replication
