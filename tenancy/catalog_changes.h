// Whether what was read of the catalog still holds: asked of the coordination store in the
// background, so that requests neither wait for the store nor stop when it is away (I12).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "absl/time/time.h"
#include "base/executor.h"
#include "tenancy/catalog_store.h"

namespace meridian::tenancy {

// Every transaction of the catalog rewrites one key (see CatalogStore). A poll of it once in
// kInterval, and a watch, tell of all changes: while the store answers, a change is noticed
// kInterval and the store's answering time after it was made; while it does not, none is noticed,
// and what was known holds. Thread-safe.
class CatalogChanges {
 public:
  static constexpr absl::Duration kInterval = absl::Seconds(1);

  // The store and `timer`, which polls, outlive it.
  CatalogChanges(CatalogStore& store, Executor& timer);
  ~CatalogChanges();

  // Rises when the catalog may have changed: what was read while it was n holds while it is n.
  uint64_t count() const;

  // False: the last poll or read was refused or not answered in time. To ask the store would be to
  // wait in vain; the polls go on, and the first that is answered makes it true.
  bool store_answers() const;
  // By whom a read of the store was not answered.
  void StoreFailed();

  // `handler` is called on the timer when tenants may have been deleted, also before this was
  // started, and once an interval again until it has returned true. Null: none; a call that is
  // running has ended when this returns.
  void OnTenantsDeleted(std::function<bool()> handler);

 private:
  class State;
  const std::shared_ptr<State> state_;
  // Last: it calls into the state until it goes.
  const std::unique_ptr<coordination::CoordinationStore::WatchHandle> watch_;
};

}  // namespace meridian::tenancy
