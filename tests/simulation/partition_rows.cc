#include "tests/simulation/partition_rows.h"

#include "absl/strings/str_cat.h"
#include "base/check.h"

namespace meridian::simulation {
namespace {

// Takes what comes before `end` off the front, and `end`.
std::string_view TakeField(std::string_view& text, char end) {
  const size_t at = text.find(end);
  CHECK_INVARIANT(at != std::string_view::npos, "a row of the simulation is malformed");
  const std::string_view field = text.substr(0, at);
  text.remove_prefix(at + 1);
  return field;
}

std::string EncodeRedundancy(const std::optional<tenancy::Redundancy>& redundancy) {
  return redundancy ? absl::StrCat(static_cast<int>(*redundancy), ",") : ",";
}

std::optional<tenancy::Redundancy> TakeRedundancy(std::string_view& text) {
  const std::string field(TakeField(text, ','));
  if (field.empty()) return std::nullopt;
  return static_cast<tenancy::Redundancy>(std::stoi(field));
}

}  // namespace

std::string PartitionKey(PartitionId partition) { return kPartitionPrefix + partition.ToHex(); }

std::string ContainerKey(size_t container) { return absl::StrCat(kContainerPrefix, container); }

std::string RemovedKey(PartitionId partition) { return kRemovedPrefix + partition.ToHex(); }

PartitionId PartitionOf(std::string_view prefix, std::string_view key) {
  return PartitionId::FromHex(key.substr(prefix.size())).value();
}

std::string EncodePartitionRow(const PartitionRow& row) {
  return absl::StrCat(row.container, ",", row.parent ? row.parent->ToHex() : "", ",",
                      row.serves ? 1 : 0, ",", EncodeRedundancy(row.redundancy));
}

PartitionRow DecodePartitionRow(std::string_view encoded) {
  PartitionRow row;
  row.container = std::stoul(std::string(TakeField(encoded, ',')));
  const std::string_view parent = TakeField(encoded, ',');
  if (!parent.empty()) row.parent = PartitionId::FromHex(parent).value();
  row.serves = TakeField(encoded, ',') == "1";
  row.redundancy = TakeRedundancy(encoded);
  return row;
}

std::string EncodeContainer(const ContainerRow& row) {
  std::string encoded = EncodeRedundancy(row.redundancy) + EncodeRedundancy(row.target);
  for (const MapEntry& entry : row.map) {
    encoded += entry.partition.ToHex() + "," + entry.names.start + "," + entry.names.end + ",";
  }
  return encoded;
}

ContainerRow DecodeContainer(std::string_view encoded) {
  ContainerRow row;
  row.redundancy = TakeRedundancy(encoded);
  row.target = TakeRedundancy(encoded);
  while (!encoded.empty()) {
    MapEntry entry;
    entry.partition = PartitionId::FromHex(TakeField(encoded, ',')).value();
    entry.names.start = TakeField(encoded, ',');
    entry.names.end = TakeField(encoded, ',');
    row.map.push_back(std::move(entry));
  }
  return row;
}

PartitionId FindPartition(const ContainerMap& map, std::string_view name) {
  for (const MapEntry& entry : map) {
    if (entry.names.Contains(name)) return entry.partition;
  }
  return PartitionId();
}

}  // namespace meridian::simulation
