#include "coordination/embedded/embedded_store.h"

#include <algorithm>
#include <map>
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

constexpr absl::Duration kAnnounceRetryDelay = absl::Seconds(1);

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
    RETURN_IF_ERROR(CheckOpen());
    if (const auto row = announced_.find(key); row != announced_.end()) return row->second;
    const std::string row_key = DataRowKey(key);
    ASSIGN_OR_RETURN(const std::optional<std::string> row, GetRow(row_key));
    if (!row.has_value()) return std::nullopt;
    return DecodeDataRow(row_key, *row);
  }

  absl::StatusOr<std::vector<KeyValue>> List(const std::string& prefix) {
    RETURN_IF_ERROR(CheckOpen());
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
    const auto stored = static_cast<std::ptrdiff_t>(found.size());
    for (auto row = announced_.lower_bound(prefix);
         row != announced_.end() && row->first.starts_with(prefix); ++row) {
      found.push_back(row->second);
    }
    std::inplace_merge(found.begin(), found.begin() + stored, found.end(),
                       [](const KeyValue& a, const KeyValue& b) { return a.key < b.key; });
    return found;
  }

  absl::StatusOr<CommitResult> Commit(const Transaction& transaction) {
    RETURN_IF_ERROR(Validate(transaction));
    RETURN_IF_ERROR(CheckOpen());
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

  // Returns the revision that wrote it.
  absl::StatusOr<int64_t> Announce(const std::string& key, const std::string& value) {
    RETURN_IF_ERROR(CheckOpen());
    RETURN_IF_ERROR(PrepareToWrite());
    // The revision lasts, and nothing else: a row of that key that did would come to light again.
    RETURN_IF_ERROR(Write({{key, std::nullopt}}, revision_ + 1));
    ++revision_;
    announced_[key] = {.key = key, .value = value, .mod_revision = revision_};
    return revision_;
  }

  // False: it was announced anew since, or written.
  bool TakeBack(const std::string& key, int64_t revision) {
    const auto row = announced_.find(key);
    if (row == announced_.end() || row->second.mod_revision != revision) return false;
    announced_.erase(row);
    return true;
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
    return Reopen();
  }

  // What kept the database from being opened again, want of space say, may pass: tried at each
  // call.
  absl::Status CheckOpen() {
    RETURN_IF_ERROR(broken_);
    return db_ != nullptr ? absl::OkStatus() : Reopen();
  }

  absl::Status Reopen() {
    db_.reset();
    const absl::Status opened = OpenDb();
    if (opened.ok()) {
      was_full_ = false;
    } else {
      db_.reset();
    }
    return opened;
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
    RETURN_IF_ERROR(WriteSynced(batch));
    for (const coordination::Write& write : writes) announced_.erase(write.key);
    return absl::OkStatus();
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
  std::unique_ptr<rocksdb::DB> db_;          // null: has to be opened again
  // Equals the revision row.
  int64_t revision_ = 0;
  // In no file: what an earlier process announced is gone with it. Taking one back raises no
  // revision.
  std::map<std::string, KeyValue> announced_;
  // Of the first failed write: what reached the disk is unknown from then on.
  absl::Status broken_;
  // A write failed for want of space; the rows can be read, and written once reopened.
  bool was_full_ = false;
};

// A key in `Rows` while its handle lives. Confined to the store's thread; outlived by what it
// refers to.
class Announcement : public std::enable_shared_from_this<Announcement> {
 public:
  Announcement(Rows& rows, WatchRegistry& watches, Executor& thread, std::string key,
               std::string value)
      : rows_(rows),
        watches_(watches),
        thread_(thread),
        key_(std::move(key)),
        value_(std::move(value)) {}

  void Begin() {
    if (ended_) return;
    const absl::StatusOr<int64_t> written = rows_.Announce(key_, value_);
    if (written.ok()) {
      revision_ = *written;
      watches_.Notify({{key_, value_}});
    } else {
      // The disk is full, say.
      thread_.PostAfter(kAnnounceRetryDelay, [self = shared_from_this()] { self->Begin(); });
    }
  }

  void End() {
    ended_ = true;
    if (rows_.TakeBack(key_, revision_)) watches_.Notify({{key_, std::nullopt}});
  }

 private:
  Rows& rows_;
  WatchRegistry& watches_;
  Executor& thread_;
  const std::string key_;
  const std::string value_;
  int64_t revision_ = 0;  // 0: not written yet
  bool ended_ = false;
};

class PresenceHandle final : public CoordinationStore::Presence {
 public:
  PresenceHandle(Executor& thread, std::shared_ptr<Announcement> announcement)
      : thread_(thread), announcement_(std::move(announcement)) {}
  ~PresenceHandle() override {
    thread_.Post([announcement = std::move(announcement_)] { announcement->End(); });
  }

 private:
  Executor& thread_;
  std::shared_ptr<Announcement> announcement_;
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

  std::unique_ptr<Presence> Announce(std::string key, std::string value, absl::Duration) override {
    auto announcement = std::make_shared<Announcement>(*rows_, watches_, *thread_, std::move(key),
                                                       std::move(value));
    thread_->Post([announcement] { announcement->Begin(); });
    return std::make_unique<PresenceHandle>(*thread_, std::move(announcement));
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
