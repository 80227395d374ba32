#include <utility>

#include "base/check.h"
#include "storage/rocks/rocks_rep.h"

namespace meridian::storage {
namespace {

class Iterator : public KvIterator {
 public:
  Iterator(std::shared_ptr<const void> keep_alive, rocksdb::DB& db,
           rocksdb::ColumnFamilyHandle* handle, const rocksdb::Snapshot* snapshot,
           std::string lower, std::string upper, size_t prefix_size)
      : keep_alive_(std::move(keep_alive)),
        lower_(std::move(lower)),
        upper_(std::move(upper)),
        prefix_size_(prefix_size),
        lower_slice_(lower_),
        upper_slice_(upper_) {
    rocksdb::ReadOptions options;
    options.snapshot = snapshot;
    options.iterate_lower_bound = &lower_slice_;
    if (!upper_.empty()) options.iterate_upper_bound = &upper_slice_;
    iterator_.reset(db.NewIterator(options, handle));
  }

  void Seek(std::string_view key) override {
    std::string full(lower_, 0, prefix_size_);
    full.append(key);
    iterator_->Seek(full < lower_ ? lower_slice_ : rocksdb::Slice(full));
  }
  bool Valid() const override { return iterator_->Valid(); }
  void Next() override { iterator_->Next(); }
  std::string_view key() const override { return FromSlice(iterator_->key()).substr(prefix_size_); }
  std::string_view value() const override { return FromSlice(iterator_->value()); }
  absl::Status status() const override { return FromRocks(iterator_->status(), "iterate rows"); }

 private:
  const std::shared_ptr<const void> keep_alive_;
  const std::string lower_;
  const std::string upper_;
  const size_t prefix_size_;
  const rocksdb::Slice lower_slice_;
  const rocksdb::Slice upper_slice_;
  std::unique_ptr<rocksdb::Iterator> iterator_;
};

// Shared by a view and its iterators: each may outlive the other.
class Snapshot {
 public:
  Snapshot(std::shared_ptr<const void> keep_alive, rocksdb::DB& db)
      : keep_alive_(std::move(keep_alive)), db_(db), snapshot_(db.GetSnapshot()) {}
  ~Snapshot() { db_.ReleaseSnapshot(snapshot_); }
  Snapshot(const Snapshot&) = delete;
  Snapshot& operator=(const Snapshot&) = delete;
  const rocksdb::Snapshot* get() const { return snapshot_; }
  rocksdb::DB& db() const { return db_; }

 private:
  const std::shared_ptr<const void> keep_alive_;
  rocksdb::DB& db_;
  const rocksdb::Snapshot* const snapshot_;
};

class View : public KvReader {
 public:
  View(std::shared_ptr<Snapshot> snapshot, rocksdb::ColumnFamilyHandle* handle, std::string prefix)
      : snapshot_(std::move(snapshot)), handle_(handle), prefix_(std::move(prefix)) {}

  absl::StatusOr<std::optional<std::string>> Get(std::string_view key) const override {
    rocksdb::ReadOptions options;
    options.snapshot = snapshot_->get();
    std::string full = prefix_;
    full.append(key);
    std::string value;
    const rocksdb::Status status = snapshot_->db().Get(options, handle_, full, &value);
    if (status.IsNotFound()) return std::nullopt;
    if (!status.ok()) return FromRocks(status, "read a row");
    return value;
  }

  std::unique_ptr<KvIterator> NewIterator(std::string_view lower,
                                          std::string_view upper) const override {
    std::string first = prefix_;
    first.append(lower);
    std::string end = prefix_;
    end.append(upper);
    return NewRocksIterator(snapshot_, snapshot_->db(), handle_, snapshot_->get(), std::move(first),
                            std::move(end), prefix_.size());
  }

 private:
  const std::shared_ptr<Snapshot> snapshot_;
  rocksdb::ColumnFamilyHandle* const handle_;
  const std::string prefix_;
};

}  // namespace

std::unique_ptr<KvIterator> NewRocksIterator(std::shared_ptr<const void> keep_alive,
                                             rocksdb::DB& db, rocksdb::ColumnFamilyHandle* handle,
                                             const rocksdb::Snapshot* snapshot, std::string lower,
                                             std::string upper, size_t prefix_size) {
  return std::make_unique<Iterator>(std::move(keep_alive), db, handle, snapshot, std::move(lower),
                                    std::move(upper), prefix_size);
}

std::unique_ptr<KvReader> RocksKv::NewView(Family family, std::string prefix) const {
  auto snapshot = std::make_shared<Snapshot>(rep_, *rep_->db);
  return std::make_unique<View>(std::move(snapshot), rep_->handle(family), std::move(prefix));
}

}  // namespace meridian::storage
