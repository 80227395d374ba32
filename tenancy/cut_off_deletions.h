// Containers whose deletion nobody ends any more, because its process has died or the store was
// away.
#pragma once

#include <memory>

#include "absl/time/time.h"
#include "base/executor.h"
#include "tenancy/catalog_store.h"
#include "tenancy/containers.h"

namespace meridian::tenancy {

// Opens a container again, whose objects nobody could reach, once it has been kDeleting for
// kInterval at least, and twice that at most: longer than a deletion takes. Every process does it;
// a deletion that goes on nevertheless finds its transaction refused, and begins again.
// Thread-safe.
class CutOffDeletions {
 public:
  static constexpr absl::Duration kInterval = absl::Minutes(1);

  // All outlive it. Tasks on `worker` block on the store.
  CutOffDeletions(CatalogStore& store, ContainerCatalog& containers, Executor& worker);
  // Waits for a task that is running.
  ~CutOffDeletions();

 private:
  class Work;
  const std::shared_ptr<Work> work_;
};

}  // namespace meridian::tenancy
