// What a process presents and trusts in TLS, as PEM.
#pragma once

#include <string>

namespace meridian::server {

struct TlsMaterial {
  // Of the cluster's CA: signs all nodes, and nothing else.
  std::string ca_certificate;
  // Of this node; its first subject alternative name is the node id.
  std::string certificate;
  std::string private_key;
};

}  // namespace meridian::server
