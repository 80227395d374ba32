// A strict reader of Prometheus's text format, version 0.0.4: what a scraper might forgive is an
// error here.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace meridian {

struct ExposedSample {
  std::string name;  // with _bucket, _sum or _count
  std::map<std::string, std::string> labels;
  double value = 0;
};

struct ExposedFamily {
  std::string help;
  std::string type;
  std::vector<ExposedSample> samples;
};

struct Exposition {
  std::map<std::string, ExposedFamily> families;

  // Of all samples of that name which have these labels, others beside.
  double Sum(const std::string& name, const std::map<std::string, std::string>& labels = {}) const;
};

// INVALID_ARGUMENT with the line: not of the grammar; a family in two places, without HELP or TYPE,
// or of no samples; a sample twice; a counter not named _total; a histogram whose buckets do not
// ascend, have no +Inf, or do not agree with its count.
absl::StatusOr<Exposition> ParseExposition(const std::string& text);

}  // namespace meridian
