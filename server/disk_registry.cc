#include "server/disk_registry.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "server/cluster_records.h"
#include "server/log.h"
#include "server/store_calls.h"

namespace meridian::server {
namespace {

// The record changes under an opening only by another process' that has the disk too, or by a
// commit of before that was late.
constexpr int kMaxAttempts = 3;

absl::Status CheckIsNoCopy(const DiskRecord& known, const storage::DiskOpening& opening) {
  const std::string disk = opening.disk.ToHex();
  if (known.removed) {
    return absl::NotFoundError(
        absl::StrCat("disk ", disk, " was taken out of the cluster and does not come back: give ",
                     "the node an empty folder in its place"));
  }
  if (known.opening == opening.last) return absl::OkStatus();
  // A copy does not know the openings that follow it; a store restored from a backup does not know
  // the last ones of the disk.
  if (known.incarnation < opening.incarnation) {
    Log(LogLevel::kWarning, "disk", "the coordination store's data are of the past",
        {{"disk", disk}, {"openings", opening.incarnation}, {"openings_known", known.incarnation}});
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(absl::StrCat(
      "the folder is a copy of disk ", disk, ", or of its past: it knows of ", opening.incarnation,
      " openings, and the disk has been opened ", known.incarnation, " times, last by node ",
      known.node, ". It has forgotten what the disk acknowledged since, and must never serve. Put ",
      "the disk itself back, or give the node an empty folder: what was on it is made anew from ",
      "the other replicas"));
}

// An error of the store is no verdict on the disk, whatever its code: FAILED_PRECONDITION and
// NOT_FOUND of RecordDiskOpening put it out of service for good.
absl::Status NoVerdict(const absl::Status& status) {
  const bool passes = status.ok() || absl::IsResourceExhausted(status) || absl::IsDataLoss(status);
  return passes ? status : absl::UnavailableError(status.ToString());
}

}  // namespace

absl::Status RecordDiskOpening(coordination::CoordinationStore& store, const NodeId& node,
                               const storage::DiskOpening& opening) {
  const std::string key = DiskKeyOf(opening.disk);
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    const auto row = GetFrom(store, key);
    RETURN_IF_ERROR(NoVerdict(row.status()));
    int64_t revision = 0;
    if (row->has_value()) {
      const absl::StatusOr<DiskRecord> known = DecodeDiskRecord((*row)->value);
      RETURN_IF_ERROR(NoVerdict(known.status()));
      if (known->opening == opening.next && !known->removed) return absl::OkStatus();
      RETURN_IF_ERROR(CheckIsNoCopy(*known, opening));
      revision = (*row)->mod_revision;
    }
    const DiskRecord record{node, opening.incarnation + 1, opening.next};
    const absl::Status recorded =
        CommitTo(store, {{{key, revision}}, {{key, EncodeDiskRecord(record)}}});
    if (!absl::IsAborted(recorded)) return NoVerdict(recorded);
  }
  return absl::UnavailableError("the disk's record changes too fast; try again");
}

}  // namespace meridian::server
