#include "server/topology.h"

#include <google/protobuf/text_format.h>
#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "meridian/v1/cluster.pb.h"

namespace meridian::server {
namespace {

constexpr size_t kMaxNameBytes = 63;
constexpr size_t kMaxNodes = 1000;

absl::Status CheckName(const char* kind, const std::string& name, std::set<std::string>& seen) {
  const bool valid = !name.empty() && name.size() <= kMaxNameBytes && name[0] != '-' &&
                     std::all_of(name.begin(), name.end(), [](char c) {
                       return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
                     });
  if (!valid) {
    return absl::InvalidArgumentError(absl::StrCat(
        kind, " name \"", name, "\": 1-63 characters of [a-z0-9-], not beginning with '-'"));
  }
  if (!seen.insert(name).second) {
    return absl::InvalidArgumentError(absl::StrCat(kind, " name \"", name, "\" is used twice"));
  }
  return absl::OkStatus();
}

absl::StatusOr<v1::Topology> ParseProto(std::string_view text) {
  v1::Topology proto;
  const std::string copy(text);
  const size_t first = copy.find_first_not_of(" \t\r\n");
  if (first != std::string::npos && copy[first] == '{') {
    const auto status = google::protobuf::util::JsonStringToMessage(copy, &proto);
    if (!status.ok()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "topology: ", std::string(status.message().data(), status.message().size())));
    }
    return proto;
  }
  if (!google::protobuf::TextFormat::ParseFromString(copy, &proto)) {
    return absl::InvalidArgumentError("topology: not a textproto of regions");
  }
  return proto;
}

}  // namespace

Topology::Topology(std::vector<Region> regions) : regions_(std::move(regions)) {
  for (const Region& region : regions_) {
    for (const Zone& zone : region.zones) {
      for (const NodeId& node : zone.nodes) nodes_.push_back({node, zone.name, region.name});
    }
  }
}

Topology Topology::Default() {
  std::vector<Region> regions;
  for (const std::string name : {"east", "west"}) {
    Region region{name, {}};
    for (const char* zone : {"-1", "-2", "-3"}) {
      region.zones.push_back({name + zone, {name + zone + "a"}});
    }
    region.zones[0].nodes.push_back(name + "-1b");
    region.zones[0].nodes.push_back(name + "-1c");
    regions.push_back(std::move(region));
  }
  return Topology(std::move(regions));
}

Topology Topology::FromNodes(const std::vector<Node>& nodes) {
  std::map<std::string, std::map<std::string, std::set<NodeId>>> sorted;
  for (const Node& node : nodes) sorted[node.region][node.zone].insert(node.id);
  std::vector<Region> regions;
  for (const auto& [region, zones] : sorted) {
    regions.push_back({region, {}});
    for (const auto& [zone, ids] : zones) {
      regions.back().zones.push_back({zone, {ids.begin(), ids.end()}});
    }
  }
  return Topology(std::move(regions));
}

absl::StatusOr<Topology> Topology::Parse(std::string_view text) {
  ASSIGN_OR_RETURN(const v1::Topology proto, ParseProto(text));
  std::set<std::string> region_names, zone_names, node_names;
  std::vector<Region> regions;
  for (const v1::Region& region_proto : proto.regions()) {
    RETURN_IF_ERROR(CheckName("region", region_proto.name(), region_names));
    Region region{region_proto.name(), {}};
    for (const v1::Zone& zone_proto : region_proto.zones()) {
      RETURN_IF_ERROR(CheckName("zone", zone_proto.name(), zone_names));
      Zone zone{zone_proto.name(), {}};
      for (const std::string& node : zone_proto.nodes()) {
        RETURN_IF_ERROR(CheckName("node", node, node_names));
        zone.nodes.push_back(node);
      }
      region.zones.push_back(std::move(zone));
    }
    regions.push_back(std::move(region));
  }
  if (node_names.empty()) return absl::InvalidArgumentError("topology: there is no node in it");
  if (node_names.size() > kMaxNodes) {
    return absl::InvalidArgumentError(absl::StrCat("topology: more than ", kMaxNodes, " nodes"));
  }
  return Topology(std::move(regions));
}

absl::StatusOr<Topology> Topology::ReadFile(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  if (!file.good()) return absl::NotFoundError(absl::StrCat("cannot read topology file ", path));
  absl::StatusOr<Topology> topology = Parse(text.str());
  if (!topology.ok()) return Annotate(topology.status(), path);
  return topology;
}

std::string Topology::ToText() const {
  v1::Topology proto;
  for (const Region& region : regions_) {
    v1::Region* region_proto = proto.add_regions();
    region_proto->set_name(region.name);
    for (const Zone& zone : region.zones) {
      v1::Zone* zone_proto = region_proto->add_zones();
      zone_proto->set_name(zone.name);
      for (const NodeId& node : zone.nodes) zone_proto->add_nodes(node);
    }
  }
  std::string text;
  google::protobuf::TextFormat::PrintToString(proto, &text);
  return text;
}

const Topology::Node* Topology::FindNode(std::string_view id) const {
  const auto node =
      std::find_if(nodes_.begin(), nodes_.end(), [&](const Node& n) { return n.id == id; });
  return node == nodes_.end() ? nullptr : &*node;
}

const Topology::Zone* Topology::FindZone(std::string_view name) const {
  for (const Region& region : regions_) {
    for (const Zone& zone : region.zones) {
      if (zone.name == name) return &zone;
    }
  }
  return nullptr;
}

}  // namespace meridian::server
