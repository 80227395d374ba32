#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "storage/rocks/rocks_rep.h"

namespace meridian::storage {
namespace {

class Iterator : public KvIterator {
 public:
  Iterator(std::shared_ptr<const void> keep_alive, rocksdb::DB& db,
           rocksdb::ColumnFamilyHandle* handle, const rocksdb::Snapshot* snapshot,
           std::string lower, std::string upper, size_t prefix_size, bool one_name)
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
    options.prefix_same_as_start = one_name;
    options.total_order_seek = !one_name;
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

class NamePrefix : public rocksdb::SliceTransform {
 public:
  explicit NamePrefix(size_t skipped_bytes)
      : skipped_bytes_(skipped_bytes), name_(absl::StrCat("meridian.name.", skipped_bytes)) {}

  // Recorded in each file: files of another transform are not asked.
  const char* Name() const override { return name_.c_str(); }
  bool InDomain(const rocksdb::Slice& key) const override { return SizeOf(key) > 0; }
  rocksdb::Slice Transform(const rocksdb::Slice& key) const override {
    return {key.data(), SizeOf(key)};
  }

 private:
  // 0: there is none.
  size_t SizeOf(const rocksdb::Slice& key) const {
    if (key.size() <= skipped_bytes_) return 0;
    const size_t nul = FromSlice(key).find('\0', skipped_bytes_);
    return nul == std::string_view::npos ? 0 : nul + 1;
  }

  const size_t skipped_bytes_;
  const std::string name_;
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
  // `has_names`: what follows `prefix` in a key is a name, as RocksOptions says.
  View(std::shared_ptr<Snapshot> snapshot, rocksdb::ColumnFamilyHandle* handle, std::string prefix,
       bool has_names)
      : snapshot_(std::move(snapshot)),
        handle_(handle),
        prefix_(std::move(prefix)),
        has_names_(has_names) {}

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
                            std::move(end), prefix_.size(), /*one_name=*/false);
  }

  std::unique_ptr<KvIterator> NewNameIterator(std::string_view prefix) const override {
    std::string first = prefix_;
    first.append(prefix);
    std::string end = EndOfName(first);
    return NewRocksIterator(snapshot_, snapshot_->db(), handle_, snapshot_->get(), std::move(first),
                            std::move(end), prefix_.size(), has_names_);
  }

 private:
  const std::shared_ptr<Snapshot> snapshot_;
  rocksdb::ColumnFamilyHandle* const handle_;
  const std::string prefix_;
  const bool has_names_;
};

}  // namespace

std::unique_ptr<KvIterator> NewRocksIterator(std::shared_ptr<const void> keep_alive,
                                             rocksdb::DB& db, rocksdb::ColumnFamilyHandle* handle,
                                             const rocksdb::Snapshot* snapshot, std::string lower,
                                             std::string upper, size_t prefix_size, bool one_name) {
  return std::make_unique<Iterator>(std::move(keep_alive), db, handle, snapshot, std::move(lower),
                                    std::move(upper), prefix_size, one_name);
}

std::shared_ptr<const rocksdb::SliceTransform> NewNamePrefix(size_t state_prefix_bytes) {
  return std::make_shared<NamePrefix>(state_prefix_bytes);
}

std::unique_ptr<KvReader> RocksKv::NewView(Family family, std::string prefix) const {
  auto snapshot = std::make_shared<Snapshot>(rep_, *rep_->db);
  const bool has_names = family == Family::kState && rep_->state_prefix_bytes > 0 &&
                         prefix.size() == rep_->state_prefix_bytes;
  return std::make_unique<View>(std::move(snapshot), rep_->handle(family), std::move(prefix),
                                has_names);
}

}  // namespace meridian::storage
