// Whether what was read of the catalog still holds: asked of the coordination store in the
// background, so that requests neither wait for the store nor stop when it is away (I12).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "absl/time/time.h"
#include "base/executor.h"
#include "tenancy/catalog_store.h"

namespace meridian::tenancy {

// What must not be served any more, whether or not the store can be asked for it.
struct Removed {
  std::vector<AccessKeyId> keys;
  std::vector<TenantId> tenants;  // each with all its keys
  // Of whose tenants and keys any may be gone: there were too many removals to be told apart.
  std::vector<size_t> stripes;

  bool empty() const { return keys.empty() && tenants.empty() && stripes.empty(); }
};

// Every transaction of the catalog rewrites a row of its tenant's stripe (see CatalogStore); those
// that revoke keys or delete tenants put the ids into it. A poll of all these rows once in
// kInterval, and one more when a watch hints at a change, brings both: while the store answers, a
// change is noticed kInterval and the store's answering time after it was made, and what was
// removed is known without another read. While the store does not answer nothing is noticed, and
// what was known holds. Thread-safe.
class CatalogChanges {
 public:
  static constexpr absl::Duration kInterval = absl::Seconds(1);
  // A poll that has taken that long may have been lost: another is begun beside it. The next ones
  // wait twice as long each, up to a minute.
  static constexpr absl::Duration kPatience = absl::Seconds(5);
  // So long without an answer is more than a slow store.
  static constexpr absl::Duration kSilence = absl::Seconds(3);

  // The store and `timer`, which polls, outlive it. Nothing else runs on the timer for long.
  CatalogChanges(CatalogStore& store, Executor& timer);
  ~CatalogChanges();

  // Rises when what the catalog says of the tenant may have changed, by polls only: twice in
  // kInterval at most. What was read while it was n holds while it is n.
  uint64_t count(TenantId tenant) const;
  // Rises before the listeners are told of removals.
  uint64_t removals() const;

  // False: the last poll or read was refused or not answered in time. To ask the store would be to
  // wait in vain; the polls go on, and the first that is answered makes it true.
  bool store_answers() const;
  // Polls are refused, or have not been answered for kSilence.
  bool store_silent() const;
  // By whom a read of the store was not answered.
  void StoreFailed();

  // `told` is called, on a thread of the store's or the timer's, with what was removed since the
  // call of Listen, perhaps with more and repeatedly; it must not block. It does not run any more
  // once the result has gone, which goes before this does.
  class Listening {
   public:
    virtual ~Listening() = default;
  };
  std::unique_ptr<Listening> Listen(std::function<void(const Removed&)> told);

 private:
  class State;
  const std::shared_ptr<State> state_;
  // Last: it calls into the state until it goes.
  const std::unique_ptr<coordination::CoordinationStore::WatchHandle> watch_;
};

}  // namespace meridian::tenancy
