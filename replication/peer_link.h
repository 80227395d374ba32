// Sends to the other replicas of a group by replica id.
#pragma once

#include <deque>
#include <map>
#include <vector>

#include "base/id.h"
#include "replication/core/group_config.h"
#include "replication/transport.h"
#include "replication/wire.h"

namespace meridian::replication {

// Confined to the replica's strand.
class PeerLink {
 public:
  PeerLink(PartitionId partition, ReplicaId self, Transport& transport)
      : partition_(partition), self_(self), transport_(transport) {}

  const ReplicaId& self() const { return self_; }

  // Where the members of `config` live. The last of earlier ones stay known: they may still ask, or
  // be asked.
  void Learn(const GroupConfig& config);

  // Dropped if it is not known where `to` lives.
  void Send(ReplicaId to, const PeerBody& body) const;

  // Voters and learners of the newest configuration, without this replica.
  const std::vector<ReplicaId>& peers() const { return peers_; }
  // The last few that were peers and are not any more, as far as this process knows.
  const std::deque<ReplicaId>& left() const { return left_; }
  bool HasLeft(ReplicaId replica, const NodeId& node) const;

 private:
  const PartitionId partition_;
  const ReplicaId self_;
  Transport& transport_;
  std::map<ReplicaId, NodeId> nodes_;
  std::vector<ReplicaId> peers_;
  std::deque<ReplicaId> left_;
};

}  // namespace meridian::replication
