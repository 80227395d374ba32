#include "server/ops/find_version.h"

#include <optional>
#include <utility>

#include "base/status.h"
#include "server/errors.h"
#include "server/ops/checks.h"
#include "server/ops/errors.h"
#include "server/ops/replica_calls.h"

namespace meridian::ops {
namespace {

// A version that is replaced again and again while it is being pinned is given up.
constexpr int kMaxPinAttempts = 5;

absl::Status CheckIfMatch(const Version& version, const std::string& if_match) {
  const std::string etag = objects::EtagOf(version.row.place.version);
  if (if_match.empty() || if_match == etag) return absl::OkStatus();
  return PreconditionFailed(version.row.name, etag);
}

absl::StatusOr<std::vector<RunId>> RunsOf(const Version& version) {
  std::vector<RunId> runs;
  for (const pb::Run& run : version.manifest.runs()) {
    ASSIGN_OR_RETURN(const RunId id, objects::DecodeId<RunId>(run.run_id()));
    runs.push_back(id);
  }
  return runs;
}

absl::StatusOr<bool> AllReferenced(const storage::KvReader& view, const std::vector<RunId>& runs) {
  const objects::ObjectReader reader(view);
  for (const RunId run : runs) {
    ASSIGN_OR_RETURN(const bool referenced, reader.IsReferenced(run));
    if (!referenced) return false;
  }
  return true;
}

}  // namespace

absl::StatusOr<Version> FindVersion(const Context& context, const storage::KvReader& view,
                                    const std::string& name, const std::string& version_id) {
  RETURN_IF_ERROR(CheckOwned(view, name));
  const objects::ObjectReader reader(view);
  std::optional<objects::VersionRow> row;
  if (version_id.empty()) {
    ASSIGN_OR_RETURN(row, reader.Newest(name));
    if (!row.has_value()) return Missing({.kind = v1::ResourceMissing::OBJECT, .name = name});
  } else {
    ASSIGN_OR_RETURN(const VersionId version, ParseVersionId(version_id));
    ASSIGN_OR_RETURN(row, reader.FindVersion(name, version));
    if (!row.has_value()) {
      return Missing({.kind = v1::ResourceMissing::VERSION, .name = version_id});
    }
  }
  // Opened first: that there is a delete marker is told only by one that is authentic.
  ASSIGN_OR_RETURN(Version version, OpenVersion(context, *std::move(row)));
  if (version.row.record.delete_marker()) {
    if (version_id.empty()) return Missing({.kind = v1::ResourceMissing::OBJECT, .name = name});
    return IsDeleteMarker(name);
  }
  return version;
}

absl::StatusOr<Version> ReadVersion(const Context& context, const std::string& name,
                                    const std::string& version_id, const std::string& if_match) {
  RETURN_IF_ERROR(CheckObjectName(name));
  ASSIGN_OR_RETURN(const std::unique_ptr<storage::KvReader> view,
                   ConfirmedView(*context.replica, context.deadline));
  ASSIGN_OR_RETURN(Version version, FindVersion(context, *view, name, version_id));
  RETURN_IF_ERROR(CheckIfMatch(version, if_match));
  return version;
}

absl::StatusOr<PinnedVersion> ReadPinnedVersion(const Context& context, const std::string& name,
                                                const std::string& version_id,
                                                const std::string& if_match) {
  RETURN_IF_ERROR(CheckObjectName(name));
  ASSIGN_OR_RETURN(std::unique_ptr<storage::KvReader> view,
                   ConfirmedView(*context.replica, context.deadline));
  for (int attempt = 0; attempt < kMaxPinAttempts; ++attempt) {
    PinnedVersion pinned;
    ASSIGN_OR_RETURN(pinned.version, FindVersion(context, *view, name, version_id));
    RETURN_IF_ERROR(CheckIfMatch(pinned.version, if_match));
    ASSIGN_OR_RETURN(const std::vector<RunId> runs, RunsOf(pinned.version));
    for (const RunId run : runs) pinned.pins.push_back(context.replica->PinRun(run));
    // The runs may have been freed between the view and the pins: if they are referenced now, no
    // collection that did not see the pins can have taken them.
    view = context.replica->NewView();
    ASSIGN_OR_RETURN(const bool kept, AllReferenced(*view, runs));
    if (kept) return pinned;
  }
  return server::Error(absl::StatusCode::kResourceExhausted, v1::OVERLOADED,
                       name + " is replaced faster than it can be read: retry");
}

}  // namespace meridian::ops
