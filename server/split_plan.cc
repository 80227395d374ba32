#include "server/split_plan.h"

#include <algorithm>
#include <memory>
#include <string_view>
#include <utility>

#include "base/status.h"
#include "storage/objects/keys.h"
#include "storage/objects/object_reader.h"
#include "storage/objects/records.h"

namespace meridian::server {
namespace {

using objects::pb::PartitionMeta;

absl::StatusOr<PartitionMeta> MetaOf(const storage::KvReader& state) {
  ASSIGN_OR_RETURN(std::optional<PartitionMeta> meta, objects::ObjectReader(state).Meta());
  return std::move(meta).value_or(PartitionMeta());
}

// The shortest prefix of `name` that is above `previous`, which is below `name`.
std::string Separator(std::string_view previous, std::string_view name) {
  const auto [at, end] = std::mismatch(name.begin(), name.end(), previous.begin(), previous.end());
  return std::string(name.begin(), at == name.end() ? at : at + 1);
}

}  // namespace

absl::StatusOr<bool> IsTooLarge(const storage::KvReader& state, const SplitOptions& options) {
  ASSIGN_OR_RETURN(const PartitionMeta meta, MetaOf(state));
  return meta.version_count() > options.max_versions || meta.version_bytes() > options.max_bytes;
}

absl::StatusOr<uint64_t> CountVersions(const storage::KvReader& state) {
  ASSIGN_OR_RETURN(const PartitionMeta meta, MetaOf(state));
  return meta.version_count();
}

absl::StatusOr<bool> MayBeSplit(const storage::KvReader& state, const SplitOptions& options) {
  ASSIGN_OR_RETURN(const PartitionMeta meta, MetaOf(state));
  return meta.runs_have_names() && !meta.has_split() &&
         meta.version_count() >= options.min_versions;
}

absl::StatusOr<std::optional<SplitPoint>> FindSplitPoint(const storage::KvReader& state) {
  ASSIGN_OR_RETURN(const PartitionMeta meta, MetaOf(state));
  const objects::NameRange owned{meta.range_start(), meta.range_end()};
  const std::string lower = objects::NamesBegin(objects::Tag::kObject, owned);
  const std::unique_ptr<storage::KvIterator> it =
      state.NewIterator(lower, objects::NamesEnd(objects::Tag::kObject, owned));
  uint64_t passed = 0;
  uint64_t passed_bytes = 0;
  std::string previous;
  for (it->Seek(lower); it->Valid(); it->Next()) {
    const std::string_view name = objects::NameOfObjectKey(it->key());
    if (passed >= meta.version_count() / 2 && !previous.empty() && name != previous) {
      return std::optional(SplitPoint{
          Separator(previous, name), meta.version_count() - std::min(passed, meta.version_count()),
          meta.version_bytes() - std::min(passed_bytes, meta.version_bytes())});
    }
    ++passed;
    passed_bytes += it->key().size() + it->value().size();
    previous = std::string(name);
  }
  RETURN_IF_ERROR(it->status());
  return std::optional<SplitPoint>();
}

}  // namespace meridian::server
