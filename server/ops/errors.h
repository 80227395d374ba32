// Errors of operations on objects, with their details, and how the state machine's outcomes and the
// replica's errors become such.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "meridian/internal/v1/records.pb.h"
#include "meridian/v1/errors.pb.h"

namespace meridian::ops {

// What an operation was about.
struct Subject {
  v1::ResourceMissing::Kind kind = v1::ResourceMissing::OBJECT;
  std::string name;
};

absl::Status Missing(const Subject& subject);
absl::Status IsDeleteMarker(const std::string& name);
// `current_etag` is empty if there is no current version.
absl::Status PreconditionFailed(const std::string& name, const std::string& current_etag);
absl::Status UploadOffset(uint64_t durable_size_bytes);
absl::Status SizeMismatch(uint64_t declared, uint64_t received);
absl::Status ChecksumMismatch(uint32_t declared, uint32_t computed);
absl::Status InvalidPageToken();
// The same status; one of DATA_LOSS gets the reason CORRUPT.
absl::Status WithCorruptReason(const absl::Status& status);

// UNAVAILABLE (NO_LEADER): the name is another partition's since a split, and nothing was done.
// Whoever knows how to find that one does so, and tries again there.
absl::Status Moved();
bool IsMoved(const absl::Status& status);
// For clients: without the mark that IsMoved looks at.
absl::Status WithoutMark(absl::Status status);

// OK if the outcome is.
absl::Status ToStatus(const internal::v1::Outcome& outcome, const Subject& subject);

// Of Replica::Propose and ConfirmRead: says what is known of the effect.
absl::Status FromReplica(const absl::Status& status, const std::string& doing);
// Of Replica::WriteChunk.
absl::Status FromChunkWrite(const absl::Status& status);
// Of Replica::ReadChunk: a chunk that no replica has whole is DATA_LOSS, never a short body (I1).
absl::Status FromChunkRead(const absl::Status& status);
absl::Status DeadlineExceeded(const std::string& doing);

}  // namespace meridian::ops
