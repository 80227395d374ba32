// What the pure core is made with, and what it asks its driver to do.
#pragma once

#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "base/id.h"
#include "base/strong_int.h"
#include "replication/core/group_config.h"
#include "replication/core/leadership.h"
#include "replication/core/log_view.h"
#include "replication/core/messages.h"
#include "replication/core/read_rounds.h"
#include "storage/replica_storage.h"

namespace meridian::replication {

struct CoreOptions {
  LeadershipOptions leadership;
  LogView::Bounds log;
};

struct CoreOutput {
  // May be sent at once: what promises or acknowledges something is held back by the core until
  // OnPersisted has told that it is durable (P2, I3). An Append needs no durability here, as the
  // leader's own vote counts only after OnPersisted.
  std::vector<OutboundMessage> messages;

  struct Persist {
    uint64_t id = 0;
    storage::PersistRequest request;
  };
  // To be made durable in the order given out; each is answered by OnPersisted in that order.
  std::optional<Persist> persist;

  // Entries appended here whose chunks have to be durable here before the core hands them to the
  // disk: answer with OnComplete, in any order.
  struct Incomplete {
    LogPosition position;
    std::vector<storage::ChunkRange> chunks;
  };
  std::vector<Incomplete> incomplete;
  // Entries from here on were replaced or dropped; nothing more is to be done for them. Applies
  // before `incomplete`.
  std::optional<LogIndex> truncated_from;

  // Committed and durable here up to this index: apply what is not yet applied. Never goes back.
  LogIndex apply_to;

  // Read the configuration from the coordination store (linearizably) and pass it to OnConfig.
  bool read_config = false;
  // Swap this configuration in, if the stored one has the epoch before it; then pass what the store
  // holds to OnConfig, also when the outcome was unknown (P1).
  std::optional<GroupConfig> swap;

  // Members that need a snapshot, from this leader.
  std::vector<ReplicaId> need_snapshot;
  std::vector<ConfirmedRead> reads;
  // Stopped leading, for good or until a quorum is heard again: proposals that are not applied have
  // an unknown outcome, reads failed.
  bool leadership_lost = false;

  // Not OK: the log could not be read. The replica must go out of service.
  absl::Status failure;
};

}  // namespace meridian::replication
