#include "server/telemetry/request_meter.h"

#include <google/protobuf/descriptor.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"

namespace meridian::server {
namespace {

constexpr Metric kRequests = {"meridian_requests_total", "Calls answered, by their status code."};
constexpr Metric kSeconds = {
    "meridian_request_seconds",
    "How long calls took, without the time in which the server waited for the client."};
constexpr Metric kInFlight = {"meridian_requests_in_flight", "Calls that run now."};
constexpr Metric kSlow = {"meridian_requests_slow_total",
                          "Calls that took longer than slow_request_ms."};
constexpr Metric kReceived = {"meridian_body_received_bytes_total",
                              "Bytes of objects' bodies that came in."};
constexpr Metric kSent = {"meridian_body_sent_bytes_total",
                          "Bytes of objects' bodies that were sent."};

}  // namespace

void MethodMeter::End(absl::StatusCode code, absl::Duration time, bool slow) {
  in_flight_.fetch_sub(1, std::memory_order_relaxed);
  const auto index = static_cast<size_t>(code);
  answers_[index < kCodes ? index : static_cast<size_t>(absl::StatusCode::kUnknown)].fetch_add(
      1, std::memory_order_relaxed);
  if (slow) slow_.fetch_add(1, std::memory_order_relaxed);
  time_.Observe(time);
}

void MethodMeter::Collect(const MetricLabels& node, MetricsBuilder& out) const {
  const HistogramCounts times = time_.Read();
  const int64_t in_flight = in_flight_.load(std::memory_order_relaxed);
  if (times.total() == 0 && in_flight == 0) return;
  const MetricLabels labels = node + std::pair("method", name_);
  for (size_t code = 0; code < kCodes; ++code) {
    const uint64_t count = answers_[code].load(std::memory_order_relaxed);
    if (count == 0) continue;
    const std::string name = absl::StatusCodeToString(static_cast<absl::StatusCode>(code));
    out.Counter(kRequests, labels + std::pair("code", name), static_cast<double>(count));
  }
  out.Histogram(kSeconds, labels, times, kMicrosecond);
  out.Gauge(kInFlight, labels, static_cast<double>(in_flight));
  const auto count = [&](const Metric& metric, const std::atomic<uint64_t>& value) {
    out.Counter(metric, labels, static_cast<double>(value.load(std::memory_order_relaxed)));
  };
  count(kSlow, slow_);
  count(kReceived, received_bytes_);
  count(kSent, sent_bytes_);
}

RequestMeter::RequestMeter(const std::vector<std::string>& services) {
  const auto* pool = google::protobuf::DescriptorPool::generated_pool();
  for (const std::string& name : services) {
    const auto* service = pool->FindServiceByName(name);
    CHECK_INVARIANT(service != nullptr, "a service that is counted is linked in");
    for (int i = 0; i < service->method_count(); ++i) {
      const std::string& method = service->method(i)->name();
      methods_[absl::StrCat("/", name, "/", method)] =
          std::make_unique<MethodMeter>(absl::StrCat(service->name(), "/", method));
    }
  }
}

MethodMeter* RequestMeter::Find(std::string_view path) const {
  const auto method = methods_.find(path);
  return method == methods_.end() ? nullptr : method->second.get();
}

void RequestMeter::Collect(const MetricLabels& labels, MetricsBuilder& out) const {
  for (const auto& [path, method] : methods_) method->Collect(labels, out);
}

}  // namespace meridian::server
