#include "tests/simulation/planted_bugs.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

namespace meridian::simulation {
namespace {

using storage::ChunkId;
using storage::ChunkRange;
using storage::MemoryReplicaStorage;
using storage::PersistRequest;
using storage::RecoveredReplica;

// Reports log writes as done at once, though the disk takes its time.
class EarlyStorage : public MemoryReplicaStorage {
 public:
  EarlyStorage(Copy& copy, Executor& strand, Random& random)
      : MemoryReplicaStorage(copy.disk, strand, random), strand_(strand) {}

  void Persist(PersistRequest request, Done done) override {
    MemoryReplicaStorage::Persist(std::move(request), [](const absl::Status&) {});
    strand_.Post([done = std::move(done)] { done(absl::OkStatus()); });
  }

 private:
  Executor& strand_;
};

// The same while its replica leads.
class EarlyLeaderStorage final : public EarlyStorage {
 public:
  EarlyLeaderStorage(Copy& copy, Executor& strand, Random& random)
      : EarlyStorage(copy, strand, random), copy_(copy) {}

  void Persist(PersistRequest request, Done done) override {
    if (leads_) {
      EarlyStorage::Persist(std::move(request), std::move(done));
    } else {
      MemoryReplicaStorage::Persist(std::move(request), std::move(done));
    }
    if (copy_.replica == nullptr) return;
    copy_.replica->GetStatus(
        [this](const replication::ReplicaStatus& status) { leads_ = status.is_leader; });
  }

 private:
  Copy& copy_;
  bool leads_ = false;
};

// Comes back from a restart with no other promise than its log's last epoch.
class ForgetfulStorage final : public MemoryReplicaStorage {
 public:
  ForgetfulStorage(Copy& copy, Executor& strand, Random& random)
      : MemoryReplicaStorage(copy.disk, strand, random),
        forgetful_(MemoryReplicaStorage::recovered()) {
    forgetful_.hard_state.promised =
        forgetful_.epochs.empty() ? forgetful_.base_epoch : forgetful_.epochs.back();
  }

  const RecoveredReplica& recovered() const override { return forgetful_; }

 private:
  RecoveredReplica forgetful_;
};

// Forgets chunks while it acknowledges them.
class LeakyStorage final : public MemoryReplicaStorage {
 public:
  LeakyStorage(Copy& copy, Executor& strand, Random& random)
      : MemoryReplicaStorage(copy.disk, strand, random), strand_(strand), random_(random) {}

  void WriteChunk(ChunkId chunk, Buffer ciphertext, uint32_t crc32c, Done done) override {
    if (random_.Uniform(8) != 0) {
      MemoryReplicaStorage::WriteChunk(chunk, std::move(ciphertext), crc32c, std::move(done));
    } else {
      strand_.Post([done = std::move(done)] { done(absl::OkStatus()); });
    }
  }
  absl::StatusOr<std::vector<ChunkId>> MissingChunks(const ChunkRange&) const override {
    return std::vector<ChunkId>();
  }

 private:
  Executor& strand_;
  Random& random_;
};

template <typename Storage>
Plant PlantStorage() {
  return {.make_storage = [](Copy& copy, Executor& strand, Random& random) {
    return std::make_unique<Storage>(copy, strand, random);
  }};
}

}  // namespace

Plant ReplyBeforeSync() { return PlantStorage<EarlyStorage>(); }
Plant LeaderCountsItsVoteEarly() { return PlantStorage<EarlyLeaderStorage>(); }
Plant OldEpochAccepted() { return PlantStorage<ForgetfulStorage>(); }
Plant ChunkAcknowledgedButMissing() { return PlantStorage<LeakyStorage>(); }

}  // namespace meridian::simulation
