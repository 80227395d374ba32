// The port of the metrics: HTTPS, one page.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "server/tls_material.h"

namespace meridian::server {

// Thread-safe. The destructor ends it, and waits for requests that run.
class MetricsServer {
 public:
  virtual ~MetricsServer() = default;

  // Answers GET https://`listen_address`/metrics with what `page` gives, for at most two clients at
  // once; others wait. `page` is called on threads of the server's. It presents the node's
  // certificate and asks for none: whoever reaches the port may read the page, which tells nothing
  // that is a tenant's. INVALID_ARGUMENT: not HOST:PORT; UNAVAILABLE: cannot be listened on.
  static absl::StatusOr<std::unique_ptr<MetricsServer>> Start(const std::string& listen_address,
                                                              const TlsMaterial& tls,
                                                              std::function<std::string()> page);

  // HOST:PORT.
  virtual const std::string& endpoint() const = 0;
};

}  // namespace meridian::server
