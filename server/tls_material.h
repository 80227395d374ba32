// What a process presents and trusts in TLS, as PEM.
#pragma once

#include <memory>
#include <string>

namespace grpc::experimental {
class CertificateProviderInterface;
}  // namespace grpc::experimental

namespace meridian::server {

struct TlsMaterial {
  // Of the cluster's CA: signs all nodes, and nothing else.
  std::string ca_certificate;
  // Of this node; its first subject alternative name is the node id.
  std::string certificate;
  std::string private_key;
  // What is presented and trusted as it is now, where it may be renewed while the process runs;
  // null: the above, for ever.
  std::shared_ptr<grpc::experimental::CertificateProviderInterface> renewed = nullptr;
};

}  // namespace meridian::server
