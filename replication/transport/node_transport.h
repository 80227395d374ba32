// The real Transport: gRPC over mutual TLS, one bidirectional stream for each pair of nodes.
//
// The node with the smaller id dials. Whatever is queued for a node goes out in one envelope of up
// to about max_batch_bytes, so batches grow as the load does. While a node is out of reach, what is
// sent to it is dropped: the protocol above retries.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/executor.h"
#include "base/id.h"
#include "base/random.h"
#include "replication/transport.h"

namespace grpc {
class Service;
namespace experimental {
class CertificateProviderInterface;
class ServerInterceptorFactoryInterface;
}  // namespace experimental
}  // namespace grpc

namespace meridian::replication {

struct NodeTransportOptions {
  ClusterId cluster;
  NodeId self;
  // PEM. The certificate was issued to `self`, by the CA that all nodes have theirs of.
  std::string ca_certificate;
  std::string certificate;
  std::string private_key;
  // What counts instead, at each handshake; null: the above. See NodeTls.
  std::shared_ptr<grpc::experimental::CertificateProviderInterface> renewed = nullptr;
  std::string listen_address = "127.0.0.1:0";
  // Served on the same port, to all that have a certificate of the CA: they check whose. They
  // outlive the transport.
  std::vector<grpc::Service*> services;
  // Makes what sees these services' calls; what it makes sees this transport's streams, too. Null:
  // nothing does.
  std::function<
      std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>>()>
      interceptors;
  size_t max_batch_bytes = 1 << 20;
  // To one peer. Messages with attachments are refused from half of it on, so that bulk never
  // displaces the small ones that keep a group together.
  size_t max_queue_bytes = 32 << 20;
  absl::Duration min_redial_delay = absl::Milliseconds(50);
  absl::Duration max_redial_delay = absl::Seconds(1);
};

struct PeerLinkStatus {
  bool connected = false;
  uint64_t sent_messages = 0;
  uint64_t sent_envelopes = 0;
  uint64_t received_messages = 0;
  // Out of reach, queue full, or too large to be sent at all.
  uint64_t dropped_messages = 0;
  // Why the last stream ended; empty if none has.
  std::string last_error;
};

// Thread-safe. The destructor ends all streams; the handler does not run after it.
class NodeTransport : public Transport {
 public:
  // Where the server listens.
  virtual std::string listen_address() const = 0;
  // Tells where a peer listens now; a changed address is dialled anew. Of a peer with a smaller id
  // nothing has to be known: it dials.
  virtual void SetPeerAddress(const NodeId& peer, const std::string& address) = 0;
  virtual PeerLinkStatus GetLinkStatus(const NodeId& peer) const = 0;
};

// `timers` and `random` outlive the transport. UNAVAILABLE if the address cannot be listened on.
absl::StatusOr<std::unique_ptr<NodeTransport>> StartNodeTransport(NodeTransportOptions options,
                                                                  Executor& timers, Random& random,
                                                                  PeerMessageHandler handler);

}  // namespace meridian::replication
