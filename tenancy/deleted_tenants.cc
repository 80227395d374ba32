#include "tenancy/deleted_tenants.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "base/status.h"
#include "tenancy/tenants.h"

namespace meridian::tenancy {

// Shared with the worker's tasks, which may outlive the owner.
class DeletedTenants::Work : public std::enable_shared_from_this<Work> {
 public:
  Work(CatalogStore& store, crypto::KeyHierarchy& keys, Executor& worker)
      : keys_(keys), worker_(worker), tenants_(store, keys) {}

  void Tell(const Removed& removed) ABSL_LOCKS_EXCLUDED(mutex_) {
    for (const TenantId& tenant : removed.tenants) keys_.ForgetTenant(tenant);
    if (removed.tenants.empty() && removed.stripes.empty()) return;
    absl::MutexLock lock(&mutex_);
    stripes_.insert(removed.stripes.begin(), removed.stripes.end());
    Schedule(absl::ZeroDuration());
  }

  void Start() ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    Schedule(absl::ZeroDuration());
  }

  void Close() ABSL_LOCKS_EXCLUDED(running_mutex_, mutex_) {
    absl::MutexLock running(&running_mutex_);
    absl::MutexLock lock(&mutex_);
    closed_ = true;
  }

 private:
  // A task that waits for its time is overtaken, not waited for.
  void Schedule(absl::Duration pause) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    Task task = [self = shared_from_this(), round = ++round_] { self->Run(round); };
    if (pause == absl::ZeroDuration()) {
      worker_.Post(std::move(task));
    } else {
      worker_.PostAfter(pause, std::move(task));
    }
  }

  void Run(uint64_t round) ABSL_LOCKS_EXCLUDED(running_mutex_, mutex_) {
    absl::MutexLock running(&running_mutex_);
    std::set<size_t> stripes;
    {
      absl::MutexLock lock(&mutex_);
      if (closed_ || round != round_) return;
      stripes.swap(stripes_);
    }
    absl::Status done = ForgetThoseOf(stripes);
    const bool checked = done.ok();
    done.Update(tenants_.DestroyKeysOfDeleted());
    absl::MutexLock lock(&mutex_);
    if (!checked) stripes_.merge(stripes);
    if (done.ok()) {
      pause_ = kFirstPause;
    } else if (round == round_) {
      Schedule(std::exchange(pause_, std::min(2 * pause_, kMaxPause)));
    }
  }

  absl::Status ForgetThoseOf(const std::set<size_t>& stripes)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(running_mutex_) {
    if (stripes.empty()) return absl::OkStatus();
    for (const TenantId& tenant : keys_.CachedTenants()) {
      if (!stripes.contains(StripeOf(tenant))) continue;
      const absl::Status there = tenants_.GetById(tenant).status();
      if (absl::IsNotFound(there)) {
        keys_.ForgetTenant(tenant);
      } else {
        RETURN_IF_ERROR(there);
      }
    }
    return absl::OkStatus();
  }

  crypto::KeyHierarchy& keys_;
  Executor& worker_;
  absl::Mutex running_mutex_;  // held while a task runs; before mutex_
  TenantCatalog tenants_ ABSL_GUARDED_BY(running_mutex_);
  absl::Mutex mutex_;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t round_ ABSL_GUARDED_BY(mutex_) = 0;  // of the task that is to run
  absl::Duration pause_ ABSL_GUARDED_BY(mutex_) = kFirstPause;
  std::set<size_t> stripes_ ABSL_GUARDED_BY(mutex_);  // to be checked
};

DeletedTenants::DeletedTenants(CatalogStore& store, crypto::KeyHierarchy& keys,
                               CatalogChanges& changes, Executor& worker)
    : work_(std::make_shared<Work>(store, keys, worker)),
      listening_(
          changes.Listen([work = work_.get()](const Removed& removed) { work->Tell(removed); })) {
  work_->Start();
}

DeletedTenants::~DeletedTenants() { work_->Close(); }

}  // namespace meridian::tenancy
