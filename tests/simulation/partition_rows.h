// What the simulated coordination store holds of partitions, beside their groups' configurations:
// whose each is and where its replicas belong, and each container's map and redundancy.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/id.h"
#include "storage/objects/keys.h"
#include "tenancy/records.h"

namespace meridian::simulation {

inline constexpr char kPartitionPrefix[] = "partition/";
inline constexpr char kContainerPrefix[] = "container/";
// Written in the transaction that deletes a group.
inline constexpr char kRemovedPrefix[] = "removed/";

std::string PartitionKey(PartitionId partition);
std::string ContainerKey(size_t container);
std::string RemovedKey(PartitionId partition);
// Of a key "<prefix><partition hex>".
PartitionId PartitionOf(std::string_view prefix, std::string_view key);

struct PartitionRow {
  size_t container = 0;
  std::optional<PartitionId> parent = {};  // while its split is not over (P7)
  bool serves = false;                     // meanwhile: its group has had a leader that serves
  // What its group is kept to; nullopt: its members are anywhere.
  std::optional<tenancy::Redundancy> redundancy = {};
};
std::string EncodePartitionRow(const PartitionRow& row);
PartitionRow DecodePartitionRow(std::string_view encoded);

struct MapEntry {
  PartitionId partition;
  objects::NameRange names;
};
// In the order of names.
using ContainerMap = std::vector<MapEntry>;
struct ContainerRow {
  ContainerMap map;
  // What it shows to its users; nullopt: none, its replicas are anywhere.
  std::optional<tenancy::Redundancy> redundancy = {};
  // While it is being changed: to what; the same one: that is being taken back.
  std::optional<tenancy::Redundancy> target = {};
  std::optional<tenancy::Redundancy> wanted() const { return target ? target : redundancy; }
};
std::string EncodeContainer(const ContainerRow& row);
ContainerRow DecodeContainer(std::string_view encoded);
// By the map, which has every name once.
PartitionId FindPartition(const ContainerMap& map, std::string_view name);

}  // namespace meridian::simulation
