#include "tests/simulation/planted_bugs.h"

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "meridian/internal/v1/replication.pb.h"
#include "tests/fakes/memory_replica_storage.h"

namespace meridian::simulation {
namespace {

namespace pb = ::meridian::internal::v1;
using storage::ChunkId;
using storage::ChunkRange;
using storage::MemoryReplicaStorage;
using storage::PersistRequest;

// Reports log writes as done at once, though the disk takes its time.
class EarlyStorage : public MemoryReplicaStorage {
 public:
  EarlyStorage(Copy& copy, Executor& strand, Random& random)
      : MemoryReplicaStorage(copy.disk, strand, random), strand_(strand) {}

  void Persist(PersistRequest request, Done done) override {
    waiting_.push_back(std::move(done));
    const uint64_t number = ++issued_;
    MemoryReplicaStorage::Persist(std::move(request),
                                  [this, number](const absl::Status&) { CompleteTo(number); });
    if (IsEarly()) strand_.Post([this, number] { CompleteTo(number); });
  }

 protected:
  virtual bool IsEarly() { return true; }

 private:
  // In order, as the contract demands: only the time is wrong.
  void CompleteTo(uint64_t number) {
    while (completed_ < number) {
      ++completed_;
      const Done done = std::move(waiting_.front());
      waiting_.pop_front();
      done(absl::OkStatus());
    }
  }

  Executor& strand_;
  std::deque<Done> waiting_;
  uint64_t issued_ = 0;
  uint64_t completed_ = 0;
};

// The same while its replica leads.
class EarlyLeaderStorage final : public EarlyStorage {
 public:
  EarlyLeaderStorage(Copy& copy, Executor& strand, Random& random)
      : EarlyStorage(copy, strand, random), copy_(copy) {}

 protected:
  bool IsEarly() override {
    if (copy_.replica != nullptr) {
      copy_.replica->GetStatus(
          [this](const replication::ReplicaStatus& status) { leads_ = status.is_leader; });
    }
    return leads_;
  }

 private:
  Copy& copy_;
  bool leads_ = false;
};

// Makes members promise a new epoch although they hear the leader, and then accept what the old
// leader sends, too: their refusal arrives as an acknowledgement.
class EpochForger {
 public:
  void operator()(replication::PeerMessage& message) {
    pb::PeerMessageBody body;
    if (!body.ParseFromString(message.body)) return;
    if (body.has_append()) {
      Remember(message, body.append());
    } else if (body.has_append_reply()) {
      Forge(message, *body.mutable_append_reply());
    } else if (body.has_probe_reply()) {
      body.mutable_probe_reply()->set_granted(true);
    }
    message.body = body.SerializeAsString();
  }

 private:
  struct Sent {
    uint64_t epoch = 0;
    uint64_t last_index = 0;
    uint64_t read_round = 0;
  };

  void Remember(const replication::PeerMessage& message, const pb::Append& append) {
    const uint64_t last = append.prev().index() + static_cast<uint64_t>(append.entries_size());
    sent_[{message.from, message.to}] = {append.epoch(), last, append.read_round()};
  }

  void Forge(const replication::PeerMessage& message, pb::AppendReply& reply) {
    const Sent& sent = sent_[{message.to, message.from}];
    if (sent.epoch == 0 || reply.epoch() <= sent.epoch) return;
    reply.set_epoch(sent.epoch);
    reply.set_match_index(sent.last_index);
    reply.set_rejected(false);
    reply.set_read_round(sent.read_round);
  }

  // The newest append from one replica to another.
  std::map<std::pair<ReplicaId, ReplicaId>, Sent> sent_;
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
  Plant plant;
  plant.make_storage = [](Copy& copy, Executor& strand, Random& random) {
    return std::make_unique<Storage>(copy, strand, random);
  };
  return plant;
}

}  // namespace

Plant ReplyBeforeSync() { return PlantStorage<EarlyStorage>(); }
Plant LeaderCountsItsVoteEarly() { return PlantStorage<EarlyLeaderStorage>(); }
Plant OldEpochAccepted() {
  Plant plant;
  plant.make_tamper = [] { return EpochForger(); };
  return plant;
}
Plant ChunkAcknowledgedButMissing() { return PlantStorage<LeakyStorage>(); }
Plant ChildBeginsEmpty() {
  Plant plant;
  plant.child_begins_whole = true;
  return plant;
}
Plant RedundancyShownEarly() {
  Plant plant;
  plant.redundancy_shown_early = true;
  return plant;
}

}  // namespace meridian::simulation
