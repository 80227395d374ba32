#include "tests/fakes/memory_kv.h"

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace meridian::storage {

// Every key's values by the sequence number of the batch that wrote them. Thread-safe.
class MemoryKv::Versions {
 public:
  void Apply(const KvBatch& batch) {
    absl::MutexLock lock(&mutex_);
    if (pins_.empty()) Prune();
    ++sequence_;
    for (const KvBatch::Op& op : batch.ops()) {
      switch (op.kind) {
        case KvBatch::Op::Kind::kPut:
          Add(op.key, op.value);
          break;
        case KvBatch::Op::Kind::kDelete:
          Add(op.key, std::nullopt);
          break;
        case KvBatch::Op::Kind::kDeleteRange:
          DeleteRange(op.key, op.value);
          break;
      }
    }
  }

  uint64_t Pin() {
    absl::MutexLock lock(&mutex_);
    pins_.insert(sequence_);
    return sequence_;
  }
  void Unpin(uint64_t sequence) {
    absl::MutexLock lock(&mutex_);
    pins_.erase(pins_.find(sequence));
  }

  std::optional<std::string> Get(std::string_view key, uint64_t sequence) const {
    absl::MutexLock lock(&mutex_);
    const auto chain = chains_.find(key);
    if (chain == chains_.end()) return std::nullopt;
    const Value* value = Visible(chain->second, sequence);
    return value == nullptr ? std::nullopt : *value;
  }

  // The first row at or after `key` (after it, if `after`) and below `upper`.
  std::optional<std::pair<std::string, std::string>> Next(std::string_view key, bool after,
                                                          const std::string& upper,
                                                          uint64_t sequence) const {
    absl::MutexLock lock(&mutex_);
    auto chain = after ? chains_.upper_bound(key) : chains_.lower_bound(key);
    for (; chain != chains_.end() && chain->first < upper; ++chain) {
      const Value* value = Visible(chain->second, sequence);
      if (value != nullptr && value->has_value()) return std::make_pair(chain->first, **value);
    }
    return std::nullopt;
  }

  std::vector<std::pair<std::string, std::string>> Rows() const {
    absl::MutexLock lock(&mutex_);
    std::vector<std::pair<std::string, std::string>> rows;
    for (const auto& [key, chain] : chains_) {
      if (chain.back().second.has_value()) rows.emplace_back(key, *chain.back().second);
    }
    return rows;
  }

 private:
  using Value = std::optional<std::string>;  // nullopt: deleted
  // Oldest first, never empty.
  using Chain = std::vector<std::pair<uint64_t, Value>>;

  static const Value* Visible(const Chain& chain, uint64_t sequence) {
    for (auto version = chain.rbegin(); version != chain.rend(); ++version) {
      if (version->first <= sequence) return &version->second;
    }
    return nullptr;
  }

  void Add(const std::string& key, Value value) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    Chain& chain = chains_[key];
    if (!chain.empty() && (pins_.empty() || chain.back().first == sequence_)) chain.pop_back();
    chain.emplace_back(sequence_, std::move(value));
    if (chain.size() > 1 || !chain.back().second.has_value()) prunable_.insert(key);
  }

  void DeleteRange(const std::string& first, const std::string& end)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    for (auto chain = chains_.lower_bound(first); chain != chains_.end() && chain->first < end;
         ++chain) {
      if (chain->second.back().second.has_value()) Add(chain->first, std::nullopt);
    }
  }

  // With no view alive: drops what no later one can see.
  void Prune() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    for (const std::string& key : prunable_) {
      const auto chain = chains_.find(key);
      chain->second.erase(chain->second.begin(), std::prev(chain->second.end()));
      if (!chain->second.back().second.has_value()) chains_.erase(chain);
    }
    prunable_.clear();
  }

  mutable absl::Mutex mutex_;
  std::map<std::string, Chain, std::less<>> chains_ ABSL_GUARDED_BY(mutex_);
  // Keys with an old value or a deletion; each is in chains_.
  std::set<std::string> prunable_ ABSL_GUARDED_BY(mutex_);
  std::multiset<uint64_t> pins_ ABSL_GUARDED_BY(mutex_);
  uint64_t sequence_ ABSL_GUARDED_BY(mutex_) = 0;
};

class MemoryKv::Iterator final : public KvIterator {
 public:
  Iterator(std::shared_ptr<const Versions> versions, uint64_t sequence, std::string_view lower,
           std::string_view upper)
      : versions_(std::move(versions)), sequence_(sequence), lower_(lower), upper_(upper) {}

  void Seek(std::string_view key) override {
    row_ = versions_->Next(std::max<std::string_view>(key, lower_), false, upper_, sequence_);
  }
  bool Valid() const override { return row_.has_value(); }
  void Next() override {
    const std::string key = std::move(row_->first);
    row_ = versions_->Next(key, true, upper_, sequence_);
  }
  std::string_view key() const override { return row_->first; }
  std::string_view value() const override { return row_->second; }
  absl::Status status() const override { return absl::OkStatus(); }

 private:
  const std::shared_ptr<const Versions> versions_;
  const uint64_t sequence_;
  const std::string lower_;
  const std::string upper_;
  std::optional<std::pair<std::string, std::string>> row_;
};

// Thread-safe; outlives its iterators.
class MemoryKv::View final : public KvReader {
 public:
  explicit View(std::shared_ptr<Versions> versions)
      : versions_(std::move(versions)), sequence_(versions_->Pin()) {}
  ~View() override { versions_->Unpin(sequence_); }

  absl::StatusOr<std::optional<std::string>> Get(std::string_view key) const override {
    return versions_->Get(key, sequence_);
  }
  std::unique_ptr<KvIterator> NewIterator(std::string_view lower,
                                          std::string_view upper) const override {
    return std::make_unique<Iterator>(versions_, sequence_, lower, upper);
  }

 private:
  const std::shared_ptr<Versions> versions_;
  const uint64_t sequence_;
};

MemoryKv::MemoryKv() : versions_(std::make_shared<Versions>()) {}
MemoryKv::~MemoryKv() = default;

void MemoryKv::Apply(const KvBatch& batch) { versions_->Apply(batch); }
std::unique_ptr<KvReader> MemoryKv::NewView() const { return std::make_unique<View>(versions_); }
std::vector<std::pair<std::string, std::string>> MemoryKv::Rows() const {
  return versions_->Rows();
}

}  // namespace meridian::storage
