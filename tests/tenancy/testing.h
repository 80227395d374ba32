// A catalog over a coordination store in memory that tests can cut off and interleave with.
#pragma once

#include <atomic>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "base/executor.h"
#include "base/random.h"
#include "coordination/in_memory.h"
#include "crypto/cluster_key.h"
#include "crypto/key_hierarchy.h"
#include "tenancy/access_keys.h"
#include "tenancy/catalog_store.h"
#include "tenancy/containers.h"
#include "tenancy/tenants.h"
#include "tests/crypto/memory_kms.h"
#include "tests/crypto/testing.h"

namespace meridian::tenancy {

class TestStore : public coordination::CoordinationStore {
 public:
  void Get(
      std::string key,
      std::function<void(absl::StatusOr<std::optional<coordination::KeyValue>>)> done) override {
    ++operations_;
    if (!answers_gets || Refuse(done)) return;
    store_.Get(std::move(key), std::move(done));
  }
  void List(
      std::string prefix,
      std::function<void(absl::StatusOr<std::vector<coordination::KeyValue>>)> done) override {
    if (prefix == kChangesPrefix) {
      ++polls_;
    } else if (prefix != kDeletedTenantPrefix && prefix != kClosingPrefix) {
      ++operations_;
    }
    if (prefix == kChangesPrefix && polls_to_lose > 0) {
      --polls_to_lose;
      return;
    }
    if (Refuse(done)) return;
    store_.List(std::move(prefix), std::move(done));
  }
  void Commit(coordination::Transaction transaction,
              std::function<void(absl::StatusOr<coordination::CommitResult>)> done) override {
    ++operations_;
    if (Refuse(done)) return;
    if (auto hook = std::exchange(before_commit, nullptr)) hook();
    store_.Commit(std::move(transaction), std::move(done));
  }
  std::unique_ptr<WatchHandle> Watch(std::string prefix, std::function<void()> changed) override {
    return store_.Watch(std::move(prefix), [this, changed = std::move(changed)] {
      if (watches_deliver) changed();
    });
  }

  std::unique_ptr<Presence> Announce(std::string key, std::string value,
                                     absl::Duration ttl) override {
    return store_.Announce(std::move(key), std::move(value), ttl);
  }

  // Everything there is, as stored.
  std::vector<coordination::KeyValue> Rows() {
    std::promise<absl::StatusOr<std::vector<coordination::KeyValue>>> answer;
    store_.List("", [&answer](auto rows) { answer.set_value(std::move(rows)); });
    return *answer.get_future().get();
  }
  // Writes without the catalog's knowledge.
  void Overwrite(std::string key, std::string value) {
    std::promise<bool> answer;
    store_.Commit({{}, {{std::move(key), std::move(value)}}},
                  [&answer](auto result) { answer.set_value(result.ok()); });
    answer.get_future().get();
  }

  // While false, every call is UNAVAILABLE.
  std::atomic<bool> reachable{true};
  // Calls from now on are not answered, until Release: then with UNAVAILABLE.
  void Hang() {
    absl::MutexLock lock(&mutex_);
    hanging_ = true;
  }
  void Release() {
    std::vector<std::function<void()>> held;
    {
      absl::MutexLock lock(&mutex_);
      hanging_ = false;
      held.swap(held_);
    }
    for (auto& answer : held) executor_->Post(std::move(answer));
  }
  // Answers and hints of all calls so far have been delivered when it returns.
  void Settle() { (void)Rows(); }
  std::atomic<bool> watches_deliver{true};
  // Runs once, after a transaction was prepared and before it is applied.
  std::function<void()> before_commit;
  // While false, no Get is answered; all else is.
  std::atomic<bool> answers_gets{true};
  // So many of the next polls of CatalogChanges are never answered.
  std::atomic<int> polls_to_lose{0};
  // Calls but for what is read in the background.
  int operations() const { return operations_; }
  int polls() const { return polls_; }

 private:
  template <typename Done>
  bool Refuse(const Done& done) {
    const auto refuse = [done] { done(absl::UnavailableError("the store is down")); };
    absl::MutexLock lock(&mutex_);
    if (hanging_) {
      held_.push_back(refuse);
      return true;
    }
    if (reachable) return false;
    executor_->Post(refuse);
    return true;
  }

  const std::unique_ptr<Executor> executor_ = MakeThreadExecutor("store");
  coordination::InMemoryCoordinationStore store_{*executor_};
  std::atomic<int> operations_{0};
  std::atomic<int> polls_{0};
  absl::Mutex mutex_;
  bool hanging_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::function<void()>> held_ ABSL_GUARDED_BY(mutex_);
};

struct TestCatalog {
  absl::StatusOr<ContainerRecord> CreateContainer(TenantId tenant, const std::string& name,
                                                  const std::string& request_id = "") {
    auto change = containers.PrepareCreate({.tenant = tenant,
                                            .name = name,
                                            .redundancy = Redundancy::kZrs,
                                            .home_region = "east",
                                            .versioning = false,
                                            .partition = IdOf<PartitionId>(8),
                                            .request_id = request_id});
    RETURN_IF_ERROR(change.status());
    ASSIGN_OR_RETURN(const bool done, store.Commit(tenant, {change->compares, change->writes}));
    if (!done) return absl::AbortedError("overtaken");
    return change->record;
  }

  absl::StatusOr<ContainerRecord> SetState(TenantId tenant, const std::string& name,
                                           ContainerRecord::State state) {
    ASSIGN_OR_RETURN(const ContainerRecord record, containers.Get(tenant, name));
    return containers.SetState(tenant, record.id, state);
  }

  absl::Status DeleteContainer(TenantId tenant, const std::string& name) {
    ASSIGN_OR_RETURN(const ContainerRecord record,
                     SetState(tenant, name, ContainerRecord::State::kDeleting));
    ASSIGN_OR_RETURN(const PreparedChange change, containers.PrepareDelete(tenant, record.id));
    ASSIGN_OR_RETURN(const bool done, store.Commit(tenant, {change.compares, change.writes}));
    return done ? absl::OkStatus() : absl::AbortedError("overtaken");
  }

  // Hints of all changes so far have been delivered when it returns.
  void SettleWatches() { coordination.Settle(); }

  SystemRandom random;
  ManualClock clock;
  crypto::MemoryKms kms{random};
  crypto::KeyHierarchy keys{kms, clock, random, {}};
  crypto::ClusterKey cluster_key{CountingKey()};
  TestStore coordination;
  CatalogStore store{coordination, cluster_key, random, clock};
  TenantCatalog tenants{store, keys};
  AccessKeyCatalog access_keys{store, tenants};
  ContainerCatalog containers{store, tenants, keys};
};

}  // namespace meridian::tenancy
