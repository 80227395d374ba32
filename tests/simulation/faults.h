// What goes wrong: a random fault every few hundred milliseconds, each for a while, some at the
// same time.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "absl/time/time.h"
#include "base/random.h"
#include "tests/simulation/cluster.h"

namespace meridian::simulation {

// Not thread-safe.
class Faults {
 public:
  // `cluster` outlives the faults and the scheduler's events; so do these.
  Faults(Cluster& cluster, uint64_t seed);

  void Start();
  // Ends every fault and begins no other: all nodes run, everything reaches everything.
  void Heal();

 private:
  void StrikeLater();
  void Strike();
  // Runs `undo` after `duration`, unless Heal comes first.
  void UndoAfter(absl::Duration duration, std::function<void()> undo);

  void CrashOneNode();
  void CrashAllNodes();
  // One member is cut off; then the two others lose power, one of them comes back late: what they
  // acknowledged must be found by the quorum that is left.
  void MoveQuorum();
  void PauseOneNode();
  void IsolateOneNode();
  void CutOneWay();
  void CutOnePair();
  void SplitInTwo();
  void DegradeNetwork();
  void SlowOneDisk();
  static void SetSlowness(Node& node, double factor);
  void JumpOneClock();
  void CoordinationOutage();
  void DegradeCoordination();
  void RotOneChunk();
  // One or two members of a group that no redundancy binds are to be replaced by new replicas on
  // other nodes, or all of them (P4).
  void MoveMembers();
  void MoveAllMembers();
  void DrainOneNode();
  // Of a group with learners or joint members: long enough for it to be suspended.
  void CutOffLeaderInAChange();

  // Null: what was drawn is no group any more, or (the second) is bound to a redundancy.
  const Group* AnyGroup();
  const Group* AnyUnboundGroup();
  Node& AnyNode();
  Node& OtherNode(const Node& node);
  void CutBothWays(const Node& a, const Node& b);
  absl::Duration Between(int64_t low_ms, int64_t high_ms);
  double UpTo(double limit);

  Cluster& cluster_;
  SeededRandom random_;
  // Of each container, where its chunks rot.
  std::vector<Node*> rotting_;
  bool healed_ = false;
};

}  // namespace meridian::simulation
