// Reads and swaps a group's configuration in the coordination store, for one replica.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/id.h"
#include "coordination/coordination_store.h"
#include "replication/core/group_config.h"
#include "replication/inbox.h"

namespace meridian::replication {

// Confined to the replica's strand; the store's callbacks come back through the inbox.
class ConfigKeeper {
 public:
  // `on_config` gets every configuration read (linearizably) or swapped in.
  ConfigKeeper(PartitionId partition, coordination::CoordinationStore& store, Inbox::Handle strand,
               GroupConfig config, int64_t revision, absl::Duration timeout,
               std::function<void(const GroupConfig&)> on_config);

  // At most one read is under way; asked for meanwhile, another follows.
  void Read();
  // Repeats a read that the store has not answered within the timeout.
  void Tick(absl::Duration now);
  // Swaps `next` in if the stored configuration is the one that this keeper knows and has the epoch
  // before. Whatever the outcome, what the store then holds is read and passed on (P1): at once,
  // or, if the store is full, which says that it did not write, after a pause that grows with each
  // time. Until then reads that find nothing new are not passed on: the swap may still happen.
  void Swap(const GroupConfig& next);

  // What the store answered to the last swap; OK before any.
  const absl::Status& last_swap() const { return last_swap_; }
  // Swaps that the store has not carried out, for other reasons than another configuration.
  uint64_t failed_swaps() const { return failed_swaps_; }

 private:
  void OnSwapped(uint64_t swap, const absl::Status& status);
  void OnRead(uint64_t read, absl::StatusOr<std::optional<coordination::KeyValue>> result);

  const std::string key_;
  coordination::CoordinationStore& store_;
  const Inbox::Handle strand_;
  GroupConfig known_;
  int64_t revision_;
  const std::function<void(const GroupConfig&)> on_config_;
  const absl::Duration timeout_;
  uint64_t last_read_ = 0;
  bool reading_ = false;                         // last_read_ is under way
  std::optional<absl::Duration> reading_since_;  // as its first Tick saw it
  bool read_again_ = false;
  uint64_t last_commit_ = 0;
  bool swapping_ = false;  // last_commit_ is not answered, or the pause after it not over
  // The pause: how long, and, as its first Tick saw it, since when; nullopt: not in one.
  absl::Duration pause_;
  bool pausing_ = false;
  std::optional<absl::Duration> pausing_since_;
  absl::Status last_swap_;
  uint64_t failed_swaps_ = 0;
};

}  // namespace meridian::replication
