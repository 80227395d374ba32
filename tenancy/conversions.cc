#include "tenancy/conversions.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "tenancy/errors.h"

namespace meridian::tenancy {
namespace {

constexpr int kMaxAttempts = 10;

absl::Status OtherGeneration() {
  return absl::AbortedError("the container's partitions have changed meanwhile");
}

}  // namespace

absl::StatusOr<bool> ConversionCatalog::TryCommit(const StoredContainer& stored,
                                                  const ContainerRecord& next) {
  coordination::Transaction transaction{{CatalogStore::Unchanged(stored.row)},
                                        {store_.Put(stored.row.key, Encode(next))}};
  std::string converting = ConvertingKey(next.tenant, next.id);
  if (!next.conversion) {
    transaction.writes.push_back(CatalogStore::Delete(std::move(converting)));
  } else if (!stored.record.conversion) {
    transaction.writes.push_back(store_.Put(std::move(converting), Encode(ConversionProgress{})));
  }
  return store_.Commit(next.tenant, std::move(transaction));
}

absl::StatusOr<ContainerRecord> ConversionCatalog::Update(
    TenantId tenant, std::string_view name,
    const std::function<absl::Status(ContainerRecord&)>& change) {
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    ASSIGN_OR_RETURN(const StoredContainer stored, containers_.GetStored(tenant, name));
    ContainerRecord next = stored.record;
    RETURN_IF_ERROR(change(next));
    if (next.conversion == stored.record.conversion) return next;
    ++next.partition_generation;
    ASSIGN_OR_RETURN(const bool committed, TryCommit(stored, next));
    if (committed) return next;
  }
  return absl::UnavailableError("other changes of the container were faster; try again");
}

absl::StatusOr<ContainerRecord> ConversionCatalog::Start(TenantId tenant, std::string_view name,
                                                         const NewConversion& conversion) {
  return Update(tenant, name, [&](ContainerRecord& record) -> absl::Status {
    if (!conversion.request_id.empty() && record.conversion_request_id == conversion.request_id) {
      return absl::OkStatus();
    }
    if (record.conversion) {
      return ConversionUnderWayError(
          "the container's redundancy is being changed already: wait, or cancel that first");
    }
    if (record.redundancy == conversion.target) {
      return RedundancyUnchangedError("the container has that redundancy");
    }
    if (record.state != ContainerRecord::State::kActive) {
      return absl::UnavailableError("the container is being deleted");
    }
    if (record.partition_generation != conversion.generation) return OtherGeneration();
    record.conversion =
        Conversion{Conversion::State::kRunning, conversion.target, store_.clock().WallNow()};
    record.conversion_request_id = conversion.request_id;
    return absl::OkStatus();
  });
}

absl::StatusOr<ContainerRecord> ConversionCatalog::SetState(TenantId tenant, std::string_view name,
                                                            Conversion::State state) {
  return Update(tenant, name, [&](ContainerRecord& record) -> absl::Status {
    if (!record.conversion) {
      return NoConversionError("the container's redundancy is not being changed");
    }
    if (record.conversion->state == Conversion::State::kCancelling &&
        state == Conversion::State::kPaused) {
      return ConversionUnderWayError(
          "the conversion is being cancelled: wait for its end, or resume it");
    }
    record.conversion->state = state;
    return absl::OkStatus();
  });
}

absl::StatusOr<ContainerRecord> ConversionCatalog::Pause(TenantId tenant, std::string_view name) {
  return SetState(tenant, name, Conversion::State::kPaused);
}

absl::StatusOr<ContainerRecord> ConversionCatalog::Resume(TenantId tenant, std::string_view name) {
  return SetState(tenant, name, Conversion::State::kRunning);
}

absl::StatusOr<ContainerRecord> ConversionCatalog::Cancel(TenantId tenant, std::string_view name) {
  return SetState(tenant, name, Conversion::State::kCancelling);
}

absl::StatusOr<std::vector<ConversionCatalog::Id>> ConversionCatalog::List() {
  constexpr size_t kHexBytes = 2 * TenantId::kSize;
  ASSIGN_OR_RETURN(const std::vector<CatalogStore::Row> rows, store_.ListKeys(kConvertingPrefix));
  std::vector<Id> ids;
  for (const CatalogStore::Row& row : rows) {
    const std::string hex = row.key.substr(sizeof(kConvertingPrefix) - 1);
    const auto tenant = TenantId::FromHex(hex.substr(0, kHexBytes));
    const auto container = hex.size() == 2 * kHexBytes + 1
                               ? ContainerId::FromHex(hex.substr(kHexBytes + 1))
                               : std::nullopt;
    if (!tenant || !container) return absl::DataLossError(absl::StrCat("malformed key ", row.key));
    ids.push_back({*tenant, *container});
  }
  return ids;
}

absl::StatusOr<ContainerRecord> ConversionCatalog::End(const Id& id, uint64_t generation) {
  ASSIGN_OR_RETURN(const std::optional<StoredContainer> stored,
                   containers_.FindById(id.tenant, id.container));
  if (!stored) return absl::NotFoundError("the container has been deleted");
  if (stored->record.partition_generation != generation || !stored->record.conversion) {
    return OtherGeneration();
  }
  ContainerRecord next = stored->record;
  next.redundancy = next.wanted_redundancy();
  next.conversion.reset();
  ++next.partition_generation;
  ASSIGN_OR_RETURN(const bool committed, TryCommit(*stored, next));
  if (!committed) return OtherGeneration();
  return next;
}

absl::StatusOr<std::optional<ConversionProgress>> ConversionCatalog::FindProgress(const Id& id) {
  ASSIGN_OR_RETURN(const std::optional<CatalogStore::Row> row,
                   store_.Get(ConvertingKey(id.tenant, id.container)));
  if (!row) return std::nullopt;
  ASSIGN_OR_RETURN(ConversionProgress progress, DecodeConversionProgress(row->value));
  if (progress.partitions_total == 0) return std::nullopt;
  return progress;
}

absl::Status ConversionCatalog::PutProgress(const Id& id, const ConversionProgress& progress) {
  ASSIGN_OR_RETURN(const std::optional<CatalogStore::Row> row,
                   store_.Get(ConvertingKey(id.tenant, id.container)));
  if (!row) return absl::OkStatus();
  std::string encoded = Encode(progress);
  if (row->value == encoded) return absl::OkStatus();
  // Who comes second has measured nothing newer.
  return store_.CommitUntold({{CatalogStore::Unchanged(*row)}, {store_.Put(row->key, encoded)}})
      .status();
}

}  // namespace meridian::tenancy
