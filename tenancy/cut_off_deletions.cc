#include "tenancy/cut_off_deletions.h"

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace meridian::tenancy {

// Shared with the worker's tasks, which may outlive the owner.
class CutOffDeletions::Work : public std::enable_shared_from_this<Work> {
 public:
  Work(CatalogStore& store, ContainerCatalog& containers, Executor& worker)
      : store_(store), containers_(containers), worker_(worker) {}

  void Schedule() {
    worker_.PostAfter(kInterval, [self = shared_from_this()] { self->Run(); });
  }
  void Close() ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    closed_ = true;
  }

 private:
  void Run() ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    if (closed_) return;
    Schedule();
    const absl::StatusOr<std::vector<CatalogStore::Row>> rows = store_.ListKeys(kClosingPrefix);
    if (!rows.ok()) return;  // the next one looks again
    std::map<std::string, int64_t> closing;
    for (const CatalogStore::Row& row : *rows) {
      const auto seen = closing_.find(row.key);
      if (seen != closing_.end() && seen->second == row.mod_revision) Open(row.key);
      closing[row.key] = row.mod_revision;
    }
    closing_.swap(closing);
  }

  void Open(const std::string& key) {
    constexpr size_t kHexBytes = 2 * TenantId::kSize;
    const std::string ids = key.substr(sizeof(kClosingPrefix) - 1);
    if (ids.size() != 2 * kHexBytes + 1) return;
    const auto tenant = TenantId::FromHex(ids.substr(0, kHexBytes));
    const auto container = ContainerId::FromHex(ids.substr(kHexBytes + 1));
    if (!tenant || !container) return;
    // If it fails, it is done in the next round; if the container is gone, so is its row.
    containers_.SetState(*tenant, *container, ContainerRecord::State::kActive)
        .status()
        .IgnoreError();
  }

  CatalogStore& store_;
  ContainerCatalog& containers_;
  Executor& worker_;
  absl::Mutex mutex_;  // held while a task runs
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  // As of the last look: revisions of the rows.
  std::map<std::string, int64_t> closing_ ABSL_GUARDED_BY(mutex_);
};

CutOffDeletions::CutOffDeletions(CatalogStore& store, ContainerCatalog& containers,
                                 Executor& worker)
    : work_(std::make_shared<Work>(store, containers, worker)) {
  work_->Schedule();
}

CutOffDeletions::~CutOffDeletions() { work_->Close(); }

}  // namespace meridian::tenancy
