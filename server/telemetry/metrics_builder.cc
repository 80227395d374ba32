#include "server/telemetry/metrics_builder.h"

#include <limits>

#include "base/check.h"
#include "prometheus/text_serializer.h"

namespace meridian::server {

MetricLabels operator+(MetricLabels labels, std::pair<std::string, std::string> label) {
  labels.push_back(std::move(label));
  return labels;
}

prometheus::ClientMetric& MetricsBuilder::Add(const Metric& metric, prometheus::MetricType type,
                                              const MetricLabels& labels) {
  prometheus::MetricFamily& family = families_[metric.name];
  CHECK_INVARIANT(family.metric.empty() || family.type == type, "a metric has one type");
  family.name = metric.name;
  family.help = metric.help;
  family.type = type;
  prometheus::ClientMetric& sample = family.metric.emplace_back();
  for (const auto& [name, value] : labels) sample.label.push_back({name, value});
  return sample;
}

void MetricsBuilder::Counter(const Metric& metric, const MetricLabels& labels, double value) {
  Add(metric, prometheus::MetricType::Counter, labels).counter.value = value;
}

void MetricsBuilder::Gauge(const Metric& metric, const MetricLabels& labels, double value) {
  Add(metric, prometheus::MetricType::Gauge, labels).gauge.value = value;
}

void MetricsBuilder::Histogram(const Metric& metric, const MetricLabels& labels,
                               const HistogramCounts& counts, double unit) {
  auto& histogram = Add(metric, prometheus::MetricType::Histogram, labels).histogram;
  uint64_t cumulative = 0;
  for (size_t i = 0; i < counts.counts.size(); ++i) {
    cumulative += counts.counts[i];
    const double bound = i < counts.upper_bounds.size()
                             ? static_cast<double>(counts.upper_bounds[i]) * unit
                             : std::numeric_limits<double>::infinity();
    histogram.bucket.push_back({cumulative, bound});
  }
  histogram.sample_count = cumulative;
  histogram.sample_sum = static_cast<double>(counts.sum) * unit;
}

std::string MetricsBuilder::Text() const {
  std::vector<prometheus::MetricFamily> families;
  for (const auto& [name, family] : families_) families.push_back(family);
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace meridian::server
