// One attempt of a replica to lead: probe, swap, fence, adopt (P1, P3, P4). Holds what the members
// answered; ReplicaCore acts on it.
//
//   kProbe  a quorum must say that it does not hear the leader either
//   kSwap   the configuration is being swapped in the coordination store
//   kFence  a quorum must promise the new epoch and tell where its log ends
//   kAdopt  the best log among them is being fetched
#pragma once

#include <map>
#include <optional>
#include <set>

#include "absl/time/time.h"
#include "base/id.h"
#include "base/strong_int.h"
#include "replication/core/messages.h"
#include "replication/core/quorum.h"

namespace meridian::replication {

class Campaign {
 public:
  enum class Stage { kProbe, kSwap, kFence, kAdopt };

  // A log that a member of the quorum has.
  struct Candidate {
    ReplicaId replica;
    LogPosition last;
    LogIndex base;
  };

  static Campaign Probing(uint64_t round) { return Campaign(Stage::kProbe, Epoch(0), round); }
  static Campaign Swapping(Epoch epoch) { return Campaign(Stage::kSwap, epoch, 0); }
  static Campaign Fencing(Epoch epoch) { return Campaign(Stage::kFence, epoch, 0); }

  Stage stage() const { return stage_; }
  // The epoch to lead; 0 while probing.
  Epoch epoch() const { return epoch_; }
  uint64_t round() const { return round_; }

  void OnProbeReply(ReplicaId from, const ProbeReply& reply);
  bool ProbeWon(const Quorum& quorum, ReplicaId self) const;

  void OnFenceReply(ReplicaId from, const FenceReply& reply);
  // `self_promised`: this replica's own promise is durable.
  bool FenceWon(const Quorum& quorum, ReplicaId self, bool self_promised) const;

  // The best log heard of that is better than `own`; nullopt if none is. Replicas with a cut-off
  // install are never adopted from (P6).
  std::optional<Candidate> BestAbove(LogPosition own) const;

  void BeginAdopt(const Candidate& donor) {
    stage_ = Stage::kAdopt;
    donor_ = donor;
  }
  const Candidate& donor() const { return donor_; }
  // Of kAdopt: what to ask the donor for next.
  LogPosition fetch_prev;

  // When the stage is given up, and when its messages are sent again.
  absl::Duration deadline;
  absl::Duration resend_at;

 private:
  Campaign(Stage stage, Epoch epoch, uint64_t round)
      : stage_(stage), epoch_(epoch), round_(round) {}

  Stage stage_;
  Epoch epoch_;
  uint64_t round_;
  std::set<ReplicaId> in_favour_;
  std::map<ReplicaId, Candidate> logs_;  // of members that are not installing
  Candidate donor_;
};

}  // namespace meridian::replication
