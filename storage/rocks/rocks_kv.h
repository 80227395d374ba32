// One disk's RocksDB: four families of rows, without a write-ahead log. The disk's journal is the
// log: after a crash the families stand at their last common flush, and the journal is replayed.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "storage/kv.h"
#include "storage/rocks/file_cipher.h"

namespace rocksdb {
class Env;
}  // namespace rocksdb

namespace meridian::storage {

// Stored as RocksDB's column families of these names.
enum class Family {
  kMeta,   // "default": the disk's journal position and ranges
  kLog,    // "log": log index
  kState,  // "state": object state
  kChunk,  // "chunk": chunk index
};
constexpr size_t kFamilies = 4;

// Changes to several families, visible and flushed together. Movable, not thread-safe.
class RocksBatch {
 public:
  RocksBatch();
  RocksBatch(RocksBatch&&) noexcept;
  RocksBatch& operator=(RocksBatch&&) noexcept;
  ~RocksBatch();

  void Put(Family family, std::string_view key, std::string_view value);
  void Delete(Family family, std::string_view key);
  // Keys in [first, end).
  void DeleteRange(Family family, std::string_view first, std::string_view end);
  // All of `batch`, every key with `prefix` before it.
  void Append(Family family, std::string_view prefix, const KvBatch& batch);
  size_t size_bytes() const;

 private:
  friend class RocksKv;
  struct Rep;
  std::unique_ptr<Rep> rep_;
};

// Block cache and memtable budget shared by the DBs of a process. Thread-safe.
class RocksMemory {
 public:
  virtual ~RocksMemory() = default;
};
std::shared_ptr<RocksMemory> MakeRocksMemory(size_t block_cache_bytes, size_t memtables_bytes);

struct RocksOptions {
  std::string folder;
  FileCipherFactory* ciphers = nullptr;  // outlives the DB
  // Files below the encryption; nullptr: the operating system's.
  rocksdb::Env* base_env = nullptr;
  std::shared_ptr<RocksMemory> memory = nullptr;  // nullptr: a small one of its own
  size_t memtable_bytes = 4 << 20;                // of each family
  // Keys of kState begin with so many bytes of any content. What follows up to the first NUL is a
  // name; filters tell which files have no key of a name (KvReader::NewNameIterator).
  size_t state_prefix_bytes = 0;
  int max_open_files = 256;
  // Called when a flush begins to wait for space, by RocksDB's thread, one call at a time: it may
  // make some room, and must not call the RocksKv. None after StopWaiting. May be empty.
  std::function<void()> no_space = nullptr;
};

// Thread-safe. An error is never reported as absence (I10): DATA_LOSS is damage, RESOURCE_EXHAUSTED
// a full disk, UNAVAILABLE any other failure of the disk.
//
// On a full disk what RocksDB does in the background waits until there is space. Rows are taken as
// long as they have room in memory.
class RocksKv {
 public:
  // Creates the DB if the folder has none. FAILED_PRECONDITION: not under this node key.
  static absl::StatusOr<std::unique_ptr<RocksKv>> Open(const RocksOptions& options);
  // Flushes nothing: what was not flushed is gone, as after a crash. Views may outlive the RocksKv;
  // the files stay open until the last is gone.
  ~RocksKv();

  // Visible at once; durable after the next Flush. RESOURCE_EXHAUSTED: nothing was written, since
  // memory has no room, and has had none for a second or cannot be flushed for want of space.
  absl::Status Write(const RocksBatch& batch);
  // Makes everything written before durable, all families at one point. Blocks, also for space that
  // is gone once it has begun. RESOURCE_EXHAUSTED: it was not begun, for want of space. CANCELLED:
  // after StopWaiting.
  absl::Status Flush();
  // Something waits for space: rows may have no room until a flush has succeeded.
  bool waits_for_space() const;
  // A flush does, now: Flush would wait behind it.
  bool flush_waits() const;
  // Ends all waiting for space: what waits fails, and nothing can be written any more. Before the
  // destruction, where another thread may be in Flush.
  void StopWaiting();

  absl::StatusOr<std::optional<std::string>> Get(Family family, std::string_view key) const;
  // Of the newest state at creation. Keys in [lower, upper): call Seek first.
  std::unique_ptr<KvIterator> NewIterator(Family family, std::string_view lower,
                                          std::string_view upper) const;
  // A file of rows on the disk. Numbers grow in the order in which files are made.
  struct TableFile {
    uint64_t number = 0;
    uint64_t size_bytes = 0;
    std::string name;
  };
  // Those in use now, by number.
  std::vector<TableFile> TableFiles() const;
  // Reads a file of rows from the medium, past all caches, and verifies every block of it.
  // `before_read` is asked before each read, with its size; its error ends the verification and is
  // returned. OK: the file is whole, or not in use any more. DATA_LOSS: damaged; UNAVAILABLE: it
  // cannot be read.
  absl::Status VerifyTable(const TableFile& table,
                           const std::function<absl::Status(uint64_t)>& before_read) const;

  // A snapshot of the rows whose keys begin with `prefix`, shown without it.
  std::unique_ptr<KvReader> NewView(Family family, std::string prefix) const;

 private:
  struct Rep;
  explicit RocksKv(std::shared_ptr<Rep> rep);

  absl::Status CheckRoomToFlush() const;

  const std::shared_ptr<Rep> rep_;
};

// The first key after all that begin with `prefix`; empty if there is none (all 0xff).
std::string PrefixEnd(std::string_view prefix);

}  // namespace meridian::storage
