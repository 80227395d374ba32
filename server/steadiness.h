// How long a group has been in the state in which what interrupts its service for a moment may be
// begun.
#pragma once

#include <cstdint>
#include <optional>

#include "absl/time/time.h"
#include "base/strong_int.h"
#include "replication/replica_status.h"

namespace meridian::server {

// Of a group, as its leader sees it: steady while it serves in one epoch, every other member is
// heard, none is far behind the log's end or being sent a snapshot. Not thread-safe.
class Steadiness {
 public:
  // Of a member that is heard: each heartbeat is answered.
  static constexpr absl::Duration kMaxSilence = absl::Seconds(1);
  // Of entries; about as many are on the way to a member that keeps up.
  static constexpr uint64_t kMaxLag = 1000;

  // What the leader says now.
  void Note(const replication::ReplicaStatus& status, absl::Duration now);
  // For so long, up to the last Note.
  bool Holds(absl::Duration at_least) const;

 private:
  Epoch epoch_;
  std::optional<absl::Duration> since_;
  absl::Duration noted_;
};

}  // namespace meridian::server
