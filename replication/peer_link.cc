#include "replication/peer_link.h"

#include <algorithm>
#include <utility>

namespace meridian::replication {

void PeerLink::Learn(const GroupConfig& config) {
  peers_.clear();
  for (const auto* members : {&config.members, &config.joint_old, &config.learners}) {
    for (const Member& member : *members) {
      nodes_[member.replica] = member.node;
      bool known = std::find(peers_.begin(), peers_.end(), member.replica) != peers_.end();
      if (member.replica != self_ && !known) peers_.push_back(member.replica);
    }
  }
}

void PeerLink::Send(ReplicaId to, const PeerBody& body) const {
  auto node = nodes_.find(to);
  if (node == nodes_.end()) return;
  EncodedBody encoded = EncodeBody(body);
  PeerMessage message;
  message.partition = partition_;
  message.from = self_;
  message.to = to;
  message.body = std::move(encoded.body);
  message.attachments = std::move(encoded.attachments);
  transport_.Send(node->second, std::move(message));
}

}  // namespace meridian::replication
