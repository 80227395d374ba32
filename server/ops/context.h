// What every operation gets to know of its caller and of the container it works on.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/cluster_format.h"
#include "base/id.h"
#include "base/random.h"
#include "crypto/container_keys.h"
#include "replication/replica.h"

namespace meridian::ops {

class ChunkBudget;

// A container, opened for a caller who may work on it, at the node that leads its partition.
// Operations block: they run on a handler's thread, never on a strand. What is shared here is
// thread-safe, and a context may be copied.
struct Context {
  // `tenants/{tenant}/containers/{container}`, as answers show it.
  std::string container_name;
  // Of the container's newest KEK: what is written is written under these. They name tenant and
  // container.
  std::shared_ptr<const crypto::ContainerKeys> keys;
  // Of another version of its KEK, for what was written under that. May block on the KMS.
  std::function<absl::StatusOr<std::shared_ptr<const crypto::ContainerKeys>>(uint32_t)> open_keys;
  // Whether versions that are replaced stay, by that generation of the container's record; the
  // partition may know better.
  bool keep_versions = false;
  uint64_t versioning_generation = 0;
  // What is written is in its formats.
  ClusterFormat format = kFirstClusterFormat;
  // Where the replica's partition ends by the container's map (empty: no end): a hint, what it owns
  // is for the replica to say.
  std::string partition_end;
  // Never null in an operation.
  std::shared_ptr<replication::Replica> replica;
  Random* random = nullptr;
  // Shared by all streams of the node; null: each stream's own bound only.
  ChunkBudget* chunk_budget = nullptr;
  // Of the call; operations answer DEADLINE_EXCEEDED soon after.
  absl::Time deadline = absl::InfiniteFuture();
};

}  // namespace meridian::ops
