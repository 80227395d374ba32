// Who a node talks to: by the certificate that its peer proved to have.
#pragma once

#include <memory>
#include <string>

#include "base/id.h"

namespace grpc {
class AuthContext;
class ChannelCredentials;
}  // namespace grpc

namespace meridian::replication {

// PEM.
struct NodeTls {
  std::string ca_certificate;
  std::string certificate;
  std::string private_key;
};

// Of a channel to `peer`, wherever it listens: a server that TLS has verified against the CA is
// accepted only if its certificate was issued to that node. Further names of a certificate, which
// are hosts that clients look for, make no node of it.
std::shared_ptr<grpc::ChannelCredentials> NodeChannelCredentials(const NodeTls& tls,
                                                                 const NodeId& peer);

// The node that the certificate of a call's other end was issued to; empty: it showed none.
NodeId NodeOfPeer(const grpc::AuthContext* context);

}  // namespace meridian::replication
