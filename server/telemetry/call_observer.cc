#include "server/telemetry/call_observer.h"

#include <utility>

#include "absl/time/clock.h"
#include "server/log.h"
#include "server/telemetry/trace_context.h"

namespace meridian::server {
namespace {

using grpc::experimental::InterceptionHookPoints;
using grpc::experimental::InterceptorBatchMethods;

constexpr uint32_t kLinesASecond = 50;

constexpr Metric kDropped = {"meridian_log_lines_dropped_total",
                             "Lines about slow and failed calls beyond 50 a second."};

// What a client cannot have caused.
bool IsServersFault(absl::StatusCode code) {
  return code == absl::StatusCode::kInternal || code == absl::StatusCode::kUnknown ||
         code == absl::StatusCode::kDataLoss;
}

// Of one call.
class CallInterceptor final : public grpc::experimental::Interceptor {
 public:
  CallInterceptor(CallObserver& observer, MethodMeter& method)
      : observer_(observer), method_(method) {}

  void Intercept(InterceptorBatchMethods* methods) override {
    if (methods->QueryInterceptionHookPoint(InterceptionHookPoints::POST_RECV_INITIAL_METADATA)) {
      record_ = observer_.Begin(method_, TraceparentOf(*methods));
      CallRecord::SetCurrent(record_);
    }
    if (record_ != nullptr &&
        methods->QueryInterceptionHookPoint(InterceptionHookPoints::PRE_SEND_STATUS)) {
      methods->GetSendTrailingMetadata()->emplace(kRequestIdMetadata, record_->trace().trace_id);
      observer_.End(*record_, static_cast<absl::StatusCode>(methods->GetSendStatus().error_code()));
      CallRecord::SetCurrent(nullptr);
      record_.reset();
    }
    methods->Proceed();
  }

 private:
  static std::string_view TraceparentOf(InterceptorBatchMethods& methods) {
    const auto* metadata = methods.GetRecvInitialMetadata();
    const auto entry = metadata->find(kTraceparent);
    if (entry == metadata->end() || metadata->count(kTraceparent) != 1) return {};
    return {entry->second.data(), entry->second.size()};
  }

  CallObserver& observer_;
  MethodMeter& method_;
  std::shared_ptr<CallRecord> record_;  // while it runs
};

class CallInterceptorFactory final : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  CallInterceptorFactory(CallObserver& observer, const RequestMeter& meter)
      : observer_(observer), meter_(meter) {}

  grpc::experimental::Interceptor* CreateServerInterceptor(
      grpc::experimental::ServerRpcInfo* info) override {
    MethodMeter* const method = meter_.Find(info->method());
    return method == nullptr ? nullptr
                             : new CallInterceptor(observer_, *method);  // gRPC's to delete
  }

 private:
  CallObserver& observer_;
  const RequestMeter& meter_;
};

}  // namespace

CallObserver::CallObserver(NodeId node, absl::Duration slow, Random& random)
    : node_(std::move(node)), slow_(slow), random_(random), lines_(kLinesASecond) {}

CallObserver::Interceptors CallObserver::Observe(const std::vector<std::string>& services) {
  auto meter = std::make_unique<const RequestMeter>(services);
  Interceptors interceptors;
  interceptors.push_back(std::make_unique<CallInterceptorFactory>(*this, *meter));
  absl::MutexLock lock(&mutex_);
  meters_.push_back(std::move(meter));
  return interceptors;
}

void CallObserver::Collect(const MetricLabels& labels, MetricsBuilder& out) const {
  out.Counter(kDropped, labels, static_cast<double>(lines_.dropped()));
  absl::MutexLock lock(&mutex_);
  for (const auto& meter : meters_) meter->Collect(labels, out);
}

std::shared_ptr<CallRecord> CallObserver::Begin(MethodMeter& method, std::string_view traceparent) {
  method.Begin();
  return std::make_shared<CallRecord>(method, TraceContext::Continue(traceparent, random_));
}

void CallObserver::End(const CallRecord& call, absl::StatusCode code) {
  const absl::Duration whole = call.elapsed();
  const absl::Duration client = call.spent(CallPhase::kClient);
  const bool slow = whole - client >= slow_;
  call.method().End(code, whole - client, slow);
  if (!slow && !IsServersFault(code)) return;
  if (!lines_.Take(absl::Now())) return;
  // The status has a code only: its message may tell names.
  Log(slow ? LogLevel::kWarning : LogLevel::kError, "request",
      slow ? "slow request" : "failed request",
      {{"node", node_},
       {"method", call.method().name()},
       {"code", absl::StatusCodeToString(code)},
       {"duration_ms", whole},
       {"client_ms", client},
       {"commit_ms", call.spent(CallPhase::kCommit)},
       {"confirm_ms", call.spent(CallPhase::kConfirm)},
       {"body_ms", call.spent(CallPhase::kBody)},
       {"nodes_ms", call.spent(CallPhase::kNodes)},
       {"received_bytes", call.received_bytes()},
       {"sent_bytes", call.sent_bytes()},
       {"group", call.group().is_nil() ? std::string() : call.group().ToHex()},
       {"span_id", call.trace().span_id}});
}

}  // namespace meridian::server
