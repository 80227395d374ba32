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
  // Nil until the group has been led for the first time.
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
};

}  // namespace meridian::replication
