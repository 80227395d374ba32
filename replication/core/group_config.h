// The configuration of a group: one key in the coordination store, changed only by
// compare-and-swap.
#pragma once

#include <vector>

#include "base/id.h"
#include "base/strong_int.h"

namespace meridian::replication {

// Where a replica lives.
struct Member {
  ReplicaId replica;
  NodeId node;
  DiskId disk;
  bool operator==(const Member&) const = default;
};

struct GroupConfig {
  // Every swap raises it by one.
  Epoch epoch;
  // Nil until the group has been led for the first time, and, at a higher epoch, in a configuration
  // that an operator wrote after a quorum was lost for good (RecoveredConfig, P23).
  ReplicaId leader;
  // Of the process that swapped this configuration in (P1).
  SessionId session;
  // Voters. While joint_old is not empty, every quorum is one of members AND one of joint_old (P4).
  std::vector<Member> members;
  std::vector<Member> joint_old;
  // Receive the log, never vote.
  std::vector<Member> learners;
  bool operator==(const GroupConfig&) const = default;

  // Whether it has that replica, in any role, on that node.
  bool Names(ReplicaId replica, const NodeId& node) const {
    for (const auto* set : {&members, &joint_old, &learners}) {
      for (const Member& member : *set) {
        if (member.replica == replica && member.node == node) return true;
      }
    }
    return false;
  }
  // In any role, on any node.
  bool Names(ReplicaId replica) const {
    for (const auto* set : {&members, &joint_old, &learners}) {
      for (const Member& member : *set) {
        if (member.replica == replica) return true;
      }
    }
    return false;
  }
};

// The one that follows `lost`, of which no quorum will ever answer again: `survivor` is the only
// voter, with the log that it has; every other member is out, and comes back as a new replica only
// (P4, P23). Without a leader: the survivor swaps itself in.
inline GroupConfig RecoveredConfig(const GroupConfig& lost, const Member& survivor) {
  GroupConfig next;
  next.epoch = lost.epoch + 1;
  next.members.push_back(survivor);
  return next;
}

}  // namespace meridian::replication
