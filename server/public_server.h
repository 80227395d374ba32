// The public gRPC server of a node or a front: all services of meridian.v1, health and reflection,
// over TLS.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/api.h"
#include "server/tls_material.h"

namespace grpc {
class ResourceQuota;
}  // namespace grpc

namespace meridian::server {

class CallObserver;

// What the gRPC servers of a process share: threads and buffer memory, both bounded.
struct ServerResources {
  std::shared_ptr<grpc::ResourceQuota> quota;
};
ServerResources MakeServerResources(int max_threads, size_t buffer_bytes);

// Thread-safe.
class PublicServer {
 public:
  virtual ~PublicServer() = default;

  // `api` and `calls`, which sees all calls, outlive the server. UNAVAILABLE: the address cannot be
  // listened on.
  static absl::StatusOr<std::unique_ptr<PublicServer>> Start(Api& api, CallObserver& calls,
                                                             const TlsMaterial& tls,
                                                             const std::string& listen_address,
                                                             const ServerResources& resources);

  // HOST:PORT.
  virtual const std::string& endpoint() const = 0;
  // What the health service answers; false from the start.
  virtual void SetServing(bool serving) = 0;
  // Takes no new calls, and cancels those that are not done by the deadline; returns when no
  // handler runs any more.
  virtual void Shutdown(absl::Time deadline) = 0;
};

}  // namespace meridian::server
