#include "tests/server/telemetry/exposition.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <set>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status.h"

namespace meridian {
namespace {

absl::Status Wrong(const std::string& what) { return absl::InvalidArgumentError(what); }

bool IsName(const std::string& name, bool colons) {
  if (name.empty() || std::isdigit(static_cast<unsigned char>(name[0]))) return false;
  return std::all_of(name.begin(), name.end(), [colons](unsigned char c) {
    return std::isalnum(c) || c == '_' || (colons && c == ':');
  });
}

absl::StatusOr<double> ParseValue(const std::string& text) {
  if (text == "+Inf") return HUGE_VAL;
  double value = 0;
  if (text.empty() || std::isspace(static_cast<unsigned char>(text[0])) ||
      !absl::SimpleAtod(text, &value) || !std::isfinite(value)) {
    return Wrong(absl::StrCat("\"", text, "\" is no value"));
  }
  return value;
}

// name{label="value",...} value
class SampleReader {
 public:
  explicit SampleReader(const std::string& line) : line_(line) {}

  absl::StatusOr<ExposedSample> Read() {
    ExposedSample sample;
    sample.name = Until("{ ");
    if (!IsName(sample.name, /*colons=*/true)) return Wrong("no metric's name");
    if (Next() == '{') RETURN_IF_ERROR(ReadLabels(sample.labels));
    if (Next() != ' ') return Wrong("no space before the value");
    ++at_;
    ASSIGN_OR_RETURN(sample.value, ParseValue(line_.substr(at_)));
    return sample;
  }

 private:
  char Next() const { return at_ < line_.size() ? line_[at_] : '\0'; }
  std::string Until(const std::string& ends) {
    const size_t begin = at_;
    at_ = std::min(line_.find_first_of(ends, at_), line_.size());
    return line_.substr(begin, at_ - begin);
  }

  absl::Status ReadLabels(std::map<std::string, std::string>& labels) {
    do {
      ++at_;
      const std::string name = Until("=");
      if (!IsName(name, /*colons=*/false)) return Wrong("no label's name");
      if (line_.substr(at_, 2) != "=\"") return Wrong("a label without a quoted value");
      at_ += 2;
      ASSIGN_OR_RETURN(const std::string value, ReadQuoted());
      if (!labels.emplace(name, value).second) return Wrong("a label twice");
    } while (Next() == ',');
    if (Next() != '}') return Wrong("labels without an end");
    ++at_;
    return absl::OkStatus();
  }

  absl::StatusOr<std::string> ReadQuoted() {
    std::string value;
    for (; Next() != '"'; ++at_) {
      if (Next() == '\0') return Wrong("a label's value without an end");
      if (Next() != '\\') {
        value += Next();
        continue;
      }
      ++at_;
      if (std::string("\\\"n").find(Next()) == std::string::npos) return Wrong("unknown escape");
      value += Next() == 'n' ? '\n' : Next();
    }
    ++at_;
    return value;
  }

  const std::string line_;
  size_t at_ = 0;
};

// One histogram: the samples that differ in nothing but `le` and their suffix.
struct Buckets {
  std::vector<std::pair<double, double>> cumulative;  // bound, count
  int counts = 0, sums = 0;
  double count = 0;
};

absl::Status CheckHistogram(const std::string& family, const ExposedFamily& histogram) {
  std::map<std::map<std::string, std::string>, Buckets> by_labels;
  for (const ExposedSample& sample : histogram.samples) {
    auto labels = sample.labels;
    const std::string le = labels["le"];
    labels.erase("le");
    Buckets& buckets = by_labels[labels];
    if (sample.name == family + "_bucket") {
      ASSIGN_OR_RETURN(const double bound, ParseValue(le));
      buckets.cumulative.emplace_back(bound, sample.value);
    } else if (sample.name == family + "_count") {
      ++buckets.counts;
      buckets.count = sample.value;
    } else {
      ++buckets.sums;
    }
  }
  for (const auto& [labels, buckets] : by_labels) {
    const auto& all = buckets.cumulative;
    if (all.empty() || all.back().first != HUGE_VAL) return Wrong(family + " has no bucket +Inf");
    if (buckets.counts != 1 || buckets.sums != 1 || all.back().second != buckets.count) {
      return Wrong(family + ": the count is not that of the buckets");
    }
    for (size_t i = 1; i < all.size(); ++i) {
      if (all[i].first <= all[i - 1].first || all[i].second < all[i - 1].second) {
        return Wrong(family + ": buckets do not ascend");
      }
    }
  }
  return absl::OkStatus();
}

absl::Status CheckFamily(const std::string& name, const ExposedFamily& family) {
  if (family.type.empty() || family.help.empty()) return Wrong(name + " has no HELP or no TYPE");
  if (family.samples.empty()) return Wrong(name + " has no samples");
  if ((family.type == "counter") != name.ends_with("_total")) {
    return Wrong(name + ": counters end with _total, and nothing else does");
  }
  std::set<std::pair<std::string, std::map<std::string, std::string>>> seen;
  for (const ExposedSample& sample : family.samples) {
    if (!seen.emplace(sample.name, sample.labels).second) return Wrong(name + ": a sample twice");
    if (sample.value < 0 && family.type != "gauge") return Wrong(name + " is negative");
  }
  return family.type == "histogram" ? CheckHistogram(name, family) : absl::OkStatus();
}

bool BelongsTo(const std::string& sample, const std::string& family, const std::string& type) {
  if (type != "histogram") return sample == family;
  return sample == family + "_bucket" || sample == family + "_sum" || sample == family + "_count";
}

// The lines of a page, one after the other.
class PageReader {
 public:
  absl::Status Take(const std::string& line) {
    if (line.starts_with("# HELP ")) return TakeHelp(line.substr(7));
    if (line.starts_with("# TYPE ")) return TakeType(line.substr(7));
    ASSIGN_OR_RETURN(ExposedSample sample, SampleReader(line).Read());
    if (family_ == nullptr || !BelongsTo(sample.name, name_, family_->type)) {
      return Wrong("a sample that is not of the family before it");
    }
    family_->samples.push_back(std::move(sample));
    return absl::OkStatus();
  }
  Exposition TakeResult() { return std::move(result_); }

 private:
  absl::Status TakeHelp(const std::string& rest) {
    const std::pair<std::string, std::string> parts = absl::StrSplit(rest, absl::MaxSplits(' ', 1));
    if (!IsName(parts.first, /*colons=*/true)) return Wrong("HELP without a name");
    if (result_.families.contains(parts.first)) return Wrong("a family in two places");
    name_ = parts.first;
    family_ = &result_.families[name_];
    family_->help = parts.second;
    return absl::OkStatus();
  }
  absl::Status TakeType(const std::string& rest) {
    const std::pair<std::string, std::string> parts = absl::StrSplit(rest, absl::MaxSplits(' ', 1));
    const bool known =
        parts.second == "counter" || parts.second == "gauge" || parts.second == "histogram";
    if (family_ == nullptr || parts.first != name_ || !family_->type.empty() || !known) {
      return Wrong("TYPE that does not follow its HELP, or is unknown");
    }
    family_->type = parts.second;
    return absl::OkStatus();
  }

  Exposition result_;
  std::string name_;
  ExposedFamily* family_ = nullptr;
};

}  // namespace

double Exposition::Sum(const std::string& name,
                       const std::map<std::string, std::string>& labels) const {
  double sum = 0;
  for (const auto& [family, exposed] : families) {
    for (const ExposedSample& sample : exposed.samples) {
      const bool all = std::all_of(labels.begin(), labels.end(), [&](const auto& label) {
        const auto has = sample.labels.find(label.first);
        return has != sample.labels.end() && has->second == label.second;
      });
      if (sample.name == name && all) sum += sample.value;
    }
  }
  return sum;
}

absl::StatusOr<Exposition> ParseExposition(const std::string& text) {
  if (!text.ends_with('\n')) return Wrong("the last line has no end");
  PageReader reader;
  const std::string without_end = text.substr(0, text.size() - 1);
  for (const std::string& line : std::vector<std::string>(absl::StrSplit(without_end, '\n'))) {
    RETURN_IF_ERROR(Annotate(reader.Take(line), line));
  }
  Exposition page = reader.TakeResult();
  for (const auto& [name, family] : page.families) RETURN_IF_ERROR(CheckFamily(name, family));
  return page;
}

}  // namespace meridian
