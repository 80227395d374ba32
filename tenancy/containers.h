// The catalog of containers.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "crypto/key_hierarchy.h"
#include "tenancy/catalog_store.h"
#include "tenancy/records.h"
#include "tenancy/tenants.h"

namespace meridian::tenancy {

struct NewContainer {
  TenantId tenant;
  std::string name;
  Redundancy redundancy = Redundancy::kLrs;
  std::string home_region;
  bool versioning = false;
  // Of the one partition that holds all names.
  PartitionId partition;
  std::string request_id;  // 16 bytes, or empty
};

// A change to the catalog that the caller commits together with its own keys, in one transaction.
// If that fails because a compare did not hold, prepare again: the reason may be an error then.
struct PreparedChange {
  ContainerRecord record;
  std::vector<coordination::Compare> compares;
  std::vector<coordination::Write> writes;
};

// A container's record, and the row that a transaction compares to change it.
struct StoredContainer {
  ContainerRecord record;
  CatalogStore::Row row;
};

// Thread-safe; calls block (see CatalogStore).
class ContainerCatalog {
 public:
  ContainerCatalog(CatalogStore& store, TenantCatalog& tenants, crypto::KeyHierarchy& keys)
      : store_(store), tenants_(tenants), keys_(keys) {}

  // Draws the container's id and keys. NOT_FOUND: the tenant. ALREADY_EXISTS; but if it was
  // new_container.request_id that created it, the result has its record and nothing to write.
  // INVALID_ARGUMENT: the name.
  absl::StatusOr<PreparedChange> PrepareCreate(const NewContainer& new_container);

  // NOT_FOUND. A container that is being deleted is found, with its state.
  absl::StatusOr<ContainerRecord> Get(TenantId tenant, std::string_view name);

  // The same, to be changed.
  absl::StatusOr<StoredContainer> GetStored(TenantId tenant, std::string_view name);
  // nullopt: it is gone.
  absl::StatusOr<std::optional<StoredContainer>> FindById(TenantId tenant, ContainerId container);

  struct Listing {
    std::vector<ContainerRecord> containers;
    std::string next_page_token;
  };
  // In byte order of their names.
  absl::StatusOr<Listing> List(TenantId tenant, const Page& page);

  // Takes effect for all once the container's partitions have been told of its generation.
  absl::StatusOr<ContainerRecord> SetVersioning(TenantId tenant, std::string_view name,
                                                bool versioning);
  // `child` takes the end of `parent`'s range. OK also if it has it already. NOT_FOUND: the
  // container is gone; DATA_LOSS: the ranges do not fit.
  absl::Status AddPartition(TenantId tenant, ContainerId container, PartitionId parent,
                            const PartitionRange& child);
  // Deleting takes two steps: kDeleting stops new requests (everywhere as CatalogChanges tells it),
  // then the caller looks whether it is empty, and commits PrepareDelete or goes back to kActive.
  // If the caller ends in between, CutOffDeletions goes back. By id: another container may have the
  // name by now. NOT_FOUND: it is gone.
  absl::StatusOr<ContainerRecord> SetState(TenantId tenant, ContainerId container,
                                           ContainerRecord::State state);
  // Takes the container out of its tenant and the catalog; its groups are the caller's to remove.
  // NOT_FOUND; FAILED_PRECONDITION unless it is kDeleting.
  absl::StatusOr<PreparedChange> PrepareDelete(TenantId tenant, ContainerId container);

 private:
  struct Stored {
    ContainerRecord record;
    CatalogStore::Row row;
    CatalogStore::Row name_row;
  };
  absl::StatusOr<std::optional<Stored>> Find(TenantId tenant, std::string_view name);
  absl::Status Missing(TenantId tenant, std::string_view name);
  absl::StatusOr<Stored> MustFind(TenantId tenant, std::string_view name);
  template <typename Change>
  absl::StatusOr<ContainerRecord> Update(TenantId tenant, std::string_view name, Change change);

  CatalogStore& store_;
  TenantCatalog& tenants_;
  crypto::KeyHierarchy& keys_;
};

}  // namespace meridian::tenancy
