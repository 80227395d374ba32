// Sees every call of a node's gRPC services from beginning to end: counts it, gives it a request
// id, and logs it if it was slow or failed by the server's fault.
#pragma once

#include <grpcpp/support/server_interceptor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/id.h"
#include "base/random.h"
#include "server/telemetry/call_record.h"
#include "server/telemetry/line_budget.h"
#include "server/telemetry/metrics_builder.h"
#include "server/telemetry/request_meter.h"

namespace meridian::server {

// Thread-safe. Outlives the servers that it observes.
class CallObserver {
 public:
  // `node` is who speaks in the log. Calls that take `slow` or longer are logged, where what the
  // server waits for the client is not counted.
  CallObserver(NodeId node, absl::Duration slow, Random& random);

  using Interceptors =
      std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>>;
  // For ServerBuilder::experimental().SetInterceptorCreators, after those that change statuses. Of
  // these services' methods, by full names; others are not seen.
  Interceptors Observe(const std::vector<std::string>& services) ABSL_LOCKS_EXCLUDED(mutex_);

  void Collect(const MetricLabels& labels, MetricsBuilder& out) const ABSL_LOCKS_EXCLUDED(mutex_);

  // Called by the interceptors.
  std::shared_ptr<CallRecord> Begin(MethodMeter& method, std::string_view traceparent);
  void End(const CallRecord& call, absl::StatusCode code);

 private:
  const NodeId node_;
  const absl::Duration slow_;
  Random& random_;
  LineBudget lines_;
  mutable absl::Mutex mutex_;
  std::vector<std::unique_ptr<const RequestMeter>> meters_ ABSL_GUARDED_BY(mutex_);  // kept
};

}  // namespace meridian::server
