// A group of pure cores in one thread: messages, disks and the store's compare-and-swap are queues
// that a test lets move, or holds back. Time is a number.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/random.h"
#include "replication/core/replica_core.h"

namespace meridian::replication {

inline ReplicaId IdOf(int n) {
  std::string bytes(16, '\0');
  bytes[15] = static_cast<char>(n);
  return *ReplicaId::FromBytes(bytes);
}
inline int NumberOf(ReplicaId id) { return static_cast<uint8_t>(id.bytes()[15]); }
inline SessionId SessionOf(uint64_t n) {
  std::string bytes(16, '\0');
  for (int i = 0; i < 8; ++i) bytes[8 + i] = static_cast<char>(n >> (56 - 8 * i));
  return *SessionId::FromBytes(bytes);
}
inline Member MemberOf(int n) { return {IdOf(n), "n" + std::to_string(n), DiskId()}; }

// What is durable of one replica, and what is on its way there.
class FakeDisk : public LogReader {
 public:
  absl::StatusOr<std::vector<storage::LogEntry>> ReadLog(LogIndex first, LogIndex last,
                                                         size_t max_bytes) const override;
  void Write(const storage::PersistRequest& request);
  void Trim(LogIndex to);

  // Whoever asks has to ask again.
  bool slow = false;
  mutable std::set<LogIndex> reading;

  Epoch promised;
  LogIndex base;
  Epoch base_epoch;
  std::vector<storage::LogEntry> log;  // durable
  LogIndex applied;
  Timestamp applied_timestamp;
  bool installing = false;
  std::deque<CoreOutput::Persist> queue;
};

class CoreCluster {
 public:
  struct Node {
    FakeDisk disk;
    std::unique_ptr<ReplicaCore> core;  // null: down
    std::vector<std::string> applied;
    std::vector<ConfirmedRead> reads;
    std::vector<CoreOutput::Incomplete> incomplete;
    std::vector<ReplicaId> need_snapshot;
    std::optional<GroupConfig> swap;
    bool hold_disk = false;
    bool hold_chunks = false;
    bool cut_from_store = false;
    int leadership_lost = 0;
  };

  explicit CoreCluster(int size, uint64_t seed = 1) : random_(seed) {
    for (int n = 1; n <= size; ++n) stored.members.push_back(MemberOf(n));
  }

  void StartAll() {
    for (const ReplicaId& id : Named()) Start(id);
  }
  // Whom the stored configuration names.
  std::set<ReplicaId> Named() const;
  void Start(ReplicaId id);
  // Loses what is not durable.
  void Crash(ReplicaId id);

  ReplicaCore& core(int n) { return *nodes.at(IdOf(n)).core; }
  Node& node(int n) { return nodes.at(IdOf(n)); }

  void Cut(int a, int b) {
    cut.insert({IdOf(a), IdOf(b)});
    cut.insert({IdOf(b), IdOf(a)});
  }
  void Isolate(int a);
  void Heal() { cut.clear(); }

  // Takes every core's output, completes disks, delivers messages, until nothing moves.
  void Settle();

  // Lets `duration` pass in steps, settling after each.
  void Run(absl::Duration duration);

  // The serving leader with the highest epoch; 0: none.
  int Leader();

  absl::StatusOr<LogPosition> Propose(int n, std::string command, Timestamp wall = Timestamp(0));

  struct Delivery {
    ReplicaId from;
    ReplicaId to;
    CoreMessage message;
  };

  GroupConfig stored;  // in the coordination store
  bool store_up = true;
  bool hide_swap_outcome = false;  // the swap happens, its answer is lost
  std::function<bool(const GroupConfig&)> allow_swap;
  bool serve_snapshots = false;  // as they are asked for
  CoreOptions options{{absl::Milliseconds(150), absl::Milliseconds(1500), 1 << 16, 1 << 18},
                      {4096, 8192}};
  std::map<ReplicaId, Node> nodes;
  std::deque<Delivery> in_flight;
  std::set<std::pair<ReplicaId, ReplicaId>> cut;
  std::function<bool(ReplicaId, ReplicaId, CoreMessage&)> filter;
  std::function<size_t(size_t)> pick;  // which message is delivered next, of how many
  absl::Duration now = absl::Seconds(100);

  // What the drivers do with a snapshot, at once; `cut_off`: the receiver crashes in the middle.
  void TransferSnapshot(ReplicaId from, ReplicaId to, bool cut_off);
  void ServeSnapshots();
  // A quorum was lost for good (P23): what `survivor` has is all there is from now on. Of the lost
  // ones, none is to apply anything that it has not applied yet.
  void Recover(ReplicaId survivor);

  // Everything committed so far, as applied by whoever was first.
  const std::map<LogIndex, storage::LogEntry>& applied() const { return applied_; }

 private:
  bool Pump(ReplicaId id, Node& node);
  void CompleteOneWrite(Node& node);
  // False: the disk is still being read.
  bool Apply(Node& node);
  void Swap(Node& node);

  SeededRandom random_;
  uint64_t sessions_ = 0;
  std::map<LogIndex, storage::LogEntry> applied_;
};

}  // namespace meridian::replication
