// The catalog's side of a container's conversion from one redundancy to another: what operators ask
// for, and what whoever carries it out records. All of it is in the coordination store, so that any
// process goes on where another has stopped.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "tenancy/catalog_store.h"
#include "tenancy/containers.h"
#include "tenancy/records.h"

namespace meridian::tenancy {

// A container has one conversion at a time, and `redundancy` of its record stays what it was until
// that has ended. Every step raises the container's partition_generation (P7). Thread-safe; calls
// block (see CatalogStore).
class ConversionCatalog {
 public:
  ConversionCatalog(CatalogStore& store, ContainerCatalog& containers)
      : store_(store), containers_(containers) {}

  struct NewConversion {
    Redundancy target = Redundancy::kLrs;
    // Of the record by which it was found possible.
    uint64_t generation = 0;
    std::string request_id;  // 16 bytes, or empty
  };
  // NOT_FOUND. FAILED_PRECONDITION: one is under way, or the container has that redundancy; but if
  // it was this request that began the last one, the record as it is now. ABORTED: another
  // generation by now.
  absl::StatusOr<ContainerRecord> Start(TenantId tenant, std::string_view name,
                                        const NewConversion& conversion);
  // OK if it is so already. NOT_FOUND; FAILED_PRECONDITION: there is none, or (Pause) it is being
  // cancelled. Resume takes a cancellation back, too.
  absl::StatusOr<ContainerRecord> Pause(TenantId tenant, std::string_view name);
  absl::StatusOr<ContainerRecord> Resume(TenantId tenant, std::string_view name);
  absl::StatusOr<ContainerRecord> Cancel(TenantId tenant, std::string_view name);

  // -- For whoever carries them out.

  struct Id {
    TenantId tenant;
    ContainerId container;
    auto operator<=>(const Id&) const = default;
  };
  // All that are under way.
  absl::StatusOr<std::vector<Id>> List();
  // Every partition keeps ContainerRecord::wanted_redundancy, by the record of that generation.
  // ABORTED: another generation by now; NOT_FOUND: the container is gone.
  absl::StatusOr<ContainerRecord> End(const Id& id, uint64_t generation);

  // nullopt: nothing has been measured yet, or it has ended.
  absl::StatusOr<std::optional<ConversionProgress>> FindProgress(const Id& id);
  // Without effect once it has ended.
  absl::Status PutProgress(const Id& id, const ConversionProgress& progress);

 private:
  // Tries again if another change comes between. `change` gives the record's next state, or why
  // not.
  absl::StatusOr<ContainerRecord> Update(
      TenantId tenant, std::string_view name,
      const std::function<absl::Status(ContainerRecord&)>& change);
  absl::StatusOr<ContainerRecord> SetState(TenantId tenant, std::string_view name,
                                           Conversion::State state);
  absl::StatusOr<bool> TryCommit(const StoredContainer& stored, const ContainerRecord& next);

  CatalogStore& store_;
  ContainerCatalog& containers_;
};

}  // namespace meridian::tenancy
