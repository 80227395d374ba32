#include "coordination/embedded/embedded_store.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/executor.h"
#include "base/status.h"
#include "coordination/embedded/row_format.h"
#include "coordination/transaction.h"
#include "coordination/watch_registry.h"
#include "rocksdb/db.h"
#include "rocksdb/env.h"
#include "rocksdb/write_batch.h"
#include "storage/rocks/encrypted_env.h"

namespace meridian::coordination {
namespace {

rocksdb::Slice ToSlice(std::string_view s) { return {s.data(), s.size()}; }
std::string_view FromSlice(const rocksdb::Slice& s) { return {s.data(), s.size()}; }

absl::Status FromRocks(const rocksdb::Status& status, std::string_view doing) {
  if (status.ok()) return absl::OkStatus();
  const std::string message =
      absl::StrCat(std::string(doing), " the coordination store: ", status.ToString());
  return status.IsCorruption() ? absl::DataLossError(message) : absl::UnavailableError(message);
}

// Confined to the store's thread, apart from construction.
class Rows {
 public:
  static absl::StatusOr<std::unique_ptr<Rows>> Open(const std::string& folder,
                                                    storage::FileCipherFactory& ciphers,
                                                    rocksdb::Env* base_env) {
    rocksdb::Env* base = base_env != nullptr ? base_env : rocksdb::Env::Default();
    RETURN_IF_ERROR(storage::RemoveUnnamedFiles(base, folder));
    std::unique_ptr<Rows> rows(new Rows(folder, base, storage::NewEncryptedEnv(base, ciphers)));
    RETURN_IF_ERROR(rows->OpenDb());
    return rows;
  }

  absl::StatusOr<std::optional<KeyValue>> Get(const std::string& key) {
    RETURN_IF_ERROR(broken_);
    const std::string row_key = DataRowKey(key);
    ASSIGN_OR_RETURN(const std::optional<std::string> row, GetRow(row_key));
    if (!row.has_value()) return std::nullopt;
    return DecodeDataRow(row_key, *row);
  }

  absl::StatusOr<std::vector<KeyValue>> List(const std::string& prefix) {
    RETURN_IF_ERROR(broken_);
    const std::string first = DataRowKey(prefix);
    const std::string end = PrefixEnd(first);  // never empty: the tag is not 0xff
    const rocksdb::Slice upper = end;
    rocksdb::ReadOptions options;
    options.iterate_upper_bound = &upper;
    std::vector<KeyValue> found;
    const std::unique_ptr<rocksdb::Iterator> row(db_->NewIterator(options));
    for (row->Seek(first); row->Valid(); row->Next()) {
      ASSIGN_OR_RETURN(KeyValue decoded,
                       DecodeDataRow(FromSlice(row->key()), FromSlice(row->value())));
      found.push_back(std::move(decoded));
    }
    RETURN_IF_ERROR(FromRocks(row->status(), "listing"));
    return found;
  }

  absl::StatusOr<CommitResult> Commit(const Transaction& transaction) {
    RETURN_IF_ERROR(Validate(transaction));
    RETURN_IF_ERROR(broken_);
    if (!transaction.writes.empty()) RETURN_IF_ERROR(PrepareToWrite());
    for (const Compare& compare : transaction.compares) {
      ASSIGN_OR_RETURN(const std::optional<KeyValue> row, Get(compare.key));
      if ((row.has_value() ? row->mod_revision : 0) != compare.mod_revision) {
        return CommitResult{.succeeded = false, .revision = revision_};
      }
    }
    if (transaction.writes.empty()) return CommitResult{.succeeded = true, .revision = revision_};
    RETURN_IF_ERROR(Write(transaction.writes, revision_ + 1));
    ++revision_;
    return CommitResult{.succeeded = true, .revision = revision_};
  }

 private:
  Rows(std::string folder, rocksdb::Env* base, std::unique_ptr<rocksdb::Env> env)
      : folder_(std::move(folder)), base_(base), env_(std::move(env)) {}

  absl::Status OpenDb() {
    rocksdb::Options options;
    options.create_if_missing = true;
    options.env = env_.get();
    // Every acknowledged commit was synced, so only an unacknowledged tail can be torn; damage
    // before it is corruption (I10).
    options.wal_recovery_mode = rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
    options.write_buffer_size = 4 << 20;
    rocksdb::DB* db = nullptr;
    const rocksdb::Status opened = rocksdb::DB::Open(options, folder_, &db);
    if (opened.IsIOError() && opened.ToString().find("lock") != std::string::npos) {
      return absl::FailedPreconditionError(absl::StrCat(
          "the coordination store in ", folder_,
          " is open already: stop the process that uses it first (", opened.ToString(), ")"));
    }
    if (opened.IsInvalidArgument()) {
      return absl::FailedPreconditionError(absl::StrCat(
          "the files in ", folder_, " are under other keys, as those of another cluster are: put ",
          "its own back; nothing was changed (", opened.ToString(), ")"));
    }
    RETURN_IF_ERROR(Annotate(FromRocks(opened, "opening"), folder_));
    db_.reset(db);
    return Annotate(Recover(), folder_);
  }

  // RESOURCE_EXHAUSTED, with nothing touched, if a write might not find the space that it needs.
  absl::Status PrepareToWrite() {
    uint64_t free_bytes = 0;
    RETURN_IF_ERROR(FromRocks(base_->GetFreeSpace(folder_, &free_bytes), "asking the space for"));
    if (free_bytes < kEmbeddedStoreReserveBytes) {
      return absl::ResourceExhaustedError(
          absl::StrCat("the disk that holds the coordination store is full: ", free_bytes,
                       " bytes are free, ", kEmbeddedStoreReserveBytes, " are needed"));
    }
    if (!was_full_) return absl::OkStatus();
    // What a write that found the disk full has left at the log's end must not lie before the next
    // record: opening takes what is whole of it, and begins another log.
    db_.reset();
    broken_ = OpenDb();
    was_full_ = false;
    return broken_;
  }

  absl::Status Recover() {
    ASSIGN_OR_RETURN(const std::optional<std::string> format, GetRow(kFormatRowKey));
    if (!format.has_value()) return Initialise();
    RETURN_IF_ERROR(CheckFormatRow(*format));
    ASSIGN_OR_RETURN(const std::optional<std::string> revision, GetRow(kRevisionRowKey));
    if (!revision.has_value()) return absl::DataLossError("the revision row is missing");
    ASSIGN_OR_RETURN(revision_, DecodeRevisionRow(*revision));
    return absl::OkStatus();
  }

  // Writes the two leading rows of a new database; refuses one that holds anything.
  absl::Status Initialise() {
    const std::unique_ptr<rocksdb::Iterator> row(db_->NewIterator(rocksdb::ReadOptions()));
    row->SeekToFirst();
    if (row->Valid()) return absl::DataLossError("the format row is missing");
    RETURN_IF_ERROR(FromRocks(row->status(), "opening"));
    rocksdb::WriteBatch batch;
    batch.Put(ToSlice(kFormatRowKey), EncodeFormatRow());
    batch.Put(ToSlice(kRevisionRowKey), EncodeRevisionRow(0));
    return WriteSynced(batch);
  }

  absl::StatusOr<std::optional<std::string>> GetRow(std::string_view row_key) {
    std::string value;
    const rocksdb::Status status = db_->Get(rocksdb::ReadOptions(), ToSlice(row_key), &value);
    if (status.IsNotFound()) return std::nullopt;
    RETURN_IF_ERROR(FromRocks(status, "reading"));
    return value;
  }

  absl::Status Write(const std::vector<coordination::Write>& writes, int64_t revision) {
    rocksdb::WriteBatch batch;
    batch.Put(ToSlice(kRevisionRowKey), EncodeRevisionRow(revision));
    for (const coordination::Write& write : writes) {
      const std::string row_key = DataRowKey(write.key);
      if (write.value.has_value()) {
        batch.Put(row_key, EncodeDataRow(revision, *write.value));
      } else {
        batch.Delete(row_key);
      }
    }
    return WriteSynced(batch);
  }

  absl::Status WriteSynced(rocksdb::WriteBatch& batch) {
    rocksdb::WriteOptions options;
    options.sync = true;
    const rocksdb::Status written = db_->Write(options, &batch);
    if (written.ok()) return absl::OkStatus();
    // Whether it will be found at the next opening is unknown.
    const absl::Status failure = absl::UnavailableError(FromRocks(written, "writing").message());
    if (written.IsNoSpace()) {
      was_full_ = true;
    } else {
      broken_ = failure;
    }
    return failure;
  }

  const std::string folder_;
  rocksdb::Env* const base_;
  const std::unique_ptr<rocksdb::Env> env_;  // encrypting; outlives db_
  std::unique_ptr<rocksdb::DB> db_;          // null only if broken_
  // Equals the revision row.
  int64_t revision_ = 0;
  // Of the first failed write: what reached the disk is unknown from then on.
  absl::Status broken_;
  // A write failed for want of space; the rows can be read, and written once reopened.
  bool was_full_ = false;
};

// Thread-safe: everything but the watches happens on one thread.
class EmbeddedStore final : public CoordinationStore {
 public:
  explicit EmbeddedStore(std::unique_ptr<Rows> rows)
      : rows_(std::move(rows)), thread_(MakeThreadExecutor("coordination")), watches_(*thread_) {}
  // Joins the thread before what its tasks use goes.
  ~EmbeddedStore() override { thread_.reset(); }

  void Get(std::string key,
           std::function<void(absl::StatusOr<std::optional<KeyValue>>)> done) override {
    thread_->Post([this, key = std::move(key), done = std::move(done)] { done(rows_->Get(key)); });
  }

  void List(std::string prefix,
            std::function<void(absl::StatusOr<std::vector<KeyValue>>)> done) override {
    thread_->Post(
        [this, prefix = std::move(prefix), done = std::move(done)] { done(rows_->List(prefix)); });
  }

  void Commit(Transaction transaction,
              std::function<void(absl::StatusOr<CommitResult>)> done) override {
    thread_->Post([this, transaction = std::move(transaction), done = std::move(done)] {
      const absl::StatusOr<CommitResult> result = rows_->Commit(transaction);
      if (result.ok() && result->succeeded) watches_.Notify(transaction.writes);
      done(result);
    });
  }

  std::unique_ptr<WatchHandle> Watch(std::string prefix, std::function<void()> changed) override {
    return watches_.Add(std::move(prefix), std::move(changed));
  }

 private:
  const std::unique_ptr<Rows> rows_;
  std::unique_ptr<Executor> thread_;
  WatchRegistry watches_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<CoordinationStore>> OpenEmbeddedStore(
    const std::string& folder, storage::FileCipherFactory& ciphers, rocksdb::Env* base_env) {
  ASSIGN_OR_RETURN(std::unique_ptr<Rows> rows, Rows::Open(folder, ciphers, base_env));
  return std::make_unique<EmbeddedStore>(std::move(rows));
}

}  // namespace meridian::coordination
