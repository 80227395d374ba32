// One disk's life through many power cuts: works on a DiskStore until the power goes, opens it
// again, and compares what is there with what was acknowledged (I1, I4, P2). The disk has replicas
// of two partitions of one container; one of the two is replaced by another now and then.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "crypto/node_key.h"
#include "rocksdb/env.h"
#include "storage/disk_store.h"
#include "storage/node_record_sealers.h"
#include "storage/rocks/node_file_ciphers.h"
#include "tests/fakes/fault_disk.h"
#include "tests/fakes/manual_executor.h"

namespace meridian::storage {

// The test's thread is the strand. The journal, the extents and RocksDB are the real ones.
class PowerLossRun {
 public:
  explicit PowerLossRun(uint64_t seed);
  ~PowerLossRun();

  // Opens the disk, checks it, works until the power is cut within an operation chosen by the seed.
  // Returns what was lost; "" if nothing was.
  std::string Live();
  FaultDisk& fault() { return fault_; }

  // What happened, so that a test can tell that it tested something.
  struct Totals {
    int cuts = 0;
    int cuts_while_opening = 0;
    int persists = 0;
    int truncations = 0;
    int chunks = 0;
    int applied = 0;
    int checkpoints = 0;
    int trims = 0;
    int replacements = 0;
    int unanswered_persists = 0;  // at a cut
  };
  const Totals& totals() const { return totals_; }

 private:
  // What a replica holds after some of the requests made.
  struct State {
    Epoch promised;
    // From index 1 on, trimmed or not; the entries are shared between states.
    std::vector<std::shared_ptr<const LogEntry>> log;
  };

  // A replica, and what it must hold.
  struct Partition {
    PartitionId id;
    std::optional<ReplicaId> replica = {};  // whose creation was acknowledged, or found
    bool may_be_gone = false;               // its removal was not answered
    std::unique_ptr<ReplicaStorage> storage = {};
    State acknowledged = {};
    // After each step of the requests that were made and not acknowledged, in order.
    std::vector<State> possible = {};
    uint64_t committed = 0;  // applied at some time: never truncated
    uint64_t applied = 0;
  };

  absl::Status Open();
  absl::Status OpenPartition(Partition& partition);
  absl::Status Create(Partition& partition);
  void Close();
  std::string Check();
  std::string CheckLog();
  bool Holds(const State& state);
  std::string CheckChunks();
  std::string CheckRows(LogIndex applied);

  std::string Work();
  void Persist();
  PersistRequest NextRequest(State& state);
  LogEntry NextEntry(const State& state);
  void WriteChunk();
  void Apply(uint64_t up_to);
  void DropOldRun();
  void Checkpoint();
  void Trim();
  void Replace(Partition& partition);
  std::string RandomBytes(size_t max_size);

  FaultDisk fault_;
  SeededRandom random_;
  SystemRandom system_random_;
  SystemClock clock_;
  const crypto::NodeKey key_;
  NodeFileCiphers ciphers_;
  NodeRecordSealers sealers_;
  ManualExecutor strand_;
  std::unique_ptr<Disk> disk_;
  std::unique_ptr<rocksdb::Env> env_;
  std::unique_ptr<DiskStore> store_;

  ContainerId container_;
  std::array<Partition, 2> partitions_;
  Partition* at_ = &partitions_[0];  // the one that is worked on, or checked
  std::set<ReplicaId> removed_;
  std::map<ChunkId, std::string> chunks_;  // acknowledged, not dropped
  uint64_t serial_ = 0;
  Totals totals_;
};

}  // namespace meridian::storage
