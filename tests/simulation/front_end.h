// What a node's server does for a client, reduced to what replication sees of it: bodies are not
// encrypted, and a chunk's few bytes stand for the MiB that the manifest says.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/id.h"
#include "meridian/internal/v1/records.pb.h"
#include "storage/objects/keys.h"
#include "tests/simulation/cluster.h"

namespace meridian::simulation {

namespace pb = ::meridian::internal::v1;

struct WriteRequest {
  std::string name;
  std::string request_id;  // 16 bytes, the same for every attempt
  absl::Time created;
  std::optional<VersionId> if_match = {};
  bool if_none_match = false;
  // Of this attempt. A delete makes it its marker's.
  VersionId version;
  // Unset: a delete. One part is carried in the log, several are chunks.
  std::optional<std::vector<std::string>> body_parts = {};
};

// An object as a read saw it.
struct ReadObject {
  std::string name;
  VersionId version;
  Timestamp timestamp;
  std::string body;  // empty in a listing
};

// What a replica owns of a listing.
struct Listing {
  objects::NameRange names;
  std::vector<ReadObject> objects;  // all current ones
};

// The answer to a read of a name that the partition does not own (P7).
bool IsMoved(const absl::Status& status);

// A handle, free to copy: calls of one client to one group's copy on one node. Callbacks run on the
// node's strand, or never if the node crashes: the client has a time-out. The node is up during the
// call, and both outlive every callback.
class FrontEnd {
 public:
  FrontEnd(Node& node, const Group& group) : node_(node), group_(group) {}

  void Write(const WriteRequest& request, std::function<void(absl::StatusOr<pb::Outcome>)> done);
  // nullopt: there is no such object. See IsMoved.
  void Read(const std::string& name,
            std::function<void(absl::StatusOr<std::optional<ReadObject>>)> done);
  void List(std::function<void(absl::StatusOr<Listing>)> done);

 private:
  // Null while the node has none.
  replication::Replica* replica() const;
  // `done` when each is durable on a quorum, or one could not be stored.
  void WriteChunks(RunId run, const std::vector<std::string>& parts,
                   std::function<void(const absl::Status&)> done);

  Node& node_;
  const Group& group_;
};

}  // namespace meridian::simulation
