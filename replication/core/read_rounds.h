// Confirms leadership for reads by quorum rounds: a member that echoes round r had promised no
// higher epoch after r was begun. Reads that arrive while a round is under way share the next one.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "base/id.h"
#include "base/strong_int.h"
#include "replication/core/quorum.h"

namespace meridian::replication {

struct ConfirmedRead {
  uint64_t read_id = 0;
  // The read may be served once this index is applied.
  LogIndex index;
};

class ReadRounds {
 public:
  void Add(uint64_t read_id) { waiting_.push_back(read_id); }

  // Begins a round for the reads that wait, unless one is under way. `commit` is the commit index.
  // Returns whether it did: the members have to be asked.
  bool BeginIfDue(LogIndex commit);
  uint64_t current() const { return current_; }

  // The reads of a round under way wait for another.
  void StartAgain();

  // Forgets every read; rounds go on being numbered upwards, so that no earlier echo counts later.
  void Drop();

  void OnEcho(ReplicaId from, uint64_t round);

  // Adds the reads that a quorum, `self` included, has confirmed.
  void TakeConfirmed(const Quorum& quorum, ReplicaId self, std::vector<ConfirmedRead>& out);

 private:
  uint64_t current_ = 0;
  LogIndex read_index_;  // of the current round
  std::vector<uint64_t> waiting_;
  std::vector<uint64_t> under_way_;
  std::map<ReplicaId, uint64_t> echoed_;
};

}  // namespace meridian::replication
