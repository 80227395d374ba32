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
  // So old is what a member that keeps up may lack; or so many entries, where few are written.
  static constexpr absl::Duration kMaxLagTime = absl::Seconds(1);
  static constexpr uint64_t kMaxLag = 1000;

  // What the leader says now.
  void Note(const replication::ReplicaStatus& status, absl::Duration now);
  // For so long, up to the last Note.
  bool Holds(absl::Duration at_least) const;

 private:
  // By what was appended since the last Note.
  uint64_t MaxLag(const replication::ReplicaStatus& status, absl::Duration now) const;

  Epoch epoch_;
  LogIndex last_;
  std::optional<absl::Duration> since_;
  absl::Duration noted_;
};

}  // namespace meridian::server
