// Messages between nodes. One long-lived stream for each pair of nodes carries those of all
// partitions, batched. By contract a message may be lost, late, overtaken by later ones, or
// delivered more than once (as after a reconnection): the protocol above tolerates all of it, and
// retries.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/buffer.h"
#include "base/id.h"

namespace meridian::replication {

struct PeerMessage {
  PartitionId partition;
  ReplicaId from;
  ReplicaId to;
  // The encoded proto meridian.internal.v1.PeerMessageBody.
  std::string body;
  // Bulk bytes that the body refers to by position (inline bodies, chunks); not copied on the way.
  std::vector<Buffer> attachments;
};

// Thread-safe.
class Transport {
 public:
  virtual ~Transport() = default;
  // Never blocks. Order is kept and duplicates do not arise while a stream lives, but neither is
  // promised. Messages are dropped while the node is out of reach or the queue to it is full.
  virtual void Send(const NodeId& to, PeerMessage message) = 0;
};

// Called on any thread; must not block.
using PeerMessageHandler = std::function<void(const NodeId& from, PeerMessage message)>;

}  // namespace meridian::replication
