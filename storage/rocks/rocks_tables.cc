// Verifies RocksDB's files of rows at the pace that the caller sets.
#include <algorithm>
#include <utility>

#include "base/status.h"
#include "rocksdb/cache.h"
#include "rocksdb/file_system.h"
#include "rocksdb/filter_policy.h"
#include "rocksdb/metadata.h"
#include "rocksdb/options.h"
#include "rocksdb/sst_file_reader.h"
#include "rocksdb/table.h"
#include "storage/rocks/rocks_rep.h"

namespace meridian::storage {
namespace {

using BeforeRead = std::function<absl::Status(uint64_t)>;

constexpr uint64_t kPageBytes = 4096;
constexpr size_t kVerifyCacheBytes = 1 << 20;

class MediumFile : public rocksdb::FSRandomAccessFileOwnerWrapper {
 public:
  MediumFile(std::unique_ptr<rocksdb::FSRandomAccessFile> file, const BeforeRead& before_read)
      : FSRandomAccessFileOwnerWrapper(std::move(file)), before_read_(before_read) {}

  rocksdb::IOStatus Read(uint64_t offset, size_t size, const rocksdb::IOOptions& options,
                         rocksdb::Slice* result, char* scratch,
                         rocksdb::IODebugContext* dbg) const override {
    if (!before_read_(size).ok()) return rocksdb::IOStatus::Aborted("the verification was ended");
    DropCache(offset, size);
    rocksdb::IOStatus status = target()->Read(offset, size, options, result, scratch, dbg);
    DropCache(offset, size);
    return status;
  }
  // RocksDB reads by itself then, through this.
  rocksdb::IOStatus Prefetch(uint64_t, size_t, const rocksdb::IOOptions&,
                             rocksdb::IODebugContext*) override {
    return rocksdb::IOStatus::NotSupported("everything is read at the caller's pace");
  }

 private:
  // Advice, as File::ReadMedium's.
  void DropCache(uint64_t offset, size_t size) const {
    const uint64_t begin = offset / kPageBytes * kPageBytes;
    const uint64_t end = (offset + size + kPageBytes - 1) / kPageBytes * kPageBytes;
    target()->InvalidateCache(begin, end - begin).PermitUncheckedError();
  }

  const BeforeRead& before_read_;
};

class MediumFileSystem : public rocksdb::FileSystemWrapper {
 public:
  MediumFileSystem(const std::shared_ptr<rocksdb::FileSystem>& files, const BeforeRead& before_read)
      : FileSystemWrapper(files), before_read_(before_read) {}
  const char* Name() const override { return "meridian.Medium"; }

  rocksdb::IOStatus NewRandomAccessFile(const std::string& name,
                                        const rocksdb::FileOptions& options,
                                        std::unique_ptr<rocksdb::FSRandomAccessFile>* result,
                                        rocksdb::IODebugContext* dbg) override {
    std::unique_ptr<rocksdb::FSRandomAccessFile> file;
    rocksdb::IOStatus status = target()->NewRandomAccessFile(name, options, &file, dbg);
    if (status.ok()) *result = std::make_unique<MediumFile>(std::move(file), before_read_);
    return status;
  }

 private:
  const BeforeRead& before_read_;
};

rocksdb::Status Verify(rocksdb::Env* env, const std::string& path) {
  // VerifyChecksum leaves out the parts of a filter. Opening reads them all, if they are to go into
  // a cache.
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = rocksdb::NewLRUCache(kVerifyCacheBytes, /*num_shard_bits=*/0);
  table.cache_index_and_filter_blocks = true;
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(kBloomBitsPerKey));
  rocksdb::Options options;
  options.env = env;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  rocksdb::SstFileReader reader(options);
  const rocksdb::Status opened = reader.Open(path);
  return opened.ok() ? reader.VerifyChecksum() : opened;
}

}  // namespace

std::vector<RocksKv::TableFile> RocksKv::TableFiles() const {
  std::vector<rocksdb::LiveFileMetaData> files;
  rep_->db->GetLiveFilesMetaData(&files);
  std::vector<TableFile> tables;
  for (const rocksdb::LiveFileMetaData& file : files) {
    tables.push_back({file.file_number, file.size, file.relative_filename});
  }
  std::sort(tables.begin(), tables.end(),
            [](const TableFile& a, const TableFile& b) { return a.number < b.number; });
  return tables;
}

absl::Status RocksKv::VerifyTable(const TableFile& table, const BeforeRead& before_read) const {
  absl::Status ended;
  const BeforeRead ask = [&ended, &before_read](uint64_t bytes) {
    if (ended.ok()) ended = before_read(bytes);
    return ended;
  };
  const std::unique_ptr<rocksdb::Env> env =
      rocksdb::NewCompositeEnv(std::make_shared<MediumFileSystem>(rep_->env->GetFileSystem(), ask));
  const rocksdb::Status status = Verify(env.get(), rep_->db->GetName() + "/" + table.name);
  RETURN_IF_ERROR(ended);
  if (status.ok()) return absl::OkStatus();
  const std::vector<TableFile> live = TableFiles();
  const bool in_use = std::any_of(live.begin(), live.end(), [&table](const TableFile& file) {
    return file.number == table.number;
  });
  return in_use ? FromRocks(status, "verify " + table.name) : absl::OkStatus();
}

}  // namespace meridian::storage
