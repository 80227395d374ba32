#include "storage/objects/version_set.h"

#include <algorithm>
#include <string>
#include <utility>

#include "storage/objects/keys.h"
#include "storage/objects/runs.h"

namespace meridian::objects {
namespace {

// The counts are about right: they say when a split is due.
void CountVersion(ApplyContext& context, const std::string& key, const std::string& value) {
  context.meta.set_version_count(context.meta.version_count() + 1);
  context.meta.set_version_bytes(context.meta.version_bytes() + key.size() + value.size());
}

void UncountVersion(ApplyContext& context, const std::string& key, const std::string& value) {
  const uint64_t bytes = key.size() + value.size();
  context.meta.set_version_count(context.meta.version_count() -
                                 std::min<uint64_t>(context.meta.version_count(), 1));
  context.meta.set_version_bytes(context.meta.version_bytes() -
                                 std::min(context.meta.version_bytes(), bytes));
}

absl::Status DropRow(ApplyContext& context, const VersionRow& row) {
  ASSIGN_OR_RETURN(const pb::Manifest manifest, ManifestOf(row.record));
  RETURN_IF_ERROR(DropReferences(context, manifest));
  std::string key = EncodeObjectKey(row.name, row.place);
  UncountVersion(context, key, EncodeVersion(row.record));
  context.state.Delete(std::move(key));
  return absl::OkStatus();
}

pb::Outcome PreconditionFailed(const std::optional<VersionRow>& version) {
  pb::Outcome outcome = MakeOutcome(pb::Outcome::PRECONDITION_FAILED);
  if (IsCurrent(version)) outcome.set_current_etag(EtagOf(version->record));
  return outcome;
}

}  // namespace

std::optional<pb::Outcome> CheckCondition(const pb::Condition& condition,
                                          const std::optional<VersionRow>& version) {
  switch (condition.kind_case()) {
    case pb::Condition::kIfMatchEtag:
      if (!IsCurrent(version) || EtagOf(version->record) != condition.if_match_etag()) {
        return PreconditionFailed(version);
      }
      break;
    case pb::Condition::kIfNoneMatch:
      if (IsCurrent(version)) return PreconditionFailed(version);
      break;
    case pb::Condition::KIND_NOT_SET:
      break;
  }
  return std::nullopt;
}

absl::StatusOr<pb::Outcome> AddVersion(ApplyContext& context, std::string_view name,
                                       const std::optional<VersionRow>& newest,
                                       pb::VersionRecord record) {
  ASSIGN_OR_RETURN(const VersionId version, DecodeId<VersionId>(record.version_id()));
  if (record.format_version() == 0 || record.format_version() > NewestFormat<pb::VersionRecord>()) {
    // A newer leader's. To store what cannot be read here would be to guess.
    return absl::UnimplementedError("object state: a version record of an unknown format");
  }
  // Above the newest whatever the leaders' clocks were: the newest row has to be the last write.
  Timestamp timestamp = context.entry.timestamp;
  uint32_t geo_epoch = context.command.geo_epoch();
  if (newest.has_value()) {
    timestamp = std::max(timestamp, newest->place.timestamp + 1);
    geo_epoch = std::max(geo_epoch, newest->place.geo_epoch);
    if (context.keep_versions()) {
      context.state.Put(VersionIndexKey(name, newest->place.version),
                        EncodeVersionIndexValue(newest->place));
    } else {
      RETURN_IF_ERROR(DropRow(context, *newest));
    }
  }
  record.set_timestamp_us(static_cast<int64_t>(timestamp.value()));
  record.set_geo_epoch(geo_epoch);
  pb::Outcome outcome = MakeOutcome(pb::Outcome::OK);
  outcome.set_version_id(record.version_id());
  outcome.set_timestamp_us(record.timestamp_us());
  std::string key =
      EncodeObjectKey(name, {.timestamp = timestamp, .geo_epoch = geo_epoch, .version = version});
  std::string value = EncodeVersion(record);
  CountVersion(context, key, value);
  context.state.Put(std::move(key), std::move(value));
  return outcome;
}

absl::Status RemoveNewest(ApplyContext& context, const VersionRow& newest) {
  ASSIGN_OR_RETURN(const std::optional<VersionRow> promoted,
                   ObjectReader(context.state.base()).Before(newest.name, newest.place));
  if (promoted.has_value()) {
    context.state.Delete(VersionIndexKey(promoted->name, promoted->place.version));
  }
  return DropRow(context, newest);
}

absl::Status RemoveOlder(ApplyContext& context, const VersionRow& row) {
  context.state.Delete(VersionIndexKey(row.name, row.place.version));
  return DropRow(context, row);
}

}  // namespace meridian::objects
