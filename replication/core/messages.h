// What the cores of a group say to each other. replication/wire.h has their encoding.
#pragma once

#include <compare>
#include <cstdint>
#include <variant>
#include <vector>

#include "base/id.h"
#include "base/strong_int.h"
#include "replication/core/group_config.h"
#include "storage/log_entry.h"

namespace meridian::replication {

// A place in a log. The order (epoch first) is the one by which a new leader chooses a log to
// adopt.
struct LogPosition {
  Epoch epoch;
  LogIndex index;
  auto operator<=>(const LogPosition&) const = default;
};

// Leader to member: entries that follow `prev`; none in a heartbeat.
struct Append {
  Epoch epoch;
  LogPosition prev;
  std::vector<storage::LogEntry> entries;
  LogIndex commit;
  // Every member has durably passed it (P8).
  LogIndex freeable;
  // The newest round of read confirmation, echoed in the reply.
  uint64_t read_round = 0;
};

struct AppendReply {
  // The promised epoch; above the Append's if that was stale.
  Epoch epoch;
  // Durable here, and the same as in the leader's log, up to this index (I4).
  LogIndex match;
  bool rejected = false;
  LogIndex rejected_prev;
  // With `rejected`: the last place here that can agree with the leader's log.
  LogPosition hint;
  uint64_t read_round = 0;
  bool installing = false;
};

// "I do not hear the leader. Do you?" (P3)
struct Probe {
  Epoch epoch;
  uint64_t round = 0;
};

struct ProbeReply {
  Epoch epoch;
  uint64_t round = 0;
  bool granted = false;
  LogPosition last;
  LogIndex base;
  bool installing = false;
};

// The sender has swapped `config` in: promise its epoch.
struct Fence {
  GroupConfig config;
};

struct FenceReply {
  // The promised epoch; above the Fence's if that was stale.
  Epoch epoch;
  // Of the durable log.
  LogPosition last;
  LogIndex base;
  bool installing = false;
};

// A new leader to the member whose log it adopts: what follows `prev`?
struct FetchLog {
  Epoch epoch;
  LogPosition prev;
};

struct FetchLogReply {
  Epoch epoch;
  LogPosition prev;
  bool matched = false;
  // Unless matched: the last place in this log that can agree with the asker's.
  LogPosition hint;
  std::vector<storage::LogEntry> entries;
};

// Who leads `epoch`, or has just won it, would rather not: the receiver should swap itself in at
// once, without a probe.
struct HandOver {
  Epoch epoch;
};

using CoreMessage = std::variant<Append, AppendReply, Probe, ProbeReply, Fence, FenceReply,
                                 FetchLog, FetchLogReply, HandOver>;

struct OutboundMessage {
  ReplicaId to;
  CoreMessage message;
};

}  // namespace meridian::replication
