#include "replication/peer_link.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace meridian::replication {
namespace {
// Silent ones cost a search its time.
constexpr size_t kMaxLeft = 4;
}  // namespace

void PeerLink::Learn(const GroupConfig& config) {
  const std::vector<ReplicaId> before = std::exchange(peers_, {});
  for (const auto* members : {&config.members, &config.joint_old, &config.learners}) {
    for (const Member& member : *members) {
      nodes_[member.replica] = member.node;
      bool known = std::find(peers_.begin(), peers_.end(), member.replica) != peers_.end();
      if (member.replica != self_ && !known) peers_.push_back(member.replica);
    }
  }
  if (peers_ == before) return;
  auto present = [this](const ReplicaId& replica) {
    return std::find(peers_.begin(), peers_.end(), replica) != peers_.end();
  };
  std::erase_if(left_, present);
  std::remove_copy_if(before.begin(), before.end(), std::back_inserter(left_), present);
  while (left_.size() > kMaxLeft) {
    nodes_.erase(left_.front());
    left_.pop_front();
  }
}

bool PeerLink::HasLeft(ReplicaId replica, const NodeId& node) const {
  if (std::find(left_.begin(), left_.end(), replica) == left_.end()) return false;
  return nodes_.at(replica) == node;
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
