#include "server/recovery_record.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "meridian/internal/v1/cluster.pb.h"
#include "proto/unknown_fields.h"

namespace meridian::server {
namespace {

constexpr uint32_t kFormatVersion = 1;
constexpr size_t kMaxRecoveries = 16;

}  // namespace

std::string RecoveredKeyOf(PartitionId partition) {
  return kRecoveredKeyPrefix + partition.ToHex();
}

std::string EncodeRecoveries(std::vector<v1::GroupRecovery> recoveries) {
  internal::v1::RecoveriesRecord record;
  record.set_format_version(kFormatVersion);
  const size_t first = recoveries.size() > kMaxRecoveries ? recoveries.size() - kMaxRecoveries : 0;
  for (size_t i = first; i < recoveries.size(); ++i) {
    *record.add_recoveries() = std::move(recoveries[i]);
  }
  return record.SerializeAsString();
}

absl::StatusOr<std::vector<v1::GroupRecovery>> DecodeRecoveries(std::string_view encoded) {
  internal::v1::RecoveriesRecord record;
  if (!record.ParseFromArray(encoded.data(), static_cast<int>(encoded.size()))) {
    return absl::DataLossError("malformed record of recoveries");
  }
  if (record.format_version() != kFormatVersion || HasUnknownFields(record)) {
    return absl::FailedPreconditionError(
        absl::StrCat("record of recoveries of format version ", record.format_version(),
                     ", or with fields that this program does not know"));
  }
  return std::vector<v1::GroupRecovery>(record.recoveries().begin(), record.recoveries().end());
}

}  // namespace meridian::server
