#include "coordination/watch_registry.h"

#include <thread>
#include <utility>

namespace meridian::coordination {

// One watch; thread-safe.
class WatchRegistry::Watch {
 public:
  Watch(std::string prefix, std::function<void()> changed)
      : prefix_(std::move(prefix)), changed_(std::move(changed)) {}

  const std::string& prefix() const { return prefix_; }

  // Whether a hint has to be posted.
  bool MarkPending() {
    absl::MutexLock lock(&mutex_);
    if (ended_ || pending_) return false;
    pending_ = true;
    return true;
  }

  void Deliver() {
    {
      absl::MutexLock lock(&mutex_);
      if (ended_) return;
      pending_ = false;  // a change from here on needs a hint of its own
      running_on_ = std::this_thread::get_id();
    }
    changed_();
    absl::MutexLock lock(&mutex_);
    running_on_ = std::thread::id();
  }

  // Returns when the callback is not running, unless this is the callback itself.
  void End() {
    absl::MutexLock lock(&mutex_);
    ended_ = true;
    if (running_on_ == std::this_thread::get_id()) return;
    mutex_.Await(absl::Condition(
        +[](Watch* self)
             ABSL_NO_THREAD_SAFETY_ANALYSIS { return self->running_on_ == std::thread::id(); },
        this));
  }

 private:
  const std::string prefix_;
  const std::function<void()> changed_;
  absl::Mutex mutex_;
  bool pending_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  // The executor runs one task at a time, so at most one thread is in the callback.
  std::thread::id running_on_ ABSL_GUARDED_BY(mutex_);
};

class WatchRegistry::Handle final : public CoordinationStore::WatchHandle {
 public:
  Handle(std::shared_ptr<Watches> watches, uint64_t id, std::shared_ptr<Watch> watch)
      : watches_(std::move(watches)), id_(id), watch_(std::move(watch)) {}
  ~Handle() override {
    {
      absl::MutexLock lock(&watches_->mutex);
      watches_->by_id.erase(id_);
    }
    watch_->End();
  }

 private:
  const std::shared_ptr<Watches> watches_;
  const uint64_t id_;
  const std::shared_ptr<Watch> watch_;
};

WatchRegistry::WatchRegistry(Executor& executor)
    : executor_(executor), watches_(std::make_shared<Watches>()) {}

WatchRegistry::~WatchRegistry() = default;

std::unique_ptr<CoordinationStore::WatchHandle> WatchRegistry::Add(std::string prefix,
                                                                   std::function<void()> changed) {
  auto watch = std::make_shared<Watch>(std::move(prefix), std::move(changed));
  absl::MutexLock lock(&watches_->mutex);
  const uint64_t id = ++watches_->last_id;
  watches_->by_id.emplace(id, watch);
  return std::make_unique<Handle>(watches_, id, std::move(watch));
}

void WatchRegistry::Notify(const std::vector<Write>& writes) {
  absl::MutexLock lock(&watches_->mutex);
  for (const auto& [id, watch] : watches_->by_id) {
    for (const Write& write : writes) {
      if (!write.key.starts_with(watch->prefix())) continue;
      if (watch->MarkPending()) executor_.Post([watch = watch] { watch->Deliver(); });
      break;
    }
  }
}

void WatchRegistry::NotifyAll() {
  absl::MutexLock lock(&watches_->mutex);
  for (const auto& [id, watch] : watches_->by_id) {
    if (watch->MarkPending()) executor_.Post([watch = watch] { watch->Deliver(); });
  }
}

}  // namespace meridian::coordination
