// The calls that gRPC services answer, counted by method.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/histogram.h"
#include "server/telemetry/metrics_builder.h"

namespace meridian::server {

// Thread-safe and without locks.
class MethodMeter {
 public:
  // As labels show it: "ObjectService/PutObject".
  explicit MethodMeter(std::string name) : name_(std::move(name)) {}

  const std::string& name() const { return name_; }

  void Begin() { in_flight_.fetch_add(1, std::memory_order_relaxed); }
  // `time` without what was spent waiting for the client.
  void End(absl::StatusCode code, absl::Duration time, bool slow);
  // Of objects' bodies.
  void Received(size_t bytes) { received_bytes_.fetch_add(bytes, std::memory_order_relaxed); }
  void Sent(size_t bytes) { sent_bytes_.fetch_add(bytes, std::memory_order_relaxed); }

  // Nothing of a method that was never called.
  void Collect(const MetricLabels& labels, MetricsBuilder& out) const;

 private:
  // absl::StatusCode's are gRPC's: 0 (OK) to 16.
  static constexpr size_t kCodes = 17;

  const std::string name_;
  // A line of its own for each method's counts.
  alignas(64) std::atomic<int64_t> in_flight_{0};
  std::array<std::atomic<uint64_t>, kCodes> answers_{};
  std::atomic<uint64_t> slow_{0};
  std::atomic<uint64_t> received_bytes_{0};
  std::atomic<uint64_t> sent_bytes_{0};
  Histogram time_{kLatencyBounds};
};

// All methods of some services; which ones is fixed from the start, so that labels are bounded.
class RequestMeter {
 public:
  // Full names of services that are linked in: "meridian.v1.ObjectService".
  explicit RequestMeter(const std::vector<std::string>& services);

  // `path` as gRPC has it: "/meridian.v1.ObjectService/PutObject". Null: not of these services.
  MethodMeter* Find(std::string_view path) const;
  void Collect(const MetricLabels& labels, MetricsBuilder& out) const;

 private:
  std::map<std::string, std::unique_ptr<MethodMeter>, std::less<>> methods_;  // by path
};

}  // namespace meridian::server
