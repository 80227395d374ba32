// Brings chunks that are missing or corrupt on this disk from peers: for log entries and snapshots
// before they are acknowledged (I4), for reads and repair.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/buffer.h"
#include "replication/peer_link.h"
#include "replication/rebuild_throttle.h"
#include "replication/wire.h"
#include "storage/replica_storage.h"

namespace meridian::replication {

// Whether a chunk's ciphertext can be this long; anything else from outside is refused.
constexpr bool IsChunkSize(size_t bytes) { return bytes > 0 && bytes <= (size_t{2} << 20); }

// Confined to the replica's strand.
class ChunkFetcher {
 public:
  struct Hooks {
    // The disk has failed; nothing is done after.
    std::function<void(const absl::Status&)> disk_failed;
    std::function<absl::Duration()> now;
    // The configuration of the epoch that is promised here; nullptr while it is not known.
    std::function<const GroupConfig*()> config;
    // Null: none.
    RebuildThrottle* throttle = nullptr;
  };
  struct Counters {
    uint64_t fetched = 0;
    uint64_t repaired = 0;
    uint64_t lost = 0;
  };
  // Whether what waits for a chunk may go on without it; see Ensure.
  using MayLose = std::function<bool()>;
  // kRebuild: nobody waits for it, it goes through the throttle.
  enum class Pace { kAtOnce, kRebuild };
  // Names one Ensure, so that it can be called off.
  using Ticket = uint64_t;

  ChunkFetcher(const PeerLink& peers, storage::ReplicaStorage& storage, Hooks hooks)
      : peers_(peers), storage_(storage), hooks_(std::move(hooks)) {}

  // Calls `done` once every chunk of `ranges` is durable here; at once if they are. Tries until
  // then or until called off: 0 if `done` has been called already.
  //
  // If round after round every other voter says that it has no good copy of a chunk, it is recorded
  // here as lost, durably, and counted; those who may lose it go on, the others wait for it as
  // before. A voter that is silent, or answers anything else, may have it: then all wait. Only what
  // is committed without this replica's acknowledgement may be lost: its write quorum held the
  // chunk once, and this replica's word adds nothing to it (I4).
  Ticket Ensure(const std::vector<storage::ChunkRange>& ranges, std::function<void()> done,
                MayLose may_lose = nullptr, Pace pace = Pace::kAtOnce);
  void CallOff(Ticket ticket);

  // A good copy of the chunk from a peer, which also becomes, or supersedes, the copy here.
  // DATA_LOSS once every other voter has said, twice, that it has no good copy; UNAVAILABLE after
  // `deadline`.
  void Fetch(storage::ChunkId chunk, absl::Duration deadline,
             std::function<void(absl::StatusOr<Buffer>)> done);

  // Asks everybody once for a chunk that has a row here, those too who have left, when there is
  // nothing better to do; a good copy supersedes the one here.
  void Seek(storage::ChunkId chunk);

  // Makes bytes from outside durable here, and lets what waits for the chunk go on. Its errors harm
  // nobody but the chunk: INVALID_ARGUMENT (its size), RESOURCE_EXHAUSTED (the disk is full),
  // UNAVAILABLE (too much waits for the disk: again later). After a failure of the disk `done` is
  // not called.
  void Store(storage::ChunkId chunk, Buffer ciphertext, uint32_t crc32c,
             std::function<void(absl::Status)> done);

  void OnReply(ReplicaId from, ChunkFetchReply reply);
  void Serve(ReplicaId from, const ChunkFetch& request);
  // Repeats what was lost on the way, gives up reads that are too old.
  void Tick();
  // Answers every Fetch; drops every Ensure.
  void FailAll(const absl::Status& reason);

  const Counters& counters() const { return counters_; }
  // Chunks that some Ensure waits for.
  size_t awaited() const;
  // Chunks that Seek is looking for.
  size_t sought() const;

 private:
  struct Read {
    absl::Duration deadline;
    std::function<void(absl::StatusOr<Buffer>)> done;
  };
  struct Wanted {
    std::set<Ticket> tickets;
    std::vector<Read> reads;
    bool sought = false;
    bool asked = false;
    // So much was taken from the throttle for it, until it is known how many bytes it has; 0: none.
    size_t reserved_bytes = 0;
    bool storing = false;
    absl::Duration asked_at;
    ReplicaId asked_of;
    // All were asked in vain: a pause, in which other chunks have a turn.
    absl::Duration not_before;
    // Of the round under way: who is still to be asked, the next one last; who has no good copy; if
    // anybody has answered something else; if somebody might have gone on without it all the time.
    std::vector<ReplicaId> to_ask;
    std::set<ReplicaId> without;
    bool unclear = false;
    bool may_lose = false;
    size_t rounds = 0;
    // In a row, in which every other voter had no good copy: while reads waited; while somebody
    // might have gone on.
    size_t sure_rounds_of_reads = 0;
    size_t sure_rounds = 0;
  };
  struct Waiting {
    size_t missing = 0;
    std::function<void()> done;
    MayLose may_lose;
    Pace pace = Pace::kAtOnce;
  };

  void AskMore();
  // False: it is to wait for the throttle, which calls AskMore again.
  bool PassThrottle(Wanted& wanted);
  void Settle(Wanted& wanted, size_t bytes);
  void BeginRound(storage::ChunkId chunk, Wanted& wanted);
  bool IsSilent(ReplicaId peer) const;
  // The next one of the round.
  void Ask(storage::ChunkId chunk, Wanted& wanted);
  void Arrived(storage::ChunkId chunk, const Buffer* bytes);
  void Release(Wanted& wanted);
  // All were asked.
  void EndRound(Wanted& wanted);
  // Every other voter has said in this round that it has no good copy, and nobody anything else.
  bool NobodyHasIt(const Wanted& wanted) const;
  bool SomeoneMayLose(const Wanted& wanted) const;
  void PlaceLost(storage::ChunkId chunk);
  void OnPlacedLost(storage::ChunkId chunk, bool first, const absl::Status& status);
  // One chunk less for each of `tickets`; calls those that miss none any more.
  void Complete(const std::set<Ticket>& tickets);
  void Drop(std::map<storage::ChunkId, Wanted>::iterator it);
  size_t MaxAsked() const;
  absl::Duration RetryAfter(const Wanted& wanted) const;

  const PeerLink& peers_;
  storage::ReplicaStorage& storage_;
  const Hooks hooks_;
  std::map<storage::ChunkId, Wanted> wanted_;
  std::map<Ticket, Waiting> waiting_;
  std::map<storage::ChunkId, int> storing_;  // writes of Store under way
  // Peers that did not answer, until when they are asked last.
  std::map<ReplicaId, absl::Duration> silent_until_;
  Ticket last_ticket_ = 0;
  size_t asked_ = 0;        // wanted chunks that are asked for: bounded
  bool throttled_ = false;  // the throttle is to call AskMore
  // Of the last one that went through the throttle: the next ones are like it, most likely.
  size_t chunk_bytes_ = size_t{1} << 20;
  // About the largest of those that came last.
  size_t large_bytes_ = size_t{1} << 20;
  bool reads_wait_ = false;  // a chunk may be wanted for a read
  // The throttle holds it weakly: it outlives this.
  const std::shared_ptr<char> alive_ = std::make_shared<char>();
  Counters counters_;
};

}  // namespace meridian::replication
