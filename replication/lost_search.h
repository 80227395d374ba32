// Goes on asking for the chunks that are recorded as lost here, or were found damaged: rarely, for
// as long as they are. A member that was away, or has left, may come back with a good copy.
#pragma once

#include <optional>

#include "absl/time/time.h"
#include "replication/chunk_fetcher.h"
#include "storage/replica_storage.h"

namespace meridian::replication {

// Confined to the replica's strand.
class LostSearch {
 public:
  LostSearch(const storage::ReplicaStorage& storage, ChunkFetcher& fetcher)
      : storage_(storage), fetcher_(fetcher) {}

  // Begins to look for a few of them, if it is time.
  void Tick(absl::Duration now);

 private:
  const storage::ReplicaStorage& storage_;
  ChunkFetcher& fetcher_;
  absl::Duration next_;
  std::optional<storage::ChunkId> after_;  // those up to it have had their turn
};

}  // namespace meridian::replication
