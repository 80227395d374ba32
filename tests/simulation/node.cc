#include "tests/simulation/node.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "meridian/internal/v1/records.pb.h"
#include "storage/objects/object_state_machine.h"
#include "tests/simulation/partition_rows.h"

namespace meridian::simulation {
namespace {

constexpr absl::Duration kRetryInterval = absl::Milliseconds(100);
// As server::BuildChild's, but for the size of a piece.
constexpr size_t kPieceBytes = 2 << 10;
constexpr LogIndex kFirstIndex{1};
constexpr Epoch kFirstEpoch{1};
constexpr int64_t kMaxClockOffsetMs = 200;

// Crystals are within 1 part in 1,000 here, ten times worse than real ones.
double DrawClockRate(Random& random) {
  return 1 + (static_cast<double>(random.Uniform(2001)) - 1000) / 1e6;
}

absl::Duration DrawClockOffset(Random& random) {
  return absl::Milliseconds(static_cast<int64_t>(random.Uniform(2 * kMaxClockOffsetMs + 1)) -
                            kMaxClockOffsetMs);
}

std::string EncodeAbortRun(RunId run) {
  internal::v1::Command command;
  command.set_format_version(1);
  command.mutable_abort_run()->set_run_id(std::string(run.bytes()));
  return command.SerializeAsString();
}

}  // namespace

Node::Node(NodeId id, uint64_t seed, World& world)
    : id_(std::move(id)),
      world_(world),
      random_(seed),
      disk_(DiskId::Draw(random_)),
      clock_rate_(DrawClockRate(random_)),
      clock_(world.scheduler, clock_rate_, DrawClockOffset(random_)),
      coordination_(world.coordination, world.scheduler, random_, world.coordination_conditions) {}

Node::~Node() {
  if (is_up()) Crash(/*power_loss=*/false);
}

void Node::AddCopy(PartitionId partition, ReplicaId id, size_t container, bool installing) {
  std::shared_ptr<storage::MemoryChunks>& chunks = chunks_[container];
  if (chunks == nullptr) chunks = std::make_shared<storage::MemoryChunks>();
  copies_.push_back(std::make_unique<Copy>(partition, id, world_.disk_options, chunks, installing));
  if (is_up()) Open(*copies_.back());
}

void Node::RemoveCopy(PartitionId partition) {
  for (auto it = copies_.begin(); it != copies_.end(); ++it) {
    if ((*it)->partition != partition) continue;
    (*it)->removed = true;
    (*it)->replica.reset();
    (*it)->storage = nullptr;
    (*it)->build.reset();
    (*it)->disk.Remove(world_.state_machine);
    removed_.push_back(std::move(*it));
    copies_.erase(it);
    return;
  }
}

Copy* Node::FindCopy(PartitionId partition) {
  for (const std::unique_ptr<Copy>& copy : copies_) {
    if (copy->partition == partition) return copy.get();
  }
  return nullptr;
}

void Node::Start() {
  CHECK_INVARIANT(!is_up(), "a node is started twice");
  ++life_;
  paused_ = false;
  strand_ = std::make_unique<Strand>(world_.scheduler, clock_rate_);
  world_.network.Connect(id_, [this](const NodeId&, replication::PeerMessage message) {
    strand_->Post([this, message = std::move(message)] { Dispatch(message); });
  });
  watch_ = coordination_.Watch("group/", [this] {
    strand_->Post([this] {
      for (const std::unique_ptr<Copy>& copy : copies_) {
        if (copy->replica != nullptr) copy->replica->OnConfigHint();
      }
    });
  });
  for (const std::unique_ptr<Copy>& copy : copies_) Open(*copy);
}

void Node::Open(Copy& copy) {
  coordination_.Get(
      replication::GroupConfigKey(copy.partition),
      [this, &copy, life = life_](const absl::StatusOr<Row>& group) {
        if (life != life_ || !is_up() || copy.removed) return;
        if (!group.ok() || !group->has_value()) return OpenLater(copy);
        coordination_.Get(PartitionKey(copy.partition), [this, &copy, life, group = **group](
                                                            const absl::StatusOr<Row>& partition) {
          if (life != life_ || !is_up() || copy.removed) return;
          if (!partition.ok()) return OpenLater(copy);
          strand_->Post(
              [this, &copy, group, partition = *partition] { OpenAs(copy, group, partition); });
        });
      });
}

void Node::OpenLater(Copy& copy) {
  strand_->PostAfter(kRetryInterval, [this, &copy] {
    if (!copy.removed) Open(copy);
  });
}

void Node::OpenAs(Copy& copy, const coordination::KeyValue& group, const Row& partition) {
  if (copy.removed) return;
  if (!partition.has_value()) return OpenLater(copy);  // deleted between the two reads
  const std::optional<PartitionId> parent = DecodePartitionRow(partition->value).parent;
  if (!parent.has_value() ||
      !world_.make_storage(copy, *strand_, random_)->recovered().installing) {
    return Begin(copy, group);
  }
  const Epoch promised =
      world_.make_storage(copy, *strand_, random_)->recovered().hard_state.promised;
  if (promised <= kFirstEpoch) {
    if (StartBuild(copy, *parent, group)) return;
    if (!CameToSplitBySnapshot(*parent, copy.partition) &&
        replication::DecodeGroupConfig(group.value)->leader.is_nil()) {
      return OpenLater(copy);
    }
  }
  ++world_.children.by_snapshot;
  Begin(copy, group);
}

// Without the rows, so that only its promise is of use to the child.
bool Node::CameToSplitBySnapshot(PartitionId parent, PartitionId child) {
  const Copy* const from = FindCopy(parent);
  if (from == nullptr || from->replica == nullptr) return false;
  const auto split = objects::FindSplit(*from->replica->NewView());
  return split.ok() && split->has_value() && (*split)->child_partition_id() == child.bytes();
}

bool Node::StartBuild(Copy& copy, PartitionId parent, const coordination::KeyValue& group) {
  const Copy* const from = FindCopy(parent);
  if (from == nullptr || from->replica == nullptr) return false;
  copy.build = std::make_unique<ChildBuild>();
  ChildBuild& build = *copy.build;
  build.parent = from->replica->NewView();
  auto rows = objects::ChildRows::Open(*build.parent, copy.partition, objects::Limits().retention);
  if (!rows.ok()) {
    copy.build.reset();
    return false;
  }
  build.rows = *std::move(rows);
  build.storage = world_.make_storage(copy, *strand_, random_);
  build.storage->BeginInstall([this, &copy, &build, group](const absl::Status& begun) {
    CHECK_INVARIANT(begun.ok(), "a disk fails that no fault has touched");
    // Its log begins with an entry of the first epoch: no promise is below (I3).
    if (build.storage->recovered().hard_state.promised < kFirstEpoch) {
      build.storage->Persist({.hard_state = storage::HardState{.promised = kFirstEpoch}},
                             [](const absl::Status&) {});
    }
    while (true) {
      const objects::ChildRows::Rows piece = *build.rows->Next(kPieceBytes);
      if (piece.empty()) break;
      CHECK_INVARIANT(build.storage->LoadInstall(piece).ok(), "a disk fails");
    }
    build.storage->FinishInstall(kFirstIndex, kFirstEpoch, build.rows->timestamp(),
                                 [this, &copy, group](const absl::Status& finished) {
                                   CHECK_INVARIANT(finished.ok(), "a disk fails");
                                   ++world_.children.built;
                                   copy.build.reset();
                                   Begin(copy, group);
                                 });
  });
  return true;
}

void Node::Begin(Copy& copy, const coordination::KeyValue& stored) {
  if (copy.removed) return;
  std::unique_ptr<storage::ReplicaStorage> storage = world_.make_storage(copy, *strand_, random_);
  copy.storage = storage.get();
  copy.replica = replication::MakeReplica(
      copy.partition, copy.id, replication::DecodeGroupConfig(stored.value).value(),
      stored.mod_revision, world_.replica_options,
      {.strand = *strand_,
       .clock = clock_,
       .random = random_,
       .transport = world_.network.TransportOf(id_),
       .coordination = coordination_,
       .storage = std::move(storage),
       .state_machine = world_.state_machine,
       .encode_abort_run = EncodeAbortRun,
       .on_failure = [this](const absl::Status& status) {
         world_.report(absl::StrCat("a replica of ", id_, " failed: ", status.ToString()));
       }});
}

void Node::Dispatch(const replication::PeerMessage& message) {
  Copy* copy = FindCopy(message.partition);
  if (copy != nullptr && copy->replica != nullptr && copy->id == message.to) {
    copy->replica->OnMessage(message);
  }
}

size_t Node::Crash(bool power_loss) {
  CHECK_INVARIANT(is_up(), "a node crashes that is down");
  world_.network.Disconnect(id_);
  watch_.reset();
  strand_->Retire();
  size_t lost = 0;
  for (const std::unique_ptr<Copy>& copy : copies_) {
    copy->replica.reset();
    copy->storage = nullptr;
    copy->build.reset();
    if (power_loss) lost += copy->disk.LoseUnsynced(random_);
  }
  retired_.push_back(std::move(strand_));
  return lost;
}

void Node::Pause() {
  paused_ = true;
  strand_->Pause();
}

void Node::Resume() {
  paused_ = false;
  strand_->Resume();
}

}  // namespace meridian::simulation
