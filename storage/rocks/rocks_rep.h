// What RocksKv, its batches and its views share; private to this folder.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "rocksdb/db.h"
#include "rocksdb/slice_transform.h"
#include "rocksdb/write_batch.h"
#include "storage/rocks/rocks_kv.h"
#include "storage/rocks/space_gate.h"

namespace meridian::storage {

inline constexpr double kBloomBitsPerKey = 10;

inline rocksdb::Slice ToSlice(std::string_view s) { return {s.data(), s.size()}; }
inline std::string_view FromSlice(const rocksdb::Slice& s) { return {s.data(), s.size()}; }
absl::Status FromRocks(const rocksdb::Status& status, std::string_view what);

struct RocksBatch::Rep {
  rocksdb::WriteBatch batch;
};

// Families are addressed by their column family's id: the position in Family, as Open creates them
// in that order.
inline uint32_t ColumnFamilyId(Family family) { return static_cast<uint32_t>(family); }

// Members are destroyed from the last to the first: the handles and the DB before what they use.
struct RocksKv::Rep {
  std::shared_ptr<SpaceGate> gate;
  std::unique_ptr<rocksdb::Env> gated_env;
  std::unique_ptr<rocksdb::Env> env;  // over gated_env
  std::shared_ptr<RocksMemory> memory;
  std::unique_ptr<rocksdb::DB> db;
  std::array<rocksdb::ColumnFamilyHandle*, kFamilies> handles{};

  // RocksDB met a full disk past the gate, and refuses to write until it is told to go on.
  std::atomic<bool> was_full{false};
  bool has_threads = false;
  // See RocksOptions; 0: rows are not found by name.
  size_t state_prefix_bytes = 0;
  static inline std::atomic<int> open_dbs{0};

  ~Rep();
  void AddThreads();
  rocksdb::ColumnFamilyHandle* handle(Family family) const {
    return handles[static_cast<size_t>(family)];
  }
};

// Iterates [lower, upper) of a family; `snapshot` nullptr: the newest state. `keep_alive` holds
// what the iterator reads from. The first `prefix_size` bytes of keys are not shown, and are those
// of `lower`. `one_name`: all keys between the bounds have the part of `lower` that NamePrefix
// gives.
std::unique_ptr<KvIterator> NewRocksIterator(std::shared_ptr<const void> keep_alive,
                                             rocksdb::DB& db, rocksdb::ColumnFamilyHandle* handle,
                                             const rocksdb::Snapshot* snapshot, std::string lower,
                                             std::string upper, size_t prefix_size, bool one_name);

// See RocksOptions::state_prefix_bytes.
std::shared_ptr<const rocksdb::SliceTransform> NewNamePrefix(size_t state_prefix_bytes);

}  // namespace meridian::storage
