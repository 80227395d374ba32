#include "replication/core/read_rounds.h"

#include <algorithm>

namespace meridian::replication {

bool ReadRounds::BeginIfDue(LogIndex commit) {
  if (waiting_.empty() || !under_way_.empty()) return false;
  ++current_;
  read_index_ = commit;
  under_way_.swap(waiting_);
  return true;
}

void ReadRounds::StartAgain() {
  waiting_.insert(waiting_.begin(), under_way_.begin(), under_way_.end());
  under_way_.clear();
}

void ReadRounds::Drop() {
  waiting_.clear();
  under_way_.clear();
}

void ReadRounds::OnEcho(ReplicaId from, uint64_t round) {
  if (round > current_) return;  // of an earlier leadership's numbering: not ours
  uint64_t& echoed = echoed_[from];
  echoed = std::max(echoed, round);
}

void ReadRounds::TakeConfirmed(const Quorum& quorum, ReplicaId self,
                               std::vector<ConfirmedRead>& out) {
  if (under_way_.empty()) return;
  bool confirmed = quorum.Reached([&](ReplicaId id) {
    if (id == self) return true;
    auto it = echoed_.find(id);
    return it != echoed_.end() && it->second == current_;
  });
  if (!confirmed) return;
  for (uint64_t id : under_way_) out.push_back({id, read_index_});
  under_way_.clear();
}

}  // namespace meridian::replication
