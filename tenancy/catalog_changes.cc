#include "tenancy/catalog_changes.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

namespace meridian::tenancy {

// Shared with the timer's tasks and with polls under way, which may outlive the owner.
class CatalogChanges::State : public std::enable_shared_from_this<State> {
 public:
  State(coordination::CoordinationStore& store, Executor& timer) : store_(store), timer_(timer) {}

  void Tick() ABSL_LOCKS_EXCLUDED(mutex_) {
    bool poll = false;
    {
      absl::MutexLock lock(&mutex_);
      if (closed_) return;
      timer_.PostAfter(kInterval, [self = shared_from_this()] { self->Tick(); });
      // One at a time, however long the store is silent.
      poll = !std::exchange(polling_, true);
      if (!poll) answers_ = false;
    }
    if (!poll) return;
    store_.List(kChangesPrefix,
                [self = shared_from_this()](auto rows) { self->TakePoll(std::move(rows)); });
  }

  void NoteHint() ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    ++count_;
  }

  void NoteFailure() ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    answers_ = false;
  }

  void SetHandler(std::function<bool()> handler) ABSL_LOCKS_EXCLUDED(handler_mutex_) {
    absl::MutexLock lock(&handler_mutex_);
    handler_ = std::move(handler);
  }

  void Close() ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    closed_ = true;
  }

  uint64_t count() const ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    return count_;
  }
  bool answers() const ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    return answers_;
  }

 private:
  void TakePoll(absl::StatusOr<std::vector<coordination::KeyValue>> rows)
      ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    polling_ = false;
    answers_ = rows.ok();
    if (!rows.ok() || closed_) return;
    int64_t changed = 0, deleted = 0;
    for (const coordination::KeyValue& row : *rows) {
      if (row.key == kChangedKey) changed = row.mod_revision;
      if (row.key == kTenantsDeletedKey) deleted = row.mod_revision;
    }
    // The first poll as well: what was read before it may be older.
    if (changed > std::exchange(changed_, std::max(changed, changed_))) ++count_;
    if (deleted > deletions_handled_) {
      timer_.Post([self = shared_from_this(), deleted] { self->HandleDeletions(deleted); });
    }
  }

  void HandleDeletions(int64_t revision) ABSL_LOCKS_EXCLUDED(mutex_, handler_mutex_) {
    {
      absl::MutexLock lock(&handler_mutex_);
      if (handler_ && !handler_()) return;  // the next poll calls again
    }
    absl::MutexLock lock(&mutex_);
    deletions_handled_ = std::max(deletions_handled_, revision);
  }

  coordination::CoordinationStore& store_;
  Executor& timer_;
  absl::Mutex handler_mutex_;  // held during a call of the handler
  std::function<bool()> handler_ ABSL_GUARDED_BY(handler_mutex_);
  mutable absl::Mutex mutex_;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  bool polling_ ABSL_GUARDED_BY(mutex_) = false;
  bool answers_ ABSL_GUARDED_BY(mutex_) = true;
  uint64_t count_ ABSL_GUARDED_BY(mutex_) = 0;
  // Revisions of the keys.
  int64_t changed_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t deletions_handled_ ABSL_GUARDED_BY(mutex_) = 0;
};

CatalogChanges::CatalogChanges(CatalogStore& store, Executor& timer)
    : state_(std::make_shared<State>(store.coordination(), timer)),
      watch_(store.coordination().Watch(kChangesPrefix, [state = state_] { state->NoteHint(); })) {
  timer.Post([state = state_] { state->Tick(); });
}

CatalogChanges::~CatalogChanges() {
  state_->Close();
  state_->SetHandler(nullptr);
}

uint64_t CatalogChanges::count() const { return state_->count(); }
bool CatalogChanges::store_answers() const { return state_->answers(); }
void CatalogChanges::StoreFailed() { state_->NoteFailure(); }

void CatalogChanges::OnTenantsDeleted(std::function<bool()> handler) {
  state_->SetHandler(std::move(handler));
}

}  // namespace meridian::tenancy
