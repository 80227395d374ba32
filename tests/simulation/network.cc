#include "tests/simulation/network.h"

#include <algorithm>
#include <utility>

namespace meridian::simulation {

class Network::Endpoint final : public replication::Transport {
 public:
  Endpoint(Network& network, NodeId node) : network_(network), node_(std::move(node)) {}

  void Send(const NodeId& to, replication::PeerMessage message) override {
    network_.Send(LinkTo(to), std::move(message));
  }

  Link& LinkTo(const NodeId& to) {
    const auto [link, is_new] = links_.try_emplace(to);
    if (is_new) link->second = {.from = node_, .to = &network_.EndpointOf(to)};
    return link->second;
  }

  std::map<NodeId, Link>& links() { return links_; }

  // Empty: the node is down.
  replication::PeerMessageHandler handler;

 private:
  Network& network_;
  const NodeId node_;
  std::map<NodeId, Link> links_;
};

Network::Network(Scheduler& scheduler, Random& random) : scheduler_(scheduler), random_(random) {}
Network::~Network() = default;

Network::Endpoint& Network::EndpointOf(const NodeId& node) {
  std::unique_ptr<Endpoint>& endpoint = endpoints_[node];
  if (endpoint == nullptr) endpoint = std::make_unique<Endpoint>(*this, node);
  return *endpoint;
}

Network::Link& Network::LinkOf(const NodeId& from, const NodeId& to) {
  return EndpointOf(from).LinkTo(to);
}

replication::Transport& Network::TransportOf(const NodeId& node) { return EndpointOf(node); }

void Network::Connect(const NodeId& node, replication::PeerMessageHandler handler) {
  EndpointOf(node).handler = std::move(handler);
}

void Network::Disconnect(const NodeId& node) { EndpointOf(node).handler = nullptr; }

void Network::MendAll() {
  for (const auto& [node, endpoint] : endpoints_) {
    for (auto& [to, link] : endpoint->links()) link.is_cut = false;
  }
}

void Network::Send(Link& link, replication::PeerMessage message) {
  scheduler_.Trace(message.body.size());
  if (link.is_cut || Chance(quality_.loss)) {
    ++totals_.dropped;
    return;
  }
  const uint64_t number = ++link.sent;
  const int copies = Chance(quality_.duplication) ? 2 : 1;
  totals_.duplicated += copies - 1;
  for (int copy = 0; copy < copies; ++copy) {
    absl::Duration delay = quality_.min_delay + UpTo(quality_.max_delay - quality_.min_delay);
    if (Chance(quality_.straggling)) delay += UpTo(quality_.straggle);
    scheduler_.After(delay, [this, &link, number, message]() mutable {
      Deliver(link, number, std::move(message));
    });
  }
}

void Network::Deliver(Link& link, uint64_t number, replication::PeerMessage message) {
  if (link.to->handler == nullptr || link.is_cut) {
    ++totals_.dropped;
    return;
  }
  if (number < link.newest_delivered) ++totals_.reordered;
  link.newest_delivered = std::max(link.newest_delivered, number);
  ++totals_.delivered;
  if (tamper_) tamper_(message);
  link.to->handler(link.from, std::move(message));
}

bool Network::Chance(double probability) {
  return random_.Uniform(1 << 20) < probability * (1 << 20);
}

absl::Duration Network::UpTo(absl::Duration limit) {
  return absl::Nanoseconds(
      static_cast<int64_t>(random_.Uniform(1 + absl::ToInt64Nanoseconds(limit))));
}

}  // namespace meridian::simulation
