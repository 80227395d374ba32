#include "storage/rocks/rocks_kv.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/check.h"
#include "rocksdb/cache.h"
#include "rocksdb/filter_policy.h"
#include "rocksdb/listener.h"
#include "rocksdb/table.h"
#include "rocksdb/write_buffer_manager.h"
#include "storage/rocks/encrypted_env.h"
#include "storage/rocks/rocks_rep.h"

namespace meridian::storage {
namespace {

constexpr const char* kFamilyNames[kFamilies] = {"default", "log", "state", "chunk"};
constexpr size_t kOwnCacheBytes = 4 << 20;
constexpr size_t kOwnMemtablesBytes = 16 << 20;
constexpr size_t kArenaBlockBytes = 64 << 10;
// A strand applies entries: a flush that is slow must have made this many memtables before writes
// wait for it.
constexpr int kMaxMemtables = 7;
// Of a memtable's bytes, for the filter of its keys.
constexpr double kMemtableBloomShare = 0.05;
// Between looks whether a flush has made room; and how long somebody may wait for it.
constexpr absl::Duration kLookAgain = absl::Milliseconds(1);
constexpr absl::Duration kMaxStall = absl::Seconds(1);
// Of a part of a table's filter or index.
constexpr uint64_t kMetadataBlockBytes = 16 << 10;
// Of what a flush writes beside the rows: prefixes of files, manifest.
constexpr uint64_t kFlushMarginBytes = 1 << 20;

class Memory : public RocksMemory {
 public:
  Memory(size_t cache_bytes, size_t memtables_bytes)
      : cache(rocksdb::NewLRUCache(cache_bytes, /*num_shard_bits=*/2)),
        write_buffers(std::make_shared<rocksdb::WriteBufferManager>(memtables_bytes)) {}

  const std::shared_ptr<rocksdb::Cache> cache;
  const std::shared_ptr<rocksdb::WriteBufferManager> write_buffers;
};

rocksdb::ColumnFamilyOptions MakeFamilyOptions(const RocksOptions& options, const Memory& memory) {
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = memory.cache;
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(kBloomBitsPerKey));
  table.whole_key_filtering = true;
  // Counted in the shared cache, so that memory stays within its bound however many rows there are.
  // In parts: the whole filter of a large file takes most of a MiB, and where they do not all fit,
  // each lookup would read one.
  table.cache_index_and_filter_blocks = true;
  table.pin_l0_filter_and_index_blocks_in_cache = true;
  table.index_type = rocksdb::BlockBasedTableOptions::kTwoLevelIndexSearch;
  table.partition_filters = true;
  table.metadata_block_size = kMetadataBlockBytes;

  rocksdb::ColumnFamilyOptions family;
  family.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  family.write_buffer_size = options.memtable_bytes;
  family.arena_block_size = kArenaBlockBytes;
  family.max_write_buffer_number = kMaxMemtables;
  // Rows are ids, hashes and wrapped keys: they do not compress.
  family.compression = rocksdb::kNoCompression;
  // No slowing down, only stops: see Write.
  family.level0_slowdown_writes_trigger = 80;
  family.level0_stop_writes_trigger = 80;
  family.soft_pending_compaction_bytes_limit = 0;
  return family;
}

// RocksDB's own recovery from a full disk flushes while others do, and then waits for ever (7.8):
// only Flush recovers.
class BackgroundWork : public rocksdb::EventListener {
 public:
  // `was_full` outlives the DB.
  explicit BackgroundWork(std::atomic<bool>& was_full) : was_full_(was_full) {}
  void OnSubcompactionBegin(const rocksdb::SubcompactionJobInfo&) override {
    SpaceGate::SetCompacting(true);
  }
  void OnSubcompactionCompleted(const rocksdb::SubcompactionJobInfo&) override {
    SpaceGate::SetCompacting(false);
  }
  void OnErrorRecoveryBegin(rocksdb::BackgroundErrorReason, rocksdb::Status,
                            bool* auto_recovery) override {
    *auto_recovery = false;
  }
  // Past the gate: where a file system takes no space beforehand.
  void OnBackgroundError(rocksdb::BackgroundErrorReason, rocksdb::Status* error) override {
    if (error->IsNoSpace()) was_full_ = true;
  }

 private:
  std::atomic<bool>& was_full_;
};

rocksdb::DBOptions MakeDbOptions(const RocksOptions& options, const Memory& memory,
                                 rocksdb::Env* env, std::atomic<bool>& was_full) {
  rocksdb::DBOptions db;
  db.env = env;
  db.create_if_missing = true;
  db.create_missing_column_families = true;
  db.atomic_flush = true;
  // Closing is a crash: only Flush decides what is durable.
  db.avoid_flush_during_shutdown = true;
  db.write_buffer_manager = memory.write_buffers;
  db.max_open_files = options.max_open_files;
  db.max_background_jobs = 2;
  db.listeners.push_back(std::make_shared<BackgroundWork>(was_full));
  db.stats_dump_period_sec = 0;
  db.stats_persist_period_sec = 0;
  db.use_direct_reads = false;
  db.use_direct_io_for_flush_and_compaction = false;
  return db;
}

}  // namespace

absl::Status FromRocks(const rocksdb::Status& status, std::string_view what) {
  if (status.ok()) return absl::OkStatus();
  const std::string message = std::string(what) + ": " + status.ToString();
  if (status.IsCorruption()) return absl::DataLossError(message);
  if (status.IsNoSpace()) return absl::ResourceExhaustedError(message);
  // The folder's options or keys are not those of this opening.
  if (status.IsInvalidArgument()) return absl::FailedPreconditionError(message);
  return absl::UnavailableError(message);
}

std::shared_ptr<RocksMemory> MakeRocksMemory(size_t block_cache_bytes, size_t memtables_bytes) {
  return std::make_shared<Memory>(block_cache_bytes, memtables_bytes);
}

// RocksDB's background threads are the process's. One DB's may all be waiting for space.
void RocksKv::Rep::AddThreads() {
  has_threads = true;
  const int dbs = ++open_dbs;
  for (const auto priority : {rocksdb::Env::Priority::LOW, rocksdb::Env::Priority::HIGH}) {
    // And those of a DB that is not one of these.
    env->IncBackgroundThreadsIfNeeded(dbs + 1, priority);
  }
}

RocksKv::Rep::~Rep() {
  if (has_threads) --open_dbs;
  for (rocksdb::ColumnFamilyHandle* handle : handles) {
    if (handle != nullptr) db->DestroyColumnFamilyHandle(handle).PermitUncheckedError();
  }
}

RocksKv::RocksKv(std::shared_ptr<Rep> rep) : rep_(std::move(rep)) {}
RocksKv::~RocksKv() { StopWaiting(); }

absl::StatusOr<std::unique_ptr<RocksKv>> RocksKv::Open(const RocksOptions& options) {
  CHECK_INVARIANT(options.ciphers != nullptr, "a DB has no ciphers for its files");
  rocksdb::Env* base = options.base_env != nullptr ? options.base_env : rocksdb::Env::Default();
  auto rep = std::make_shared<Rep>();
  rep->memory = options.memory != nullptr ? options.memory
                                          : MakeRocksMemory(kOwnCacheBytes, kOwnMemtablesBytes);
  // What all memtables of one generation take.
  const uint64_t floor_bytes = kFamilies * options.memtable_bytes + kFlushMarginBytes;
  rep->gate = std::make_shared<SpaceGate>(floor_bytes, options.no_space);
  rep->gated_env = rocksdb::NewCompositeEnv(NewGatedFileSystem(base->GetFileSystem(), rep->gate));
  rep->env = NewEncryptedEnv(rep->gated_env.get(), *options.ciphers);
  const Memory& memory = static_cast<const Memory&>(*rep->memory);

  if (absl::Status status = RemoveUnnamedFiles(base, options.folder); !status.ok()) return status;
  std::vector<rocksdb::ColumnFamilyDescriptor> families;
  for (const char* name : kFamilyNames) {
    families.emplace_back(name, MakeFamilyOptions(options, memory));
  }
  // Most rows that are looked for in these are not there (a request id, a run, a chunk): without a
  // filter that is a walk through the skip list of each memtable.
  for (const Family family : {Family::kState, Family::kChunk}) {
    families[ColumnFamilyId(family)].options.memtable_whole_key_filtering = true;
    families[ColumnFamilyId(family)].options.memtable_prefix_bloom_size_ratio = kMemtableBloomShare;
  }
  if (options.state_prefix_bytes > 0) {
    families[ColumnFamilyId(Family::kState)].options.prefix_extractor =
        NewNamePrefix(options.state_prefix_bytes);
  }
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* db = nullptr;
  const rocksdb::Status status =
      rocksdb::DB::Open(MakeDbOptions(options, memory, rep->env.get(), rep->was_full),
                        options.folder, families, &handles, &db);
  if (!status.ok()) return FromRocks(status, "open RocksDB in " + options.folder);
  rep->db.reset(db);
  for (size_t i = 0; i < kFamilies; ++i) {
    rep->handles[i] = handles[i];
    if (handles[i]->GetID() != i) {
      return absl::DataLossError("RocksDB in " + options.folder + " has foreign column families");
    }
  }
  rep->state_prefix_bytes = options.state_prefix_bytes;
  rep->AddThreads();
  rep->gate->Open();
  return std::unique_ptr<RocksKv>(new RocksKv(std::move(rep)));
}

absl::Status RocksKv::Write(const RocksBatch& batch) {
  rocksdb::WriteOptions options;
  options.disableWAL = true;
  // RocksDB would wait for a flush whatever that waits for.
  options.no_slowdown = true;
  const absl::Time end = absl::Now() + kMaxStall;
  while (true) {
    const rocksdb::Status status = rep_->db->Write(options, &batch.rep_->batch);
    if (status.IsNoSpace()) rep_->was_full = true;
    if (!status.IsIncomplete()) return FromRocks(status, "write rows");
    if (rep_->gate->waiting() || absl::Now() > end) {
      return absl::ResourceExhaustedError("write rows: no room in memory until it is flushed");
    }
    absl::SleepFor(kLookAgain);
  }
}

absl::Status RocksKv::CheckRoomToFlush() const {
  uint64_t free_bytes = 0;
  // An environment that cannot tell is not one of a disk.
  if (!rep_->env->GetFreeSpace(rep_->db->GetName(), &free_bytes).ok()) return absl::OkStatus();
  uint64_t needed = kFlushMarginBytes;
  for (rocksdb::ColumnFamilyHandle* handle : rep_->handles) {
    uint64_t bytes = 0;
    if (rep_->db->GetIntProperty(handle, rocksdb::DB::Properties::kCurSizeAllMemTables, &bytes)) {
      needed += bytes;
    }
  }
  if (free_bytes >= needed) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat("flush RocksDB: ", free_bytes, " bytes are free, ", needed, " are needed"));
}

absl::Status RocksKv::Flush() {
  if (!rep_->gate->is_open()) return absl::CancelledError("flush RocksDB: it is being closed");
  if (absl::Status room = CheckRoomToFlush(); !room.ok()) return room;
  // Only after a full disk: a sync that failed is never retried.
  rocksdb::Status status;
  if (rep_->was_full.exchange(false)) status = rep_->db->Resume();
  rocksdb::FlushOptions options;
  options.wait = true;
  options.allow_write_stall = true;
  const std::vector<rocksdb::ColumnFamilyHandle*> all(rep_->handles.begin(), rep_->handles.end());
  if (status.ok()) status = rep_->db->Flush(options, all);
  // RocksDB also waits for space by itself, and is busy meanwhile: the disk is still full.
  if (status.IsBusy()) status = rocksdb::Status::NoSpace("waiting for space");
  if (status.IsNoSpace()) rep_->was_full = true;
  return FromRocks(status, "flush RocksDB");
}

bool RocksKv::waits_for_space() const { return rep_->was_full || rep_->gate->waiting(); }

bool RocksKv::flush_waits() const { return rep_->gate->flush_waiting(); }

void RocksKv::StopWaiting() { rep_->gate->Close(); }

absl::StatusOr<std::optional<std::string>> RocksKv::Get(Family family, std::string_view key) const {
  std::string value;
  const rocksdb::Status status =
      rep_->db->Get(rocksdb::ReadOptions(), rep_->handle(family), ToSlice(key), &value);
  if (status.IsNotFound()) return std::nullopt;
  if (!status.ok()) return FromRocks(status, "read a row");
  return value;
}

std::unique_ptr<KvIterator> RocksKv::NewIterator(Family family, std::string_view lower,
                                                 std::string_view upper) const {
  return NewRocksIterator(rep_, *rep_->db, rep_->handle(family), nullptr, std::string(lower),
                          std::string(upper), 0, /*one_name=*/false);
}

std::string PrefixEnd(std::string_view prefix) {
  std::string end(prefix);
  while (!end.empty() && static_cast<uint8_t>(end.back()) == 0xff) end.pop_back();
  if (!end.empty()) end.back() = static_cast<char>(static_cast<uint8_t>(end.back()) + 1);
  return end;
}

}  // namespace meridian::storage
