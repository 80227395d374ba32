// Splitting a partition (P7). The split is one small entry: from its apply on the partition owns
// fewer names. The rows of the names that moved stay in its state, unchanged and out of sight,
// until the entry that ends the split; from these rows each replica of the child is built, so that
// all of them begin with the same state. Only metadata is copied: chunks stay where they are, since
// their names (run id, number) know of no partition.
//
// The local row `s` says what became of the rows that moved: kept, for the child's replica on this
// disk, or being cleaned up. A replica that got a snapshot meanwhile has neither row nor them.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/id.h"
#include "base/strong_int.h"
#include "storage/kv.h"
#include "storage/objects/apply_context.h"
#include "storage/objects/keys.h"

namespace meridian::objects {

// Unreadable rows are DATA_LOSS.
absl::StatusOr<pb::RunRecord> DecodeRun(std::string_view value);

// Whether a row says something of a partition that owns these names. Rows that belong to no name
// are everybody's; `s` is not.
absl::StatusOr<bool> IsOwned(std::string_view key, std::string_view value, const NameRange& owned);

// Before a request's outcome takes the place of one whose name has moved: keeps that for the child.
absl::Status KeepMovedRequest(ApplyContext& context, RequestId request);

// The child for whose replica on this disk the rows that moved are kept; nullopt: none.
absl::StatusOr<std::optional<PartitionId>> KeptFor(const storage::KvReader& state);

// As StateMachine::CleanUp.
absl::StatusOr<std::optional<storage::KvBatch>> CleanMoved(const storage::KvReader& state,
                                                           size_t max_rows);

}  // namespace meridian::objects
