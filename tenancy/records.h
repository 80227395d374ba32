// What the catalog keeps of tenants, access keys and containers. catalog.proto is their stored
// form.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/id.h"
#include "crypto/key_hierarchy.h"

namespace meridian::tenancy {

struct TenantRecord {
  TenantId id;
  std::string name;
  std::string display_name;
  absl::Time create_time;
  // The tenant's KEK, wrapped by its key inside the KMS.
  std::string wrapped_kek;
  uint64_t container_count = 0;
  std::vector<AccessKeyId> access_keys;
  // Raised by every rewrite.
  uint64_t generation = 0;
  std::string create_request_id;
};

struct AccessKeyRecord {
  AccessKeyId id;
  // Nil: an administrator's.
  TenantId tenant;
  std::string secret_hash;
  std::string display_name;
  absl::Time create_time;
};

// Stored, and the same numbers as meridian.v1.Redundancy: never renumber.
enum class Redundancy : uint8_t {
  kLrs = 1,
  kZrs = 2,
  kGrs = 3,
  kGzrs = 4,
  kRaGrs = 5,
  kRaGzrs = 6
};
bool IsRedundancy(uint32_t value);

// Names in [start, end); an empty end is no end.
struct PartitionRange {
  PartitionId partition;
  std::string start;
  std::string end;
  bool operator==(const PartitionRange&) const = default;
};

struct WrappedKek {
  uint32_t version = 0;
  std::string wrapped;
};

// A change of a container's redundancy under way.
struct Conversion {
  // Stored: never renumber. kPaused begins no further partition; kCancelling is on the way back.
  enum class State : uint8_t { kRunning = 1, kPaused = 2, kCancelling = 3 };

  State state = State::kRunning;
  Redundancy target = Redundancy::kLrs;
  absl::Time start_time;
  bool operator==(const Conversion&) const = default;
};

struct ContainerRecord {
  enum class State { kActive, kDeleting };

  TenantId tenant;
  ContainerId id;
  std::string name;
  // What holds for every byte; conversion->target only does once it has ended.
  Redundancy redundancy = Redundancy::kLrs;
  std::optional<Conversion> conversion;
  std::string home_region;
  bool versioning = false;
  // Raised when versioning changes.
  uint64_t versioning_generation = 0;
  absl::Time create_time;
  State state = State::kActive;
  // Oldest first, at least one; the last one encrypts.
  std::vector<WrappedKek> keks;
  std::string wrapped_name_key;
  // In order, without gaps, over all names; at least one. A hint: replicas decide what they own.
  std::vector<PartitionRange> partitions;
  // Raised when `partitions` changes, and by each step of a conversion (P7). Whoever adds a
  // partition gives its group the policy of the one that it comes from, in the same transaction.
  uint64_t partition_generation = 0;
  std::string create_request_id;
  // Of the last conversion, also after its end.
  std::string conversion_request_id;

  // The partition that holds `object_name`.
  const PartitionRange& PartitionOf(std::string_view object_name) const;
  uint32_t current_kek_version() const { return keks.back().version; }
  // What the partitions' groups are to be placed by in the end.
  Redundancy wanted_redundancy() const;
  // NOT_FOUND: no such version.
  absl::StatusOr<crypto::WrappedContainerKeys> KeysOf(uint32_t kek_version) const;
};

// How far a conversion is, as whoever carries it out has measured it last.
struct ConversionProgress {
  uint32_t partitions_done = 0;
  uint32_t partitions_total = 0;
  // Bodies as stored, of one copy each.
  uint64_t bytes_done = 0;
  uint64_t bytes_total = 0;
  std::optional<absl::Time> estimated_end;  // nullopt: unknown
  std::string problem;                      // why it does not go on; empty: it does
  bool operator==(const ConversionProgress&) const = default;
};

// What was removed last of a stripe's tenants and their access keys, in the order of time.
struct Removals {
  static constexpr size_t kMaxLatest = 16;

  uint64_t count = 0;  // of all so far
  std::vector<std::variant<AccessKeyId, TenantId>> latest;

  void Add(std::variant<AccessKeyId, TenantId> removed);
};

// The stored forms, before sealing. Decode: DATA_LOSS if it is none, FAILED_PRECONDITION if it is
// of a version not known here.
std::string Encode(const TenantRecord& record);
std::string Encode(const AccessKeyRecord& record);
std::string Encode(const ContainerRecord& record);
std::string Encode(const Removals& removals);
std::string Encode(const ConversionProgress& progress);
absl::StatusOr<TenantRecord> DecodeTenantRecord(std::string_view encoded);
absl::StatusOr<AccessKeyRecord> DecodeAccessKeyRecord(std::string_view encoded);
absl::StatusOr<ContainerRecord> DecodeContainerRecord(std::string_view encoded);
absl::StatusOr<Removals> DecodeRemovals(std::string_view encoded);
absl::StatusOr<ConversionProgress> DecodeConversionProgress(std::string_view encoded);

// An id under a name.
std::string EncodeNameRecord(std::string_view id);
absl::StatusOr<std::string> DecodeNameRecord(std::string_view encoded);

}  // namespace meridian::tenancy
