#include "tests/simulation/split_keeper.h"

#include <functional>
#include <optional>
#include <string>

#include "server/split_plan.h"
#include "storage/objects/child_rows.h"
#include "storage/objects/object_reader.h"
#include "storage/objects/records.h"
#include "tests/simulation/partition_rows.h"

namespace meridian::simulation {
namespace {

using coordination::KeyValue;
namespace pb = objects::pb;

constexpr absl::Duration kInterval = absl::Milliseconds(250);
// A turn whose answers do not come is given up.
constexpr absl::Duration kTurnLimit = absl::Seconds(2);

}  // namespace

// One keeper's work on one partition, as far as one thing follows from another. What comes after an
// error or a crash is for the next turn, which goes by the parent's state and the store alone.
class SplitKeeper::Turn : public std::enable_shared_from_this<Turn> {
 public:
  Turn(SplitKeeper& keeper, Node& node, const Copy& copy)
      : keeper_(keeper),
        node_(node),
        life_(node.life()),
        partition_(copy.partition),
        replica_(copy.id),
        deadline_(keeper.cluster_.scheduler().now() + kTurnLimit) {}

  void Start() {
    copy().replica->GetStatus([self = shared_from_this()](const replication::ReplicaStatus& s) {
      self->epoch_ = s.epoch;
      if (!s.health.ok() || !s.is_serving) return self->GiveUp();
      self->Continue([self] { self->ListChildren(); });
    });
  }

  bool is_over() const { return over_ || keeper_.cluster_.scheduler().now() > deadline_; }
  void GiveUp() { over_ = true; }

 private:
  using Row = std::optional<KeyValue>;

  Copy& copy() { return *node_.FindCopy(partition_); }
  std::unique_ptr<storage::KvReader> View() { return copy().replica->NewView(); }

  bool Lives() {
    if (is_over() || !node_.is_up() || node_.life() != life_) return false;
    const Copy* const copy = node_.FindCopy(partition_);
    return copy != nullptr && copy->id == replica_ && copy->replica != nullptr;
  }

  void Continue(std::function<void()> step) {
    if (!Lives() || keeper_.Dies()) return GiveUp();
    node_.strand().Post([self = shared_from_this(), step = std::move(step)] {
      if (!self->Lives()) return self->GiveUp();
      step();
    });
  }

  void Read(const std::string& key, std::function<void(Row)> next) {
    node_.coordination().Get(key, [self = shared_from_this(), next](absl::StatusOr<Row> row) {
      if (!row.ok()) return self->GiveUp();
      self->Continue([next, row = *row] { next(row); });
    });
  }

  void Commit(coordination::Transaction transaction, std::function<void()> next) {
    node_.coordination().Commit(
        std::move(transaction),
        [self = shared_from_this(), next](absl::StatusOr<coordination::CommitResult> result) {
          if (!result.ok() || !result->succeeded) return self->GiveUp();
          self->Continue(next);
        });
  }

  void Propose(const pb::Command& command, std::function<void(pb::Outcome::Code)> next) {
    replication::Proposal proposal;
    proposal.command = objects::EncodeRecord(command);
    copy().replica->Propose(
        std::move(proposal),
        [self = shared_from_this(), next](const absl::StatusOr<replication::Applied>& applied) {
          if (!applied.ok()) return self->GiveUp();
          const auto code = objects::DecodeRecord<pb::Outcome>(applied->outcome)->code();
          self->Continue([next, code] { next(code); });
        });
  }

  void ListChildren() {
    node_.coordination().List(
        kPartitionPrefix,
        [self = shared_from_this()](const absl::StatusOr<std::vector<KeyValue>>& rows) {
          if (!rows.ok()) return self->GiveUp();
          self->Continue([self, rows = *rows] { self->Choose(rows); });
        });
  }

  // As server::SplitKeeper::TurnOf.
  void Choose(const std::vector<KeyValue>& rows) {
    const std::optional<pb::PendingSplit> split = *objects::FindSplit(*View());
    bool splitting_off = false;
    bool serves = false;
    for (const KeyValue& row : rows) {
      if (row.key != PartitionKey(partition_)) continue;
      const PartitionRow own = DecodePartitionRow(row.value);
      container_ = own.container;
      splitting_off = own.parent.has_value();
      serves = own.serves;
    }
    for (const KeyValue& row : rows) {
      const PartitionId partition = PartitionOf(kPartitionPrefix, row.key);
      const PartitionRow record = DecodePartitionRow(row.value);
      const bool under_way = split && split->child_partition_id() == partition.bytes();
      if (record.parent == partition_ && !under_way) return Settle(partition);
    }
    if (split) return Advance(*split);
    if (splitting_off && !serves) return NoteServing();
    if (!splitting_off && HoldsGarbage()) {
      pb::Command command;
      command.mutable_begin_freeing();
      return Propose(command, [self = shared_from_this()](auto) { self->GiveUp(); });
    }
    if (!keeper_.MayBegin()) return GiveUp();
    Read(MapKey(container_), [self = shared_from_this()](const Row& map) {
      self->Read(replication::GroupConfigKey(self->partition_), [self, map](const Row& group) {
        self->Read(PartitionKey(self->partition_),
                   [self, map, group](const Row& record) { self->Begin(map, group, record); });
      });
    });
  }

  bool HoldsGarbage() {
    const auto view = View();
    const auto meta = objects::ObjectReader(*view).Meta();
    return meta->has_value() && (*meta)->holds_garbage();
  }

  void Begin(const Row& map, const Row& group, const Row& record) {
    if (!map || !group || !record) return GiveUp();
    if (DecodeMap(map->value).size() >= keeper_.max_partitions_) return GiveUp();
    const auto view = View();
    const auto point = server::FindSplitPoint(*view);
    if (!point->has_value()) return GiveUp();
    const replication::GroupConfig config = *replication::DecodeGroupConfig(group->value);
    // The child's replicas stand beside the members of the epoch that the entry has to be of.
    if (config.leader != replica_ || config.epoch != epoch_ || !config.joint_old.empty() ||
        !config.learners.empty()) {
      return GiveUp();
    }
    const PartitionId child = PartitionId::Draw(keeper_.random_);
    replication::GroupConfig next;
    next.epoch = Epoch(1);
    for (const replication::Member& member : config.members) {
      const bool first = member.replica == replica_;
      next.members.insert(first ? next.members.begin() : next.members.end(),
                          {ReplicaId::Draw(keeper_.random_), member.node, member.disk});
    }
    const std::string key = replication::GroupConfigKey(child);
    pb::Command command;
    pb::SplitPartition& split = *command.mutable_split_partition();
    split.set_child_partition_id(std::string(child.bytes()));
    split.set_key((*point)->key);
    split.set_epoch(epoch_.value());
    split.set_moved_count((*point)->moved_count);
    split.set_moved_bytes((*point)->moved_bytes);
    Commit({.compares = {{map->key, map->mod_revision},
                         {group->key, group->mod_revision},
                         {record->key, record->mod_revision},
                         {key, 0}},
            .writes = {{key, replication::EncodeGroupConfig(next)},
                       {PartitionKey(child), EncodePartitionRow({container_, partition_})}}},
           [self = shared_from_this(), command] {
             self->Propose(command, [self](pb::Outcome::Code code) {
               const auto split = *objects::FindSplit(*self->View());
               if (code != pb::Outcome::OK || !split) return self->GiveUp();
               self->Advance(*split);
             });
           });
  }

  void Advance(const pb::PendingSplit& split) {
    const PartitionId child = *PartitionId::FromBytes(split.child_partition_id());
    EnterIntoMap(child, split, [self = shared_from_this(), child] {
      self->Read(PartitionKey(child), [self, child](const Row& row) {
        if (!row || !DecodePartitionRow(row->value).serves) return self->GiveUp();
        pb::Command command;
        command.mutable_finish_split()->set_child_partition_id(std::string(child.bytes()));
        self->Propose(command, [self, child](auto) { self->ForgetParent(child); });
      });
    });
  }

  // This turn's replica leads the child, and serves.
  void NoteServing() {
    Read(PartitionKey(partition_), [self = shared_from_this()](const Row& row) {
      if (!row) return self->GiveUp();
      PartitionRow record = DecodePartitionRow(row->value);
      if (!record.parent) return self->GiveUp();
      record.serves = true;
      self->Commit({.compares = {{row->key, row->mod_revision}},
                    .writes = {{row->key, EncodePartitionRow(record)}}},
                   [self] { self->GiveUp(); });
    });
  }

  void EnterIntoMap(PartitionId child, const pb::PendingSplit& split, std::function<void()> next) {
    Read(MapKey(container_), [self = shared_from_this(), child, split, next](const Row& row) {
      ContainerMap map = DecodeMap(row->value);
      size_t parent = map.size();
      for (size_t i = 0; i < map.size(); ++i) {
        if (map[i].partition == child) return next();
        if (map[i].partition == self->partition_) parent = i;
      }
      if (parent == map.size()) return self->GiveUp();
      map[parent].names.end = split.key();
      map.insert(map.begin() + static_cast<ptrdiff_t>(parent) + 1,
                 {child, {split.key(), split.end()}});
      self->Commit(
          {.compares = {{row->key, row->mod_revision}}, .writes = {{row->key, EncodeMap(map)}}},
          next);
    });
  }

  // Of a child that the parent's state does not say anything of: its split has ended, or was never
  // in the log.
  void Settle(PartitionId child) {
    pb::Command barrier;
    barrier.mutable_maintain();
    Propose(barrier, [self = shared_from_this(), child](auto) {
      const auto split = *objects::FindSplit(*self->View());
      if (split && split->child_partition_id() == child.bytes()) return self->GiveUp();
      self->Read(MapKey(self->container_), [self, child](const Row& map) {
        for (const MapEntry& entry : DecodeMap(map->value)) {
          if (entry.partition == child) return self->ForgetParent(child);
        }
        self->Remove(child);
      });
    });
  }

  void Remove(PartitionId child) {
    Read(replication::GroupConfigKey(child), [self = shared_from_this(), child](const Row& group) {
      if (!group) return self->GiveUp();
      self->Commit({.compares = {{group->key, group->mod_revision}},
                    .writes = {{group->key, std::nullopt},
                               {PartitionKey(child), std::nullopt},
                               {RemovedKey(child), "1"}}},
                   [self] { self->GiveUp(); });
    });
  }

  void ForgetParent(PartitionId child) {
    Read(PartitionKey(child), [self = shared_from_this()](const Row& row) {
      if (!row) return self->GiveUp();
      PartitionRow record = DecodePartitionRow(row->value);
      record.parent.reset();
      record.serves = false;
      self->Commit({.compares = {{row->key, row->mod_revision}},
                    .writes = {{row->key, EncodePartitionRow(record)}}},
                   [self] { self->GiveUp(); });
    });
  }

  SplitKeeper& keeper_;
  Node& node_;
  const uint64_t life_;
  const PartitionId partition_;
  const ReplicaId replica_;
  const absl::Duration deadline_;
  size_t container_ = 0;
  Epoch epoch_;
  bool over_ = false;
};

SplitKeeper::SplitKeeper(Cluster& cluster, uint64_t seed)
    : cluster_(cluster), random_(seed), max_partitions_(1 + random_.Uniform(3)) {}
SplitKeeper::~SplitKeeper() = default;

void SplitKeeper::Start() {
  cluster_.scheduler().After(kInterval, [this] {
    Tick();
    Start();
  });
}

void SplitKeeper::Tick() {
  for (const std::unique_ptr<Node>& node : cluster_.nodes()) {
    if (!node->is_up() || node->is_paused()) continue;
    for (const std::unique_ptr<Copy>& copy : node->copies()) {
      if (copy->replica == nullptr) continue;
      std::shared_ptr<Turn>& turn = turns_[{node->id(), copy->partition}];
      if (turn != nullptr && !turn->is_over()) continue;
      turn = std::make_shared<Turn>(*this, *node, *copy);
      turn->Start();
    }
  }
}

}  // namespace meridian::simulation
