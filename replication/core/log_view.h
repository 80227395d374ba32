// What a core knows of its own log: which epoch every entry has, how far it is complete, handed to
// the disk and durable, and the recent entries themselves.
//
//   base <= durable <= issued <= complete <= last
//
// An entry is complete once every chunk that it references is durable here; only then is it handed
// to the disk, so that a durable entry is a complete one (I4).
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "base/strong_int.h"
#include "replication/core/messages.h"
#include "storage/log_entry.h"
#include "storage/replica_storage.h"

namespace meridian::replication {

// Reads entries that are durable and no longer in memory.
class LogReader {
 public:
  virtual ~LogReader() = default;
  // As ReplicaStorage::ReadLog, or ReadUnderWay: the disk is being read, to be asked again.
  virtual absl::StatusOr<std::vector<storage::LogEntry>> ReadLog(LogIndex first, LogIndex last,
                                                                 size_t max_bytes) const = 0;
};

inline absl::Status ReadUnderWay() { return absl::AbortedError("the disk is being read"); }
inline bool IsReadUnderWay(const absl::Status& status) { return absl::IsAborted(status); }

// What an entry takes in memory and, about, in a message.
size_t EntryBytes(const storage::LogEntry& entry);

class LogView {
 public:
  struct Bounds {
    // Of entries kept in memory although they are durable and applied.
    size_t cached_bytes = 4 << 20;
    // Of entries handed to the disk and not durable: what comes meanwhile shares the next request.
    size_t persisting_bytes = 2 << 20;
  };

  LogView(const storage::RecoveredReplica& recovered, const Bounds& bounds);

  LogPosition base() const { return base_; }
  LogPosition last() const { return last_; }
  LogIndex issued_index() const { return issued_; }
  LogPosition issued() const { return {*EpochAt(issued_), issued_}; }
  LogIndex durable_index() const { return durable_; }
  // Not below that of any entry in the log but trimmed ones; above all of them after a truncation.
  Timestamp last_timestamp() const { return last_timestamp_; }
  // Of the entry at durable_index(); 0 if that is not known: it is the base, or was read back from
  // the disk after a truncation. It is not below that of any entry that is applied.
  Timestamp durable_timestamp() const { return durable_timestamp_; }
  // nullopt outside [base, last].
  std::optional<Epoch> EpochAt(LogIndex index) const;
  bool Contains(LogPosition position) const { return EpochAt(position.index) == position.epoch; }
  // The last place in [base, upto.index] whose epoch is not above upto.epoch; the base if none is.
  LogPosition LastAgreeable(LogPosition upto) const;

  // `entry` follows last(). With `complete`, all its chunks are known to be durable here.
  void Append(storage::LogEntry entry, bool complete);
  // Drops `first` and all after it. first > base.
  void TruncateFrom(LogIndex first);
  // The entry at `index` has all its chunks. No effect if another entry took its place.
  void MarkComplete(LogPosition position);

  // The part of the log to hand to the disk now: adds to `request`, returns whether it did. The
  // caller gives the request a number with Issued() and reports its completion in order.
  bool CollectPersist(storage::PersistRequest& request);
  void Issued(uint64_t request_id);
  // Returns whether the durable index has moved.
  bool OnPersisted(uint64_t request_id);

  // The log was replaced by a snapshot at `base`, durable.
  void Reset(LogPosition base);
  // Entries up to `index` (durable, applied) are no longer kept on disk.
  void OnTrimmed(LogIndex index);

  // Entries [first, last], fewer past `max_bytes` but at least one. first > base, last <= last().
  // OUT_OF_RANGE if the disk has trimmed them already; ReadUnderWay.
  absl::StatusOr<std::vector<storage::LogEntry>> Read(LogIndex first, LogIndex last,
                                                      size_t max_bytes,
                                                      const LogReader& reader) const;
  // Entries up to `index` (durable) are applied, and need not be kept in memory beyond the bound.
  void OnApplied(LogIndex index);
  // Of the entries in memory that are not applied: what a leader whose log does not move takes.
  size_t unapplied_bytes() const { return unapplied_bytes_; }

  void CheckInvariants() const;

 private:
  // Entries from `first` up to the next run's first have this epoch.
  struct EpochRun {
    LogIndex first;
    Epoch epoch;
  };
  struct InFlight {
    uint64_t id;
    LogIndex durable_to;  // lowered when a truncation overtakes it
    size_t bytes;
  };

  LogIndex complete_index() const {
    return incomplete_.empty() ? last_.index : incomplete_.begin()->first - 1;
  }

  // By what is in memory; for the entry at durable_.
  Timestamp TimestampInMemory(LogIndex index) const;

  LogPosition base_;
  LogPosition last_;
  Timestamp last_timestamp_;
  Timestamp durable_timestamp_;
  LogIndex issued_;
  LogIndex durable_;
  std::vector<EpochRun> runs_;  // ascending in both; the first begins at the base or below
  std::map<LogIndex, Epoch> incomplete_;
  std::optional<LogIndex> truncate_on_disk_;
  std::deque<InFlight> in_flight_;
  size_t persisting_bytes_ = 0;  // of in_flight_, and of collected_bytes_
  size_t collected_bytes_ = 0;   // by the CollectPersist that Issued has not numbered yet
  // The last cached_.size() entries. All that are not durable are among them.
  std::deque<storage::LogEntry> cached_;
  size_t cached_bytes_ = 0;
  LogIndex applied_;
  size_t unapplied_bytes_ = 0;
  const Bounds bounds_;
};

}  // namespace meridian::replication
