#include "tenancy/catalog_changes.h"

#include <algorithm>
#include <array>
#include <map>
#include <string>
#include <utility>
#include <variant>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "tenancy/records.h"

namespace meridian::tenancy {
namespace {

constexpr absl::Duration kMaxPatience = absl::Minutes(1);

using Rows = std::vector<coordination::KeyValue>;

}  // namespace

// Shared with the timer's tasks and with polls under way, which may outlive the owner.
class CatalogChanges::State : public std::enable_shared_from_this<State> {
 public:
  State(coordination::CoordinationStore& store, const crypto::ClusterKey& key, Executor& timer)
      : store_(store), key_(key), timer_(timer) {}

  void Tick() ABSL_LOCKS_EXCLUDED(mutex_) {
    const absl::Duration now = timer_.MonotonicNow();
    bool poll = false;
    {
      absl::MutexLock lock(&mutex_);
      if (closed_) return;
      timer_.PostAfter(kInterval, [self = shared_from_this()] { self->Tick(); });
      hinted_ = false;
      poll = !waiting_ || now - last_began_ >= patience_;
      if (waiting_) {
        answers_ = false;
        silent_ = silent_ || now - silent_since_ >= kSilence;
        if (poll) patience_ = std::min(2 * patience_, kMaxPatience);
      }
    }
    if (poll) Poll(now);
  }

  // At most one poll an interval: whoever makes many changes does not make everybody poll for each.
  void FollowHint() ABSL_LOCKS_EXCLUDED(mutex_) {
    {
      absl::MutexLock lock(&mutex_);
      if (closed_ || waiting_ || std::exchange(hinted_, true)) return;
    }
    Poll(timer_.MonotonicNow());
  }

  void NoteHint() {
    timer_.Post([self = shared_from_this()] { self->FollowHint(); });
  }

  void NoteFailure() ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    answers_ = false;
  }

  uint64_t AddListener(std::function<void(const Removed&)> told)
      ABSL_LOCKS_EXCLUDED(listeners_mutex_) {
    absl::MutexLock lock(&listeners_mutex_);
    listeners_.emplace(++last_listener_, std::move(told));
    return last_listener_;
  }
  void DropListener(uint64_t id) ABSL_LOCKS_EXCLUDED(listeners_mutex_) {
    absl::MutexLock lock(&listeners_mutex_);
    listeners_.erase(id);
  }

  void Close() ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    closed_ = true;
  }

  uint64_t count(TenantId tenant) const ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    return stripes_[StripeOf(tenant)].count;
  }
  uint64_t removals() const ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    return removals_;
  }
  bool answers() const ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    return answers_;
  }
  bool silent() const ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    return silent_;
  }

 private:
  struct Stripe {
    uint64_t count = 0;  // of changes noticed
    // Revisions of its rows.
    int64_t changed = 0;
    int64_t removed = 0;
    uint64_t removals = 0;  // of which this has been told
  };

  void Poll(absl::Duration now) ABSL_LOCKS_EXCLUDED(mutex_) {
    {
      absl::MutexLock lock(&mutex_);
      if (!std::exchange(waiting_, true)) silent_since_ = now;
      last_began_ = now;
    }
    store_.List(kChangesPrefix, [self = shared_from_this()](auto rows) { self->Take(rows); });
  }

  // Also an answer that comes after another poll was begun, since rows are ordered by revisions.
  void Take(const absl::StatusOr<Rows>& rows) ABSL_LOCKS_EXCLUDED(mutex_, listeners_mutex_) {
    Removed removed;
    {
      absl::MutexLock lock(&mutex_);
      waiting_ = false;
      answers_ = rows.ok();
      silent_ = !rows.ok();
      if (!rows.ok() || closed_) return;
      patience_ = kPatience;
      NoteRows(*rows, removed);
      if (!removed.empty()) ++removals_;
    }
    if (removed.empty()) return;
    absl::MutexLock lock(&listeners_mutex_);
    for (const auto& [id, told] : listeners_) told(removed);
  }

  void NoteRows(const Rows& rows, Removed& removed) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    std::map<std::string_view, const coordination::KeyValue*> by_key;
    for (const coordination::KeyValue& row : rows) by_key[row.key] = &row;
    for (size_t i = 0; i < kStripes; ++i) {
      Stripe& stripe = stripes_[i];
      // The first poll as well: what was read before it may be older.
      if (const auto it = by_key.find(ChangedKey(i));
          it != by_key.end() && it->second->mod_revision > stripe.changed) {
        stripe.changed = it->second->mod_revision;
        ++stripe.count;
      }
      if (const auto it = by_key.find(RemovedKey(i));
          it != by_key.end() && it->second->mod_revision > stripe.removed) {
        stripe.removed = it->second->mod_revision;
        NoteRemovals(*it->second, i, removed);
      }
    }
  }

  void NoteRemovals(const coordination::KeyValue& row, size_t index, Removed& removed)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    Stripe& stripe = stripes_[index];
    const absl::StatusOr<std::string> opened = key_.Open(row.key, row.value);
    const absl::StatusOr<Removals> removals =
        opened.ok() ? DecodeRemovals(*opened) : absl::StatusOr<Removals>(opened.status());
    // A row that cannot be read may have held any.
    if (!removals.ok() || removals->count < stripe.removals ||
        removals->count - stripe.removals > removals->latest.size()) {
      removed.stripes.push_back(index);
    }
    if (!removals.ok()) return;
    const uint64_t unseen = std::min<uint64_t>(
        removals->count - std::min(removals->count, stripe.removals), removals->latest.size());
    for (size_t i = removals->latest.size() - unseen; i < removals->latest.size(); ++i) {
      if (const auto* key = std::get_if<AccessKeyId>(&removals->latest[i])) {
        removed.keys.push_back(*key);
      } else {
        removed.tenants.push_back(std::get<TenantId>(removals->latest[i]));
      }
    }
    stripe.removals = removals->count;
  }

  coordination::CoordinationStore& store_;
  const crypto::ClusterKey& key_;
  Executor& timer_;
  absl::Mutex listeners_mutex_;  // held during calls of the listeners
  std::map<uint64_t, std::function<void(const Removed&)>> listeners_
      ABSL_GUARDED_BY(listeners_mutex_);
  uint64_t last_listener_ ABSL_GUARDED_BY(listeners_mutex_) = 0;
  mutable absl::Mutex mutex_;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  bool hinted_ ABSL_GUARDED_BY(mutex_) = false;   // a hint has been followed in this interval
  bool waiting_ ABSL_GUARDED_BY(mutex_) = false;  // no poll has been answered since the last began
  absl::Duration last_began_ ABSL_GUARDED_BY(mutex_);
  absl::Duration silent_since_ ABSL_GUARDED_BY(mutex_);  // if waiting_
  absl::Duration patience_ ABSL_GUARDED_BY(mutex_) = kPatience;
  bool answers_ ABSL_GUARDED_BY(mutex_) = true;
  bool silent_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t removals_ ABSL_GUARDED_BY(mutex_) = 0;
  std::array<Stripe, kStripes> stripes_ ABSL_GUARDED_BY(mutex_);
};

CatalogChanges::CatalogChanges(CatalogStore& store, Executor& timer)
    : state_(std::make_shared<State>(store.coordination(), store.cluster_key(), timer)),
      watch_(store.coordination().Watch(kChangesPrefix, [state = state_] { state->NoteHint(); })) {
  timer.Post([state = state_] { state->Tick(); });
}

CatalogChanges::~CatalogChanges() { state_->Close(); }

uint64_t CatalogChanges::count(TenantId tenant) const { return state_->count(tenant); }
uint64_t CatalogChanges::removals() const { return state_->removals(); }
bool CatalogChanges::store_answers() const { return state_->answers(); }
bool CatalogChanges::store_silent() const { return state_->silent(); }
void CatalogChanges::StoreFailed() { state_->NoteFailure(); }

std::unique_ptr<CatalogChanges::Listening> CatalogChanges::Listen(
    std::function<void(const Removed&)> told) {
  class Entry final : public Listening {
   public:
    Entry(std::shared_ptr<State> state, uint64_t id) : state_(std::move(state)), id_(id) {}
    ~Entry() override { state_->DropListener(id_); }

   private:
    const std::shared_ptr<State> state_;
    const uint64_t id_;
  };
  return std::make_unique<Entry>(state_, state_->AddListener(std::move(told)));
}

}  // namespace meridian::tenancy
