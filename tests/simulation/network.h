// The network between nodes: loses, delays, duplicates, reorders and cuts.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <utility>

#include "absl/time/time.h"
#include "base/id.h"
#include "base/random.h"
#include "replication/transport.h"
#include "tests/simulation/executor.h"

namespace meridian::simulation {

struct LinkQuality {
  // Each a probability of a message.
  double loss = 0;
  double duplication = 0;
  // It takes up to `straggle` longer than the others: they overtake it.
  double straggling = 0;
  absl::Duration min_delay = absl::Microseconds(200);
  absl::Duration max_delay = absl::Milliseconds(2);
  absl::Duration straggle = absl::Milliseconds(800);
};

struct NetworkTotals {
  uint64_t delivered = 0;
  uint64_t dropped = 0;
  uint64_t duplicated = 0;
  uint64_t reordered = 0;  // delivered after one that was sent later
};

// A planted bug: changes a message on its delivery.
using MessageTamper = std::function<void(replication::PeerMessage&)>;

// Not thread-safe.
class Network {
 public:
  // Both outlive the network and its transports.
  Network(Scheduler& scheduler, Random& random);
  ~Network();

  // Lives as long as the network.
  replication::Transport& TransportOf(const NodeId& node);
  // The node takes messages, those on their way from before too, until Disconnect.
  void Connect(const NodeId& node, replication::PeerMessageHandler handler);
  void Disconnect(const NodeId& node);

  void SetQuality(const LinkQuality& quality) { quality_ = quality; }
  // One way only.
  void Cut(const NodeId& from, const NodeId& to) { LinkOf(from, to).is_cut = true; }
  void MendAll();

  void TamperWith(MessageTamper tamper) { tamper_ = std::move(tamper); }

  const NetworkTotals& totals() const { return totals_; }

 private:
  class Endpoint;
  struct Link {
    NodeId from;
    Endpoint* to = nullptr;
    bool is_cut = false;
    uint64_t sent = 0;
    uint64_t newest_delivered = 0;
  };

  Endpoint& EndpointOf(const NodeId& node);
  // Its place is the same for good.
  Link& LinkOf(const NodeId& from, const NodeId& to);
  void Send(Link& link, replication::PeerMessage message);
  void Deliver(Link& link, uint64_t number, replication::PeerMessage message);
  bool Chance(double probability);
  absl::Duration UpTo(absl::Duration limit);

  Scheduler& scheduler_;
  Random& random_;
  LinkQuality quality_;
  std::map<NodeId, std::unique_ptr<Endpoint>> endpoints_;
  MessageTamper tamper_;
  NetworkTotals totals_;
};

}  // namespace meridian::simulation
