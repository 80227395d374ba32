// What is left of a tenant after its deletion: keys in this process's memory and in the KMS (I11).
#pragma once

#include <memory>

#include "absl/time/time.h"
#include "base/executor.h"
#include "crypto/key_hierarchy.h"
#include "tenancy/catalog_changes.h"
#include "tenancy/catalog_store.h"

namespace meridian::tenancy {

// Forgets a deleted tenant's keys as soon as CatalogChanges tells of the deletion, and destroys
// those that Delete had to leave in the KMS: of deletions from before the start as well, and for as
// long as the KMS or the store refuses again and again, after kFirstPause, then twice as long each
// time up to kMaxPause. Thread-safe.
class DeletedTenants {
 public:
  static constexpr absl::Duration kFirstPause = absl::Seconds(1);
  static constexpr absl::Duration kMaxPause = absl::Minutes(1);

  // All outlive it. Tasks on `worker` block on the KMS and the store: it is no strand that others
  // need soon.
  DeletedTenants(CatalogStore& store, crypto::KeyHierarchy& keys, CatalogChanges& changes,
                 Executor& worker);
  // Waits for a task that is running.
  ~DeletedTenants();

 private:
  class Work;
  const std::shared_ptr<Work> work_;
  const std::unique_ptr<CatalogChanges::Listening> listening_;
};

}  // namespace meridian::tenancy
