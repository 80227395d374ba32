// The regions, zones and nodes of a cluster, as configured.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "base/id.h"

namespace meridian::server {

// Constant once made.
class Topology {
 public:
  struct Node {
    NodeId id;
    std::string zone;
    std::string region;
  };
  struct Zone {
    std::string name;
    std::vector<NodeId> nodes;
  };
  struct Region {
    std::string name;
    std::vector<Zone> zones;
  };

  // Two regions, east and west; zone 1 of each has three nodes, zones 2 and 3 one: ten nodes, for
  // example east-1a.
  static Topology Default();

  // Of nodes that have told where they stand; regions and zones in byte order of their names.
  static Topology FromNodes(const std::vector<Node>& nodes);

  // The textproto or, if it begins with '{', JSON of a meridian.v1.Topology with its regions only:
  //   regions { name: "east" zones { name: "east-1" nodes: "east-1a" } }
  // INVALID_ARGUMENT: not of this form, a name that breaks the rules or is used twice, nothing in
  // it.
  static absl::StatusOr<Topology> Parse(std::string_view text);
  static absl::StatusOr<Topology> ReadFile(const std::string& path);

  // The textproto that Parse reads.
  std::string ToText() const;

  const std::vector<Region>& regions() const { return regions_; }
  // In the order of the configuration.
  const std::vector<Node>& nodes() const { return nodes_; }
  const Node* FindNode(std::string_view id) const;
  const Zone* FindZone(std::string_view name) const;

  bool operator==(const Topology& other) const { return ToText() == other.ToText(); }

 private:
  explicit Topology(std::vector<Region> regions);

  std::vector<Region> regions_;
  std::vector<Node> nodes_;
};

}  // namespace meridian::server
