#include "server/child_builder.h"

#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "absl/time/clock.h"
#include "base/status.h"
#include "server/await.h"
#include "server/piece_loader.h"
#include "storage/objects/child_rows.h"

namespace meridian::server {
namespace {

// Bounds what one turn of the strand takes.
constexpr size_t kPieceBytes = 128 << 10;
// Every replica of the child stands there after its install: one log position has one state.
constexpr LogIndex kFirstIndex{1};

// One disk must not hold up the replicas of the others.
constexpr absl::Duration kDiskTime = absl::Seconds(30);

using Done = std::function<void(absl::Status)>;

absl::Status OnStrand(Executor& strand, const std::function<void(Done)>& task) {
  return *AwaitUntil<absl::Status>(absl::InfiniteFuture(), [&](Done done) {
    strand.Post([&task, done = std::move(done)] { task(done); });
  });
}

// Of what waits for the disk. `task` is begun in any case.
absl::Status OnDisk(Executor& strand, const std::function<void(Done)>& task) {
  const auto answer = AwaitUntil<absl::Status>(absl::Now() + kDiskTime, [&](const Done& done) {
    OnStrand(strand, [&task, &done](const Done& begun) {
      task(done);
      begun(absl::OkStatus());
    }).IgnoreError();
  });
  if (!answer) return absl::DeadlineExceededError("the disk takes too long to make a replica");
  return *answer;
}

// What a replica begins with: its rows, piece by piece until there are none, and the epoch of its
// log's first entry.
struct Beginning {
  Epoch epoch;
  std::function<absl::StatusOr<objects::ChildRows::Rows>()> next;
  Timestamp timestamp;
};

absl::Status Install(storage::ReplicaStorage& storage, const Beginning& beginning,
                     Executor& strand) {
  RETURN_IF_ERROR(OnDisk(strand, [&](Done done) { storage.BeginInstall(std::move(done)); }));
  // No promise is below the epoch of the log's first entry (I3).
  if (storage.recovered().hard_state.promised < beginning.epoch) {
    RETURN_IF_ERROR(OnDisk(strand, [&](Done done) {
      storage.Persist({.hard_state = storage::HardState{.promised = beginning.epoch}},
                      std::move(done));
    }));
  }
  PieceLoader loader(
      strand, [&storage](const PieceLoader::Rows& piece) { return storage.LoadInstall(piece); });
  while (true) {
    ASSIGN_OR_RETURN(objects::ChildRows::Rows piece, beginning.next());
    if (piece.empty()) break;
    RETURN_IF_ERROR(loader.Add(std::move(piece)));
  }
  RETURN_IF_ERROR(loader.Finish());
  return OnDisk(strand, [&](Done done) {
    storage.FinishInstall(kFirstIndex, beginning.epoch, beginning.timestamp, std::move(done));
  });
}

// `install`: what is to be done with the storage of a replica whose install is not done.
absl::Status WithStorage(storage::DiskStore& disk, ReplicaId replica, Executor& strand,
                         const std::function<absl::Status(storage::ReplicaStorage&)>& install) {
  std::unique_ptr<storage::ReplicaStorage> storage;
  RETURN_IF_ERROR(OnStrand(strand, [&](Done done) {
    auto opened = disk.OpenReplica(replica);
    if (opened.ok()) storage = *std::move(opened);
    done(opened.status());
  }));
  absl::Status status;
  if (storage->recovered().installing) status = install(*storage);
  // Its storage belongs to the strand.
  RETURN_IF_ERROR(OnStrand(strand, [&](Done done) {
    storage.reset();
    done(absl::OkStatus());
  }));
  return status;
}

}  // namespace

absl::Status BuildChild(storage::DiskStore& disk, ReplicaId child, PartitionId child_partition,
                        const replication::Replica& parent, absl::Duration retention,
                        Executor& strand) {
  return WithStorage(disk, child, strand, [&](storage::ReplicaStorage& storage) -> absl::Status {
    const std::unique_ptr<storage::KvReader> view = parent.NewView();
    ASSIGN_OR_RETURN(objects::ChildRows rows,
                     objects::ChildRows::Open(*view, child_partition, retention));
    const Timestamp timestamp = rows.timestamp();
    return Install(storage,
                   {kChildsFirstEpoch, [&rows] { return rows.Next(kPieceBytes); }, timestamp},
                   strand);
  });
}

absl::Status BuildEmpty(storage::DiskStore& disk, ReplicaId replica, Epoch epoch,
                        const objects::NameRange& names, Executor& strand) {
  return WithStorage(disk, replica, strand, [&](storage::ReplicaStorage& storage) {
    objects::ChildRows::Rows rows = objects::RowsOfNothing(names);
    return Install(
        storage,
        {epoch,
         [&rows]() -> absl::StatusOr<objects::ChildRows::Rows> { return std::exchange(rows, {}); },
         Timestamp(0)},
        strand);
  });
}

}  // namespace meridian::server
