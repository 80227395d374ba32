#include "storage/objects/commands.h"
#include "storage/objects/version_set.h"

namespace meridian::objects {
namespace {

pb::VersionRecord MarkerOf(const pb::DeleteObject& deletion) {
  pb::VersionRecord marker;
  marker.set_format_version(kDeleteMarkerFormat);
  marker.set_version_id(deletion.marker_version_id());
  marker.set_delete_marker(true);
  marker.set_mac(deletion.marker_mac());
  marker.set_kek_version(deletion.marker_kek_version());
  return marker;
}

}  // namespace

absl::StatusOr<pb::Outcome> ApplyDeleteObject(const pb::DeleteObject& deletion,
                                              ApplyContext& context) {
  const ObjectReader reader(context.state.base());
  ASSIGN_OR_RETURN(const std::optional<VersionRow> newest, reader.Newest(deletion.name()));
  if (!IsCurrent(newest)) return MakeOutcome(pb::Outcome::OBJECT_NOT_FOUND);
  if (auto failed = CheckCondition(context.command.condition(), newest)) return *failed;

  bool needs_marker = context.keep_versions();
  if (!needs_marker) {
    // Versions from a time of versioning must not come to light: the marker takes the place of the
    // version that goes.
    ASSIGN_OR_RETURN(const std::optional<VersionRow> older,
                     reader.Before(deletion.name(), newest->place));
    needs_marker = older.has_value();
  }
  if (needs_marker) {
    return AddVersion(context, deletion.name(), newest, MarkerOf(deletion));
  }
  RETURN_IF_ERROR(RemoveNewest(context, *newest));
  pb::Outcome outcome = MakeOutcome(pb::Outcome::OK);
  outcome.set_timestamp_us(context.now_us());  // also what a retry is told
  return outcome;
}

absl::StatusOr<pb::Outcome> ApplyDeleteVersion(const pb::DeleteVersion& deletion,
                                               ApplyContext& context) {
  const ObjectReader reader(context.state.base());
  ASSIGN_OR_RETURN(const VersionId version, DecodeId<VersionId>(deletion.version_id()));
  ASSIGN_OR_RETURN(const std::optional<VersionRow> row,
                   reader.FindVersion(deletion.name(), version));
  if (!row.has_value()) return MakeOutcome(pb::Outcome::VERSION_NOT_FOUND);
  // A delete marker has no etag that a condition could match.
  if (auto failed = CheckCondition(context.command.condition(), row)) return *failed;

  ASSIGN_OR_RETURN(const std::optional<VersionRow> newest, reader.Newest(deletion.name()));
  const bool is_newest = newest.has_value() && newest->place == row->place;
  RETURN_IF_ERROR(is_newest ? RemoveNewest(context, *row) : RemoveOlder(context, *row));
  return MakeOutcome(pb::Outcome::OK);
}

}  // namespace meridian::objects
