// One page of metrics, in Prometheus's text format (version 0.0.4), put together from counts that
// their owners keep.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/histogram.h"
#include "prometheus/metric_family.h"

namespace meridian::server {

// What a metric is called and what it says. Constants: the same name has the same help everywhere.
struct Metric {
  const char* name;
  const char* help;
};

using MetricLabels = std::vector<std::pair<std::string, std::string>>;
MetricLabels operator+(MetricLabels labels, std::pair<std::string, std::string> label);

// Of microseconds in a histogram, as metrics have times in seconds.
inline constexpr double kMicrosecond = 1e-6;

// Not thread-safe. Samples of one metric may come at any time: the page has them together. Each of
// a metric's samples has other labels.
class MetricsBuilder {
 public:
  void Counter(const Metric& metric, const MetricLabels& labels, double value);
  void Gauge(const Metric& metric, const MetricLabels& labels, double value);
  // `unit`: what 1 in `counts` is in the metric's unit.
  void Histogram(const Metric& metric, const MetricLabels& labels, const HistogramCounts& counts,
                 double unit);

  std::string Text() const;

 private:
  prometheus::ClientMetric& Add(const Metric& metric, prometheus::MetricType type,
                                const MetricLabels& labels);

  std::map<std::string, prometheus::MetricFamily> families_;
};

}  // namespace meridian::server
