// The versions of one name: adds and removes them, keeping the index of those that are not the
// newest and the runs' references.
#pragma once

#include <optional>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "storage/objects/apply_context.h"
#include "storage/objects/object_reader.h"

namespace meridian::objects {

// Whether a version that clients see as the object's current one is there.
inline bool IsCurrent(const std::optional<VersionRow>& newest) {
  return newest.has_value() && !newest->record.delete_marker();
}

// PRECONDITION_FAILED if the command's condition does not hold of `version`; nullopt if it does.
std::optional<pb::Outcome> CheckCondition(const pb::Condition& condition,
                                          const std::optional<VersionRow>& version);

// Puts `record` on top of `newest`, which stays if the command says so and is reclaimed if not.
// Sets the record's timestamp and geo epoch; the runs that the record names have been referenced by
// the caller. Returns OK with the version.
absl::StatusOr<pb::Outcome> AddVersion(ApplyContext& context, std::string_view name,
                                       const std::optional<VersionRow>& newest,
                                       pb::VersionRecord record);

// Takes the newest version away; the one before it, if any, is the newest then.
absl::Status RemoveNewest(ApplyContext& context, const VersionRow& newest);
// Takes a version away that is not the newest.
absl::Status RemoveOlder(ApplyContext& context, const VersionRow& row);

}  // namespace meridian::objects
