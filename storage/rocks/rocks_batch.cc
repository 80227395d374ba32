#include <utility>

#include "base/check.h"
#include "storage/rocks/rocks_rep.h"

namespace meridian::storage {
namespace {

// Batches are built before a DB is at hand: handles that carry nothing but the family's id.
class FamilyIdHandle : public rocksdb::ColumnFamilyHandle {
 public:
  explicit FamilyIdHandle(uint32_t id) : id_(id) {}
  const std::string& GetName() const override { return name_; }
  uint32_t GetID() const override { return id_; }
  rocksdb::Status GetDescriptor(rocksdb::ColumnFamilyDescriptor*) override {
    return rocksdb::Status::NotSupported();
  }
  const rocksdb::Comparator* GetComparator() const override {
    return rocksdb::BytewiseComparator();
  }

 private:
  const uint32_t id_;
  const std::string name_;
};

void Check(const rocksdb::Status& status) {
  CHECK_INVARIANT(status.ok(), "a change could not be added to a batch in memory");
}

}  // namespace

RocksBatch::RocksBatch() : rep_(std::make_unique<Rep>()) {}
RocksBatch::RocksBatch(RocksBatch&&) noexcept = default;
RocksBatch& RocksBatch::operator=(RocksBatch&&) noexcept = default;
RocksBatch::~RocksBatch() = default;

void RocksBatch::Put(Family family, std::string_view key, std::string_view value) {
  FamilyIdHandle handle(ColumnFamilyId(family));
  Check(rep_->batch.Put(&handle, ToSlice(key), ToSlice(value)));
}

void RocksBatch::Delete(Family family, std::string_view key) {
  FamilyIdHandle handle(ColumnFamilyId(family));
  Check(rep_->batch.Delete(&handle, ToSlice(key)));
}

void RocksBatch::DeleteRange(Family family, std::string_view first, std::string_view end) {
  FamilyIdHandle handle(ColumnFamilyId(family));
  Check(rep_->batch.DeleteRange(&handle, ToSlice(first), ToSlice(end)));
}

void RocksBatch::Append(Family family, std::string_view prefix, const KvBatch& batch) {
  const std::string head(prefix);
  for (const KvBatch::Op& op : batch.ops()) {
    switch (op.kind) {
      case KvBatch::Op::Kind::kPut:
        Put(family, head + op.key, op.value);
        break;
      case KvBatch::Op::Kind::kDelete:
        Delete(family, head + op.key);
        break;
      case KvBatch::Op::Kind::kDeleteRange:
        DeleteRange(family, head + op.key, head + op.value);
        break;
    }
  }
}

size_t RocksBatch::size_bytes() const { return rep_->batch.GetDataSize(); }

}  // namespace meridian::storage
