#include "storage/objects/commands.h"
#include "storage/objects/runs.h"
#include "storage/objects/version_set.h"

namespace meridian::objects {

absl::StatusOr<pb::Outcome> ApplyCopyVersion(const pb::CopyVersion& copy, ApplyContext& context) {
  const ObjectReader reader(context.state.base());
  ASSIGN_OR_RETURN(const VersionId source_id, DecodeId<VersionId>(copy.source_version_id()));
  ASSIGN_OR_RETURN(const std::optional<VersionRow> newest, reader.Newest(copy.name()));
  // The condition first: it is what the client asked about, the source what the proposer read.
  if (auto failed = CheckCondition(context.command.condition(), newest)) return *failed;

  if (copy.source_must_be_newest() && (!newest.has_value() || newest->place.version != source_id)) {
    return MakeOutcome(pb::Outcome::SOURCE_CHANGED);
  }
  ASSIGN_OR_RETURN(const std::optional<VersionRow> source,
                   reader.FindVersion(copy.name(), source_id));
  if (!source.has_value()) return MakeOutcome(pb::Outcome::VERSION_NOT_FOUND);
  if (source->record.delete_marker()) return MakeOutcome(pb::Outcome::IS_DELETE_MARKER);
  // The same bytes, exactly: a copy takes its references from those of the source.
  if (copy.record().manifest() != source->record.manifest() ||
      copy.record().wrapped_dek() != source->record.wrapped_dek()) {
    return MakeOutcome(pb::Outcome::MALFORMED);
  }
  ASSIGN_OR_RETURN(const pb::Manifest manifest, ManifestOf(source->record));
  RETURN_IF_ERROR(AddReferences(context, manifest));
  ASSIGN_OR_RETURN(pb::Outcome outcome, AddVersion(context, copy.name(), newest, copy.record()));
  *outcome.mutable_record() = copy.record();
  return outcome;
}

}  // namespace meridian::objects
