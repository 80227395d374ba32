// Goes on asking for the chunks that are recorded as lost here, or were found damaged, and that
// this replica needs: rarely, for as long as they are. A member that was away, or has left, may
// come back with a good copy.
#pragma once

#include <cstdint>
#include <optional>

#include "absl/time/time.h"
#include "replication/chunk_fetcher.h"
#include "storage/replica_storage.h"
#include "storage/run_needs.h"

namespace meridian::replication {

// Confined to the replica's strand.
class LostSearch {
 public:
  LostSearch(const storage::ReplicaStorage& storage, ChunkFetcher& fetcher,
             const storage::RunNeeds& own)
      : storage_(storage), fetcher_(fetcher), own_(own) {}

  // Begins to look for a few of them, if it is time.
  void Tick(absl::Duration now);
  // Such chunks; of the first thousand on the disk, if there are siblings.
  uint64_t Count() const;

 private:
  // Siblings share the disk's list: each looks for its own.
  bool HasSiblings() const { return storage_.siblings() != nullptr; }
  bool IsNeeded(RunId run) const;

  const storage::ReplicaStorage& storage_;
  ChunkFetcher& fetcher_;
  const storage::RunNeeds& own_;
  absl::Duration next_;
  std::optional<storage::ChunkId> after_;  // those up to it have had their turn
};

}  // namespace meridian::replication
