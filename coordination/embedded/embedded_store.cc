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
  static absl::StatusOr<std::unique_ptr<Rows>> Open(const std::string& folder, rocksdb::Env* env) {
    rocksdb::Options options;
    options.create_if_missing = true;
    options.env = env != nullptr ? env : rocksdb::Env::Default();
    // Every acknowledged commit was synced, so only an unacknowledged tail can be torn; damage
    // before it is corruption (I10).
    options.wal_recovery_mode = rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
    options.write_buffer_size = 4 << 20;
    options.info_log_level = rocksdb::InfoLogLevel::ERROR_LEVEL;
    options.keep_log_file_num = 1;
    rocksdb::DB* db = nullptr;
    const rocksdb::Status opened = rocksdb::DB::Open(options, folder, &db);
    if (opened.IsIOError() && opened.ToString().find("lock") != std::string::npos) {
      return absl::FailedPreconditionError(absl::StrCat(
          "the coordination store in ", folder,
          " is open already: stop the process that uses it first (", opened.ToString(), ")"));
    }
    RETURN_IF_ERROR(Annotate(FromRocks(opened, "opening"), folder));
    std::unique_ptr<Rows> rows(new Rows(std::unique_ptr<rocksdb::DB>(db)));
    RETURN_IF_ERROR(Annotate(rows->Recover(), folder));
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
    for (const Compare& compare : transaction.compares) {
      ASSIGN_OR_RETURN(const std::optional<KeyValue> row, Get(compare.key));
      if ((row.has_value() ? row->mod_revision : 0) != compare.mod_revision) {
        return CommitResult{.succeeded = false, .revision = revision_};
      }
    }
    if (transaction.writes.empty()) return CommitResult{.succeeded = true, .revision = revision_};
    broken_ = Write(transaction.writes, revision_ + 1);
    RETURN_IF_ERROR(broken_);
    ++revision_;
    return CommitResult{.succeeded = true, .revision = revision_};
  }

 private:
  explicit Rows(std::unique_ptr<rocksdb::DB> db) : db_(std::move(db)) {}

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
    const absl::Status written = FromRocks(db_->Write(options, &batch), "writing");
    return written.ok() ? written : absl::UnavailableError(written.message());
  }

  const std::unique_ptr<rocksdb::DB> db_;
  // Equals the revision row.
  int64_t revision_ = 0;
  // Of the first failed write: what reached the disk is unknown from then on.
  absl::Status broken_;
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

absl::StatusOr<std::unique_ptr<CoordinationStore>> OpenEmbeddedStore(const std::string& folder,
                                                                     rocksdb::Env* env) {
  ASSIGN_OR_RETURN(std::unique_ptr<Rows> rows, Rows::Open(folder, env));
  return std::make_unique<EmbeddedStore>(std::move(rows));
}

}  // namespace meridian::coordination
