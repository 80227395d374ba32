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

absl::Status Install(storage::ReplicaStorage& storage, objects::ChildRows rows, Executor& strand) {
  RETURN_IF_ERROR(OnDisk(strand, [&](Done done) { storage.BeginInstall(std::move(done)); }));
  // Its log begins with an entry of the first epoch: no promise is below (I3).
  if (storage.recovered().hard_state.promised < kChildsFirstEpoch) {
    RETURN_IF_ERROR(OnDisk(strand, [&](Done done) {
      storage.Persist({.hard_state = storage::HardState{.promised = kChildsFirstEpoch}},
                      std::move(done));
    }));
  }
  PieceLoader loader(
      strand, [&storage](const PieceLoader::Rows& piece) { return storage.LoadInstall(piece); });
  while (true) {
    ASSIGN_OR_RETURN(PieceLoader::Rows piece, rows.Next(kPieceBytes));
    if (piece.empty()) break;
    RETURN_IF_ERROR(loader.Add(std::move(piece)));
  }
  RETURN_IF_ERROR(loader.Finish());
  return OnDisk(strand, [&](Done done) {
    storage.FinishInstall(kFirstIndex, kChildsFirstEpoch, rows.timestamp(), std::move(done));
  });
}

}  // namespace

absl::Status BuildChild(storage::DiskStore& disk, ReplicaId child, PartitionId child_partition,
                        const replication::Replica& parent, absl::Duration retention,
                        Executor& strand) {
  std::unique_ptr<storage::ReplicaStorage> storage;
  RETURN_IF_ERROR(OnStrand(strand, [&](Done done) {
    auto opened = disk.OpenReplica(child);
    if (opened.ok()) storage = *std::move(opened);
    done(opened.status());
  }));
  absl::Status status;
  if (storage->recovered().installing) {
    const std::unique_ptr<storage::KvReader> view = parent.NewView();
    auto rows = objects::ChildRows::Open(*view, child_partition, retention);
    status = rows.ok() ? Install(*storage, *std::move(rows), strand) : rows.status();
  }
  // Its storage belongs to the strand.
  RETURN_IF_ERROR(OnStrand(strand, [&](Done done) {
    storage.reset();
    done(absl::OkStatus());
  }));
  return status;
}

}  // namespace meridian::server
