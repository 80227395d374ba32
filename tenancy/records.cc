#include "tenancy/records.h"

#include <algorithm>
#include <optional>

#include "base/check.h"
#include "base/status.h"
#include "meridian/internal/v1/catalog.pb.h"
#include "proto/unknown_fields.h"

namespace meridian::tenancy {
namespace {

namespace pb = ::meridian::internal::v1;

constexpr uint32_t kFormatVersion = 1;

absl::Status Damaged(std::string_view what) {
  return absl::DataLossError(std::string(what) + " in the coordination store is damaged");
}

template <typename Message>
absl::StatusOr<Message> Parse(std::string_view encoded, std::string_view what) {
  Message message;
  if (!message.ParseFromArray(encoded.data(), static_cast<int>(encoded.size()))) {
    return Damaged(what);
  }
  if (message.format_version() > kFormatVersion || HasUnknownFields(message)) {
    return absl::FailedPreconditionError(std::string(what) +
                                         " in the coordination store is of a newer version");
  }
  if (message.format_version() == 0) return Damaged(what);
  return message;
}

template <typename Message>
std::string Serialize(const Message& message) {
  std::string encoded;
  CHECK_INVARIANT(message.SerializeToString(&encoded), "a record that cannot be encoded");
  return encoded;
}

std::string Bytes(std::string_view id) { return std::string(id); }

// Over all names, in order, without gaps.
bool CoversAllNames(const std::vector<PartitionRange>& ranges) {
  if (ranges.empty() || !ranges.front().start.empty() || !ranges.back().end.empty()) return false;
  for (size_t i = 1; i < ranges.size(); ++i) {
    if (ranges[i].start.empty() || ranges[i].start != ranges[i - 1].end) return false;
    if (ranges[i].start <= ranges[i - 1].start) return false;
  }
  return true;
}

bool FillKeks(const pb::ContainerRecord& message, ContainerRecord& record) {
  for (const pb::WrappedContainerKek& kek : message.keks()) {
    record.keks.push_back({kek.kek_version(), kek.wrapped_kek()});
  }
  return !record.keks.empty();
}

bool FillPartitions(const pb::ContainerRecord& message, ContainerRecord& record) {
  for (const pb::PartitionRange& range : message.partitions()) {
    const auto id = PartitionId::FromBytes(range.partition_id());
    if (!id) return false;
    record.partitions.push_back({*id, range.start(), range.end()});
  }
  return CoversAllNames(record.partitions);
}

bool FillState(const pb::ContainerRecord& message, ContainerRecord& record) {
  if (message.state() == pb::ContainerRecord::ACTIVE) {
    record.state = ContainerRecord::State::kActive;
  } else if (message.state() == pb::ContainerRecord::DELETING) {
    record.state = ContainerRecord::State::kDeleting;
  } else {
    return false;
  }
  return true;
}

bool FillConversion(const pb::ContainerRecord& message, ContainerRecord& record) {
  if (!message.has_conversion()) return true;
  const pb::ContainerConversion& stored = message.conversion();
  if (!IsRedundancy(stored.target()) || stored.state() < pb::ContainerConversion::RUNNING ||
      stored.state() > pb::ContainerConversion::CANCELLING) {
    return false;
  }
  record.conversion = Conversion{static_cast<Conversion::State>(stored.state()),
                                 static_cast<Redundancy>(stored.target()),
                                 absl::FromUnixMicros(stored.start_time_us())};
  return true;
}

}  // namespace

bool IsRedundancy(uint32_t value) { return value >= 1 && value <= 6; }

const PartitionRange& ContainerRecord::PartitionOf(std::string_view object_name) const {
  CHECK_INVARIANT(!partitions.empty() && partitions.front().start.empty(),
                  "a container's partitions cover all names");
  const auto after = std::upper_bound(
      partitions.begin(), partitions.end(), object_name,
      [](std::string_view name, const PartitionRange& range) { return name < range.start; });
  return *std::prev(after);
}

Redundancy ContainerRecord::wanted_redundancy() const {
  const bool converts = conversion && conversion->state != Conversion::State::kCancelling;
  return converts ? conversion->target : redundancy;
}

absl::StatusOr<crypto::WrappedContainerKeys> ContainerRecord::KeysOf(uint32_t kek_version) const {
  for (const WrappedKek& kek : keks) {
    if (kek.version == kek_version) {
      return crypto::WrappedContainerKeys{kek.version, kek.wrapped, wrapped_name_key};
    }
  }
  return absl::NotFoundError("the container has no such version of its key");
}

std::string Encode(const TenantRecord& record) {
  pb::TenantRecord message;
  message.set_format_version(kFormatVersion);
  message.set_tenant_id(Bytes(record.id.bytes()));
  message.set_name(record.name);
  message.set_display_name(record.display_name);
  message.set_create_time_us(absl::ToUnixMicros(record.create_time));
  message.set_wrapped_kek(record.wrapped_kek);
  message.set_container_count(record.container_count);
  for (const AccessKeyId& key : record.access_keys) message.add_access_key_ids(Bytes(key.bytes()));
  message.set_generation(record.generation);
  message.set_create_request_id(record.create_request_id);
  return Serialize(message);
}

absl::StatusOr<TenantRecord> DecodeTenantRecord(std::string_view encoded) {
  constexpr std::string_view kWhat = "a tenant's record";
  ASSIGN_OR_RETURN(const pb::TenantRecord message, Parse<pb::TenantRecord>(encoded, kWhat));
  const auto id = TenantId::FromBytes(message.tenant_id());
  if (!id) return Damaged(kWhat);
  TenantRecord record;
  record.id = *id;
  record.name = message.name();
  record.display_name = message.display_name();
  record.create_time = absl::FromUnixMicros(message.create_time_us());
  record.wrapped_kek = message.wrapped_kek();
  record.container_count = message.container_count();
  for (const std::string& bytes : message.access_key_ids()) {
    const auto key = AccessKeyId::FromBytes(bytes);
    if (!key) return Damaged(kWhat);
    record.access_keys.push_back(*key);
  }
  record.generation = message.generation();
  record.create_request_id = message.create_request_id();
  return record;
}

std::string Encode(const AccessKeyRecord& record) {
  pb::AccessKeyRecord message;
  message.set_format_version(kFormatVersion);
  message.set_key_id(Bytes(record.id.bytes()));
  if (!record.tenant.is_nil()) message.set_tenant_id(Bytes(record.tenant.bytes()));
  message.set_secret_hash(record.secret_hash);
  message.set_display_name(record.display_name);
  message.set_create_time_us(absl::ToUnixMicros(record.create_time));
  return Serialize(message);
}

absl::StatusOr<AccessKeyRecord> DecodeAccessKeyRecord(std::string_view encoded) {
  constexpr std::string_view kWhat = "an access key's record";
  ASSIGN_OR_RETURN(const pb::AccessKeyRecord message, Parse<pb::AccessKeyRecord>(encoded, kWhat));
  const auto id = AccessKeyId::FromBytes(message.key_id());
  if (!id) return Damaged(kWhat);
  AccessKeyRecord record;
  record.id = *id;
  if (!message.tenant_id().empty()) {
    const auto tenant = TenantId::FromBytes(message.tenant_id());
    // A nil tenant would make it an administrator's.
    if (!tenant || tenant->is_nil()) return Damaged(kWhat);
    record.tenant = *tenant;
  }
  record.secret_hash = message.secret_hash();
  record.display_name = message.display_name();
  record.create_time = absl::FromUnixMicros(message.create_time_us());
  return record;
}

std::string Encode(const ContainerRecord& record) {
  pb::ContainerRecord message;
  message.set_format_version(kFormatVersion);
  message.set_tenant_id(Bytes(record.tenant.bytes()));
  message.set_container_id(Bytes(record.id.bytes()));
  message.set_name(record.name);
  message.set_redundancy(static_cast<uint32_t>(record.redundancy));
  message.set_home_region(record.home_region);
  message.set_versioning(record.versioning);
  message.set_create_time_us(absl::ToUnixMicros(record.create_time));
  message.set_state(record.state == ContainerRecord::State::kActive
                        ? pb::ContainerRecord::ACTIVE
                        : pb::ContainerRecord::DELETING);
  for (const WrappedKek& kek : record.keks) {
    pb::WrappedContainerKek* const added = message.add_keks();
    added->set_kek_version(kek.version);
    added->set_wrapped_kek(kek.wrapped);
  }
  message.set_wrapped_name_key(record.wrapped_name_key);
  for (const PartitionRange& range : record.partitions) {
    pb::PartitionRange* const added = message.add_partitions();
    added->set_partition_id(Bytes(range.partition.bytes()));
    added->set_start(range.start);
    added->set_end(range.end);
  }
  message.set_partition_generation(record.partition_generation);
  message.set_create_request_id(record.create_request_id);
  message.set_versioning_generation(record.versioning_generation);
  if (record.conversion) {
    pb::ContainerConversion* const conversion = message.mutable_conversion();
    conversion->set_state(static_cast<pb::ContainerConversion::State>(record.conversion->state));
    conversion->set_target(static_cast<uint32_t>(record.conversion->target));
    conversion->set_start_time_us(absl::ToUnixMicros(record.conversion->start_time));
  }
  message.set_conversion_request_id(record.conversion_request_id);
  return Serialize(message);
}

absl::StatusOr<ContainerRecord> DecodeContainerRecord(std::string_view encoded) {
  constexpr std::string_view kWhat = "a container's record";
  ASSIGN_OR_RETURN(const pb::ContainerRecord message, Parse<pb::ContainerRecord>(encoded, kWhat));
  const auto tenant = TenantId::FromBytes(message.tenant_id());
  const auto id = ContainerId::FromBytes(message.container_id());
  ContainerRecord record;
  if (!tenant || !id || !IsRedundancy(message.redundancy()) || !FillKeks(message, record) ||
      !FillPartitions(message, record) || !FillState(message, record) ||
      !FillConversion(message, record)) {
    return Damaged(kWhat);
  }
  record.tenant = *tenant;
  record.id = *id;
  record.name = message.name();
  record.redundancy = static_cast<Redundancy>(message.redundancy());
  record.home_region = message.home_region();
  record.versioning = message.versioning();
  record.versioning_generation = message.versioning_generation();
  record.create_time = absl::FromUnixMicros(message.create_time_us());
  record.wrapped_name_key = message.wrapped_name_key();
  record.partition_generation = message.partition_generation();
  record.create_request_id = message.create_request_id();
  record.conversion_request_id = message.conversion_request_id();
  return record;
}

std::string Encode(const ConversionProgress& progress) {
  pb::ConversionProgress message;
  message.set_format_version(kFormatVersion);
  message.set_partitions_done(progress.partitions_done);
  message.set_partitions_total(progress.partitions_total);
  message.set_bytes_done(progress.bytes_done);
  message.set_bytes_total(progress.bytes_total);
  if (progress.estimated_end) {
    message.set_estimated_end_time_us(absl::ToUnixMicros(*progress.estimated_end));
  }
  message.set_problem(progress.problem);
  return Serialize(message);
}

absl::StatusOr<ConversionProgress> DecodeConversionProgress(std::string_view encoded) {
  ASSIGN_OR_RETURN(const pb::ConversionProgress message,
                   Parse<pb::ConversionProgress>(encoded, "the progress of a conversion"));
  ConversionProgress progress{message.partitions_done(),
                              message.partitions_total(),
                              message.bytes_done(),
                              message.bytes_total(),
                              std::nullopt,
                              message.problem()};
  if (message.estimated_end_time_us() != 0) {
    progress.estimated_end = absl::FromUnixMicros(message.estimated_end_time_us());
  }
  return progress;
}

void Removals::Add(std::variant<AccessKeyId, TenantId> removed) {
  ++count;
  if (latest.size() >= kMaxLatest) latest.erase(latest.begin());
  latest.push_back(removed);
}

std::string Encode(const Removals& removals) {
  pb::CatalogRemovals message;
  message.set_format_version(kFormatVersion);
  message.set_count(removals.count);
  for (const auto& removed : removals.latest) {
    pb::CatalogRemoval* const added = message.add_latest();
    if (const auto* key = std::get_if<AccessKeyId>(&removed)) {
      added->set_access_key_id(Bytes(key->bytes()));
    } else {
      added->set_tenant_id(Bytes(std::get<TenantId>(removed).bytes()));
    }
  }
  return Serialize(message);
}

absl::StatusOr<Removals> DecodeRemovals(std::string_view encoded) {
  constexpr std::string_view kWhat = "a record of removals";
  ASSIGN_OR_RETURN(const pb::CatalogRemovals message, Parse<pb::CatalogRemovals>(encoded, kWhat));
  Removals removals;
  removals.count = message.count();
  for (const pb::CatalogRemoval& removed : message.latest()) {
    const auto key = AccessKeyId::FromBytes(removed.access_key_id());
    const auto tenant = TenantId::FromBytes(removed.tenant_id());
    if (removed.has_access_key_id() && key) {
      removals.latest.push_back(*key);
    } else if (removed.has_tenant_id() && tenant) {
      removals.latest.push_back(*tenant);
    } else {
      return Damaged(kWhat);
    }
  }
  if (removals.latest.size() > removals.count) return Damaged(kWhat);
  return removals;
}

std::string EncodeNameRecord(std::string_view id) {
  pb::NameRecord message;
  message.set_format_version(kFormatVersion);
  message.set_id(Bytes(id));
  return Serialize(message);
}

absl::StatusOr<std::string> DecodeNameRecord(std::string_view encoded) {
  ASSIGN_OR_RETURN(const pb::NameRecord message, Parse<pb::NameRecord>(encoded, "a name's record"));
  return message.id();
}

}  // namespace meridian::tenancy
