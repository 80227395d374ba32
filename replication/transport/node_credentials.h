// Who a node talks to: by the certificate that its peer proved to have.
#pragma once

#include <memory>
#include <string>

#include "base/id.h"

namespace grpc {
class AuthContext;
class ChannelCredentials;
class ServerCredentials;
namespace experimental {
class CertificateProviderInterface;
}  // namespace experimental
}  // namespace grpc

namespace meridian::replication {

using CertificateProvider = std::shared_ptr<grpc::experimental::CertificateProviderInterface>;

// PEM.
struct NodeTls {
  std::string ca_certificate;
  std::string certificate;
  std::string private_key;
  // What counts instead, at each handshake (RenewCertificates); null: the above.
  CertificateProvider renewed = nullptr;
};

// Of a server's port: whether it demands that clients have a certificate of the CA.
enum class ClientCertificates { kNone, kRequired };
std::shared_ptr<grpc::ServerCredentials> NodeServerCredentials(const NodeTls& tls,
                                                               ClientCertificates clients);

// Of a channel to `peer`, wherever it listens: a server that TLS has verified against the CA is
// accepted only if its certificate was issued to that node. Further names of a certificate, which
// are hosts that clients look for, make no node of it.
std::shared_ptr<grpc::ChannelCredentials> NodeChannelCredentials(const NodeTls& tls,
                                                                 const NodeId& peer);

// Of a channel to a server that is known by its host: its certificate is of the CA and issued to
// that host. The client presents none.
std::shared_ptr<grpc::ChannelCredentials> HostChannelCredentials(const NodeTls& tls);

// The node that the certificate of a call's other end was issued to; empty: it showed none.
NodeId NodeOfPeer(const grpc::AuthContext* context);

}  // namespace meridian::replication
