// A group of real replicas over in-memory storage, transport and coordination store, on one manual
// strand in simulated time.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/crc32c.h"
#include "base/random.h"
#include "coordination/in_memory.h"
#include "replication/rebuild_throttle.h"
#include "replication/replica.h"
#include "replication/wire.h"
#include "tests/fakes/manual_executor.h"
#include "tests/fakes/memory_replica_storage.h"
#include "tests/replication/core_cluster.h"
#include "tests/replication/faulty_storage.h"
#include "tests/replication/toy_state_machine.h"

namespace meridian::replication {

class ReplicaGroup {
 public:
  explicit ReplicaGroup(int size, ReplicaOptions options = Options())
      : partition_(Partition()), options_(options), executor_(own_executor_) {
    Make(size);
  }
  // Of another partition of `sibling`'s container, on the same disks. `sibling` outlives it.
  ReplicaGroup(ReplicaGroup& sibling, PartitionId partition)
      : partition_(partition),
        options_(sibling.options_),
        executor_(sibling.executor_),
        random_(43),  // not its runs
        chunks_(sibling.chunks_) {
    Make(static_cast<int>(sibling.config_.members.size()));
  }
  ~ReplicaGroup() { replicas_.clear(); }

  static ReplicaOptions Options() {
    ReplicaOptions options;
    options.retained_log_entries = 16;
    options.retained_for_answering = 16;
    options.garbage_interval = absl::Milliseconds(500);
    options.orphan_age = absl::Seconds(20);
    return options;
  }
  static PartitionId Partition() { return *PartitionId::FromHex(std::string(32, '7')); }

  // Of replicas that start later, all together.
  RebuildThrottle& ThrottleRebuilds(uint64_t bytes_per_second) {
    throttle_ = std::make_unique<RebuildThrottle>(executor_, bytes_per_second);
    return *throttle_;
  }
  // A replica that no configuration names yet: empty, on a disk of its own.
  void Add(int n) {
    MakeDisk(n);
    Start(n);
  }
  void Start(int n) {
    std::optional<coordination::KeyValue> stored;
    store_.Get(GroupConfigKey(partition_), [&](auto value) { stored = **value; });
    RunUntil([&] { return stored.has_value(); });
    auto config = DecodeGroupConfig(stored->value);
    CHECK_INVARIANT(config.ok(), "the stored configuration decodes");
    Replica::Environment environment{
        executor_,
        clock_,
        random_,
        transports_.try_emplace(n, *this, n).first->second,
        store_,
        std::make_unique<FaultyStorage>(
            std::make_unique<storage::MemoryReplicaStorage>(*disks_[n], executor_, random_),
            faults_[n]),
        state_machine_,
        [](RunId run) { return "abort " + run.ToHex(); },
        [this, n](const absl::Status& status) { failures_[n] = status; },
        throttle_.get()};
    replicas_[n] = MakeReplica(partition_, IdOf(n), *config, stored->mod_revision, options_,
                               std::move(environment));
  }
  // As an operator does once a quorum is lost for good (P23), and tells the survivor of it.
  void Recover(int survivor) {
    std::optional<coordination::KeyValue> stored;
    store_.Get(GroupConfigKey(partition_), [&](auto value) { stored = **value; });
    RunUntil([&] { return stored.has_value(); });
    const auto config = DecodeGroupConfig(stored->value);
    CHECK_INVARIANT(config.ok(), "the stored configuration decodes");
    coordination::Transaction change;
    change.compares.push_back({stored->key, stored->mod_revision});
    change.writes.push_back(
        {stored->key, EncodeGroupConfig(RecoveredConfig(*config, MemberOf(survivor)))});
    store_.Commit(change, [](auto) {});
    executor_.RunQueued();
    replica(survivor).OnConfigHint();
  }
  void Crash(int n) {
    replicas_.erase(n);
    disks_[n]->LoseUnsynced(random_);
  }
  Replica& replica(int n) { return *replicas_.at(n); }
  StorageFaults& faults(int n) { return faults_[n]; }
  storage::MemoryReplicaDisk& disk(int n) { return *disks_.at(n); }
  std::optional<absl::Status> failure(int n) const {
    auto it = failures_.find(n);
    return it == failures_.end() ? std::nullopt : std::optional(it->second);
  }

  void RunUntil(const std::function<bool()>& done) { executor_.RunUntil(done); }
  void RunFor(absl::Duration duration) {
    bool over = false;
    executor_.PostAfter(duration, [&] { over = true; });
    RunUntil([&] { return over; });
  }
  ReplicaStatus Status(int n) {
    std::optional<ReplicaStatus> status;
    replica(n).GetStatus([&](ReplicaStatus s) { status = s; });
    RunUntil([&] { return status.has_value(); });
    return *status;
  }
  // Waits until one serves.
  int Leader() {
    for (int tries = 0; tries < 1000; ++tries) {
      for (auto& [n, replica] : replicas_) {
        if (Status(n).is_serving) return n;
      }
      RunFor(absl::Milliseconds(50));
    }
    return 0;
  }
  absl::StatusOr<Applied> Propose(int n, Proposal proposal) {
    std::optional<absl::StatusOr<Applied>> result;
    replica(n).Propose(std::move(proposal), [&](auto applied) { result = std::move(applied); });
    RunUntil([&] { return result.has_value(); });
    return *result;
  }
  absl::StatusOr<Applied> Propose(int n, const std::string& command) {
    Proposal proposal;
    proposal.command = command;
    return Propose(n, std::move(proposal));
  }
  absl::Status WriteChunk(int n, storage::ChunkId chunk, const std::string& bytes) {
    std::optional<absl::Status> result;
    replica(n).WriteChunk(chunk, Buffer::FromString(bytes), Crc32c(bytes),
                          [&](absl::Status status) { result = status; });
    RunUntil([&] { return result.has_value(); });
    return *result;
  }
  // Writes a run of chunks and commits a reference to it.
  absl::StatusOr<Applied> PutRun(int n, RunId run, uint32_t chunks, const std::string& bytes) {
    for (uint32_t i = 0; i < chunks; ++i) {
      absl::Status status = WriteChunk(n, {run, i}, bytes);
      if (!status.ok()) return status;
    }
    Proposal proposal;
    proposal.command = "ref " + run.ToHex() + " " + std::to_string(chunks);
    proposal.chunks.push_back({run, 0, chunks});
    auto applied = Propose(n, std::move(proposal));
    replica(n).EndRun(run);
    return applied;
  }
  absl::StatusOr<std::pair<LogIndex, std::string>> Digest(int n) {
    std::optional<absl::StatusOr<std::pair<LogIndex, std::string>>> result;
    replica(n).GetDigest([&](auto digest) { result = std::move(digest); });
    RunUntil([&] { return result.has_value(); });
    return *result;
  }
  absl::Status ConfirmRead(int n) {
    std::optional<absl::Status> result;
    replica(n).ConfirmRead([&](absl::Status status) { result = status; });
    RunUntil([&] { return result.has_value(); });
    return *result;
  }
  RunId NewRun() { return RunId::Draw(random_); }

  void Isolate(int n) { isolated_.insert(n); }
  void Heal() { isolated_.clear(); }
  // May change or, by false, drop a message.
  std::function<bool(int from, int to, PeerMessage&)> filter;

  ManualExecutor& executor() { return executor_; }

 private:
  void Make(int size) {
    for (int n = 1; n <= size; ++n) {
      config_.members.push_back(MemberOf(n));
      MakeDisk(n);
    }
    coordination::Transaction create;
    create.compares.push_back({GroupConfigKey(partition_), 0});
    create.writes.push_back({GroupConfigKey(partition_), EncodeGroupConfig(config_)});
    store_.Commit(create, [](auto) {});
    executor_.RunQueued();
    for (int n = 1; n <= size; ++n) Start(n);
  }
  void MakeDisk(int n) {
    auto& chunks = chunks_[n];
    if (chunks == nullptr) chunks = std::make_shared<storage::MemoryChunks>();
    disks_[n] = std::make_unique<storage::MemoryReplicaDisk>(
        storage::MemoryDiskOptions{}, partition_, chunks, /*installing=*/false);
  }

  class LocalTransport : public Transport {
   public:
    LocalTransport(ReplicaGroup& group, int from) : group_(group), from_(from) {}
    void Send(const NodeId& node, PeerMessage message) override {
      int to = std::stoi(node.substr(1));
      if (group_.isolated_.contains(to) || group_.isolated_.contains(from_)) return;
      if (group_.filter && !group_.filter(from_, to, message)) return;
      group_.executor_.PostAfter(absl::Microseconds(200),
                                 [this, to, message = std::move(message)]() mutable {
                                   auto it = group_.replicas_.find(to);
                                   if (it == group_.replicas_.end()) return;
                                   it->second->OnMessage(std::move(message));
                                 });
    }

   private:
    ReplicaGroup& group_;
    const int from_;
  };
  class StrandClock : public Clock {
   public:
    explicit StrandClock(Executor& executor) : executor_(executor) {}
    absl::Time WallNow() override { return absl::UnixEpoch() + MonotonicNow(); }
    absl::Duration MonotonicNow() override { return executor_.MonotonicNow(); }

   private:
    Executor& executor_;
  };

  const PartitionId partition_;
  const ReplicaOptions options_;
  ManualExecutor own_executor_;
  ManualExecutor& executor_;
  StrandClock clock_{executor_};
  SeededRandom random_{42};
  std::unique_ptr<RebuildThrottle> throttle_;
  coordination::InMemoryCoordinationStore store_{executor_};
  ToyStateMachine state_machine_;
  GroupConfig config_;
  std::map<int, std::shared_ptr<storage::MemoryChunks>> chunks_;
  std::map<int, std::unique_ptr<storage::MemoryReplicaDisk>> disks_;
  std::map<int, StorageFaults> faults_;
  std::map<int, LocalTransport> transports_;
  std::map<int, absl::Status> failures_;
  std::set<int> isolated_;
  std::map<int, std::unique_ptr<Replica>> replicas_;
};

}  // namespace meridian::replication
