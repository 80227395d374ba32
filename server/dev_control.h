// Faults on purpose: what dev mode offers beside serving.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/id.h"

namespace meridian::server {

// Thread-safe; calls block.
class DevControl {
 public:
  enum class NodeState { kRunning, kStarting, kStopped };

  virtual ~DevControl() = default;
  // As a crash of the node. NOT_FOUND: not in the topology.
  virtual absl::Status StopNode(const NodeId& node) = 0;
  virtual absl::Status StartNode(const NodeId& node) = 0;
  // The zone's nodes, all at once.
  virtual absl::StatusOr<std::vector<NodeId>> StopZone(const std::string& zone) = 0;
  virtual absl::StatusOr<std::vector<NodeId>> StartZone(const std::string& zone) = 0;
  virtual NodeState StateOf(const NodeId& node) const = 0;
};

}  // namespace meridian::server
