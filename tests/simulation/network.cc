#include "tests/simulation/network.h"

#include <algorithm>
#include <utility>

namespace meridian::simulation {

class Network::Endpoint final : public replication::Transport {
 public:
  Endpoint(Network& network, NodeId node) : network_(network), node_(std::move(node)) {}

  void Send(const NodeId& to, replication::PeerMessage message) override {
    network_.Send(node_, to, std::move(message));
  }

 private:
  Network& network_;
  const NodeId node_;
};

Network::Network(Scheduler& scheduler, Random& random) : scheduler_(scheduler), random_(random) {}
Network::~Network() = default;

replication::Transport& Network::TransportOf(const NodeId& node) {
  std::unique_ptr<Endpoint>& endpoint = endpoints_[node];
  if (endpoint == nullptr) endpoint = std::make_unique<Endpoint>(*this, node);
  return *endpoint;
}

void Network::Connect(const NodeId& node, replication::PeerMessageHandler handler) {
  handlers_[node] = std::move(handler);
}

void Network::Disconnect(const NodeId& node) { handlers_.erase(node); }

void Network::Send(const NodeId& from, const NodeId& to, replication::PeerMessage message) {
  scheduler_.Trace(message.body.size());
  if (IsCut(from, to) || Chance(quality_.loss)) {
    ++totals_.dropped;
    return;
  }
  const uint64_t number = ++links_[{from, to}].sent;
  const int copies = Chance(quality_.duplication) ? 2 : 1;
  totals_.duplicated += copies - 1;
  for (int copy = 0; copy < copies; ++copy) {
    absl::Duration delay = quality_.min_delay + UpTo(quality_.max_delay - quality_.min_delay);
    if (Chance(quality_.straggling)) delay += UpTo(quality_.straggle);
    scheduler_.After(delay,
                     [this, from, to, number, message] { Deliver(from, to, number, message); });
  }
}

void Network::Deliver(const NodeId& from, const NodeId& to, uint64_t number,
                      replication::PeerMessage message) {
  const auto handler = handlers_.find(to);
  if (handler == handlers_.end() || IsCut(from, to)) {
    ++totals_.dropped;
    return;
  }
  Link& link = links_[{from, to}];
  if (number < link.newest_delivered) ++totals_.reordered;
  link.newest_delivered = std::max(link.newest_delivered, number);
  ++totals_.delivered;
  if (tamper_) tamper_(message);
  handler->second(from, std::move(message));
}

bool Network::Chance(double probability) {
  return random_.Uniform(1 << 20) < probability * (1 << 20);
}

absl::Duration Network::UpTo(absl::Duration limit) {
  return absl::Nanoseconds(
      static_cast<int64_t>(random_.Uniform(1 + absl::ToInt64Nanoseconds(limit))));
}

}  // namespace meridian::simulation
