#include "server/catalog_warmer.h"

#include <memory>
#include <optional>
#include <utility>

#include "base/status.h"
#include "server/log.h"
#include "tenancy/records.h"

namespace meridian::server {

void CatalogWarmer::Round() {
  if (!env_.changes.store_answers()) return;
  const std::map<PartitionId, PartitionRecord> here = env_.partitions();
  std::erase_if(names_, [&](const auto& known) { return !here.contains(known.first); });
  std::erase_if(learned_, [&](const auto& known) { return !here.contains(known.first); });
  size_t asked = 0;
  for (const auto& [partition, record] : here) {
    const uint64_t count = env_.changes.count(record.tenant);
    const auto learned = learned_.find(partition);
    if (learned != learned_.end() && learned->second == count) continue;
    if (++asked > kPartitionsOfRound) return;
    const absl::Status status = Learn(partition, record);
    if (absl::IsUnavailable(status)) return;
    // Requests will ask again, and fail likewise. What is gone is gone on purpose.
    if (!status.ok() && !absl::IsNotFound(status)) {
      // The code only: the message may tell names.
      Log(LogLevel::kWarning, "catalog", "what a group's requests need cannot be read",
          {{"group", partition.ToHex()}, {"code", absl::StatusCodeToString(status.code())}});
    }
    learned_[partition] = count;
  }
}

absl::Status CatalogWarmer::Learn(PartitionId partition, const PartitionRecord& record) {
  ASSIGN_OR_RETURN(const std::string name, NameOf(partition, record));
  ASSIGN_OR_RETURN(const auto tenant, env_.directory.FindTenant(record.tenant));
  for (const AccessKeyId& key : tenant->access_keys) {
    RETURN_IF_ERROR(env_.authenticator.Learn(key));
  }
  ASSIGN_OR_RETURN(const auto container, env_.directory.FindContainer(record.tenant, name));
  return env_.directory.OpenKeys(*container, container->record.current_kek_version()).status();
}

absl::StatusOr<std::string> CatalogWarmer::NameOf(PartitionId partition,
                                                  const PartitionRecord& record) {
  if (const auto known = names_.find(partition); known != names_.end()) return known->second;
  ASSIGN_OR_RETURN(const auto row,
                   env_.store.Get(tenancy::ContainerKey(record.tenant, record.container)));
  if (!row) return absl::NotFoundError("the container is gone");
  ASSIGN_OR_RETURN(const tenancy::ContainerRecord container,
                   tenancy::DecodeContainerRecord(row->value));
  return names_.emplace(partition, container.name).first->second;
}

}  // namespace meridian::server
