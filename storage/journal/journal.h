// The journal of one disk: what all its replicas promised and appended, in order, made durable in
// groups that share one sync (P2, P9, P20).
//
// Records go to preallocated segments, which are recycled. Each use of a segment file is a life:
// lives are numbered for ever upwards and never shared between two processes; each has a key of its
// own. A group is what one sync made durable; groups are numbered densely over all lives. format.h
// has the bytes.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/buffer.h"
#include "base/id.h"
#include "base/random.h"
#include "storage/disk.h"
#include "storage/record_sealer.h"
#include "storage/sync_meter.h"

namespace meridian::storage {

// Where a record is. Small enough to be kept in an index; stays valid until its life is released.
struct RecordLocation {
  uint32_t segment = 0;  // the file's number
  uint64_t life = 0;     // the segment's life that holds it
  uint64_t offset = 0;   // within the life's stream of payload bytes
  uint32_t length = 0;   // of the payload, without framing
  bool operator==(const RecordLocation&) const = default;
};

// The number of a group: a point in the journal's order. The first group is 1.
using GroupNumber = uint64_t;

struct JournalOptions {
  std::string dir = "journal";
  DiskId disk_id;
  uint32_t segment_bytes = 16 << 20;  // multiple of 4096; at least twice max_record_bytes, about
  // Payloads above are refused with INVALID_ARGUMENT.
  uint32_t max_record_bytes = 4 << 20;
  // A group takes what is waiting, up to this many payload bytes (or one larger record).
  uint32_t max_group_bytes = 1 << 20;
  // Made when the journal is, so that a full disk still takes deletes, aborts and promises. At
  // least 3: the one being written, the next, and one kept back for the restart after a crash.
  uint32_t min_segments = 3;
  // Never more files than this. With all in use, appends wait until the user has released one.
  uint32_t max_segments = 16;
  // When this many are in use, `on_pressure` is called at each roll: time to flush and release.
  uint32_t pressure_segments = 3;
  // Waiting appends beyond are refused with RESOURCE_EXHAUSTED.
  uint64_t max_queued_bytes = 64 << 20;
  // Replay visits groups from here on; earlier ones stay readable by location. DATA_LOSS if the
  // journal does not reach it or has recycled it.
  GroupNumber replay_from = 1;
  // On the journal's thread; must not block nor call the journal.
  std::function<void()> on_pressure = nullptr;
};

struct JournalRecord {
  uint8_t type = 0;  // the user's; never 0
  ReplicaId owner;   // nil: the disk itself
  // The concatenation is the payload. Shared, not copied, until sealed.
  std::vector<Buffer> payload;
};

// A record found by replay; views live during the visit.
struct ReplayedRecord {
  uint8_t type = 0;
  ReplicaId owner;
  std::string_view payload;
  RecordLocation location;
  GroupNumber group = 0;
};

struct SegmentInfo {
  uint32_t segment = 0;
  uint64_t life = 0;
  GroupNumber first_group = 0;
};

// Thread-safe. Completions run on the journal's own thread, in the order of Append, and must not
// block. After the first failed write the journal is out of service: every append fails with that
// error, reads go on.
class Journal {
 public:
  // An error means that the journal must not be opened; it is returned as it is.
  using Visitor = std::function<absl::Status(const ReplayedRecord&)>;
  struct Appended {
    RecordLocation location;
    GroupNumber group = 0;
  };
  // Not OK: RESOURCE_EXHAUSTED, INVALID_ARGUMENT (nothing was written, the journal goes on; later
  // appends may succeed), CANCELLED (closed before it was written; unknown whether it is there), or
  // the failure that took the disk out of service (unknown too).
  using Done = std::function<void(const absl::StatusOr<Appended>&)>;

  // Opens the journal in `options.dir` or makes one, visits every durable record from
  // options.replay_from in order, and begins a new life for appends. A torn tail is dropped:
  // nothing of it was acknowledged. DATA_LOSS if anything that may have been acknowledged is
  // damaged or missing: the disk's replicas must not vote (P9). FAILED_PRECONDITION if the folder
  // is another disk's or of a later version. `disk`, `sealers` and `random` (thread-safe)
  // outlive the journal.
  static absl::StatusOr<std::unique_ptr<Journal>> Open(Disk& disk,
                                                       const RecordSealerFactory& sealers,
                                                       Random& random, JournalOptions options,
                                                       const Visitor& visitor);
  // Finishes the group being written; the rest is completed with CANCELLED. No completion runs
  // after.
  virtual ~Journal() = default;

  // Takes the record into the journal's order. `done` is called once it is durable, never before,
  // and never from within this call.
  virtual void Append(JournalRecord record, Done done) = 0;

  // The payload of a record, verified (I10). NOT_FOUND if its life was released and recycled:
  // look up its location again. DATA_LOSS if it is damaged. UNAVAILABLE if it cannot be read.
  virtual absl::StatusOr<Buffer> Read(const RecordLocation& location) const = 0;

  // Every group up to it is durable.
  virtual GroupNumber durable_group() const = 0;
  // In the order of their lives; the last one is being written.
  virtual std::vector<SegmentInfo> SegmentsInUse() const = 0;
  // Gives all lives before `life` back. The caller guarantees (P2) that a durable flush holds
  // whatever replaces their records, promises included. The life being written is never released.
  virtual void ReleaseBefore(uint64_t life) = 0;
  // Of all groups written.
  virtual SyncCounts syncs() const = 0;
  // Not OK once out of service.
  virtual absl::Status health() const = 0;
};

}  // namespace meridian::storage
