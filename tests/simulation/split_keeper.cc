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

}  // namespace

class SplitKeeper::Turn : public KeeperTurn {
 public:
  Turn(SplitKeeper& keeper, Node& node, const Copy& copy)
      : KeeperTurn(keeper.cluster_, node, copy, [&keeper] { return keeper.Dies(); }),
        keeper_(keeper) {}

 private:
  std::shared_ptr<Turn> Self() { return std::static_pointer_cast<Turn>(shared_from_this()); }

  void Run(const replication::ReplicaStatus& status) override {
    epoch_ = status.epoch;
    if (!status.is_serving) return GiveUp();
    List(kPartitionPrefix, [self = Self()](const Rows& rows) { self->Choose(rows); });
  }

  void Propose(const pb::Command& command, std::function<void(pb::Outcome::Code)> next) {
    replication::Proposal proposal;
    proposal.command = objects::EncodeRecord(command);
    copy().replica->Propose(
        std::move(proposal),
        [self = Self(), next](const absl::StatusOr<replication::Applied>& applied) {
          if (!applied.ok()) return self->GiveUp();
          const auto code = objects::DecodeRecord<pb::Outcome>(applied->outcome)->code();
          self->Continue([next, code] { next(code); });
        });
  }

  // As server::SplitKeeper::TurnOf.
  void Choose(const Rows& rows) {
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
    if (splitting_off) return serves ? GiveUp() : NoteServing();
    if (HoldsGarbage()) {
      pb::Command command;
      command.mutable_begin_freeing();
      return Propose(command, [self = Self()](auto) { self->GiveUp(); });
    }
    if (!keeper_.MayBegin()) return GiveUp();
    Read(ContainerKey(container_), [self = Self()](const Row& map) {
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
    const ContainerRow container = DecodeContainer(map->value);
    // Splits and conversions exclude each other (P7).
    if (container.map.size() >= keeper_.max_partitions_ || container.target) return GiveUp();
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
    PartitionRow childs = DecodePartitionRow(record->value);
    childs.parent = partition_;
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
                       {PartitionKey(child), EncodePartitionRow(childs)}}},
           [self = Self(), command] {
             self->Propose(command, [self](pb::Outcome::Code code) {
               const auto split = *objects::FindSplit(*self->View());
               if (code != pb::Outcome::OK || !split) return self->GiveUp();
               self->Advance(*split);
             });
           });
  }

  void Advance(const pb::PendingSplit& split) {
    const PartitionId child = *PartitionId::FromBytes(split.child_partition_id());
    EnterIntoMap(child, split, [self = Self(), child] {
      self->KeepPolicy(child, [self, child](const PartitionRow& record) {
        if (!record.serves) return self->GiveUp();
        pb::Command command;
        command.mutable_finish_split()->set_child_partition_id(std::string(child.bytes()));
        self->Propose(command, [self, child](auto) { self->ForgetParent(child); });
      });
    });
  }

  // As server::SplitKeeper::KeepPolicy: a conversion may have begun since the child was made.
  void KeepPolicy(PartitionId child, std::function<void(const PartitionRow&)> next) {
    Read(ContainerKey(container_), [self = Self(), child, next](const Row& container) {
      self->Read(PartitionKey(child), [self, container, next](const Row& row) {
        if (!row) return self->GiveUp();
        PartitionRow record = DecodePartitionRow(row->value);
        const auto wanted = DecodeContainer(container->value).wanted();
        if (record.redundancy == wanted) return next(record);
        record.redundancy = wanted;
        self->Commit(
            {.compares = {{row->key, row->mod_revision}, {container->key, container->mod_revision}},
             .writes = {{row->key, EncodePartitionRow(record)}}},
            [next, record] { next(record); });
      });
    });
  }

  // This turn's replica leads the child, and serves.
  void NoteServing() {
    Read(PartitionKey(partition_), [self = Self()](const Row& row) {
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
    Read(ContainerKey(container_), [self = Self(), child, split, next](const Row& row) {
      ContainerRow container = DecodeContainer(row->value);
      ContainerMap& map = container.map;
      size_t parent = map.size();
      for (size_t i = 0; i < map.size(); ++i) {
        if (map[i].partition == child) return next();
        if (map[i].partition == self->partition_) parent = i;
      }
      if (parent == map.size()) return self->GiveUp();
      map[parent].names.end = split.key();
      map.insert(map.begin() + static_cast<ptrdiff_t>(parent) + 1,
                 {child, {split.key(), split.end()}});
      self->Commit({.compares = {{row->key, row->mod_revision}},
                    .writes = {{row->key, EncodeContainer(container)}}},
                   next);
    });
  }

  // Of a child that the parent's state does not say anything of: its split has ended, or was never
  // in the log.
  void Settle(PartitionId child) {
    pb::Command barrier;
    barrier.mutable_maintain();
    Propose(barrier, [self = Self(), child](auto) {
      const auto split = *objects::FindSplit(*self->View());
      if (split && split->child_partition_id() == child.bytes()) return self->GiveUp();
      self->Read(ContainerKey(self->container_), [self, child](const Row& map) {
        for (const MapEntry& entry : DecodeContainer(map->value).map) {
          if (entry.partition == child) return self->ForgetParent(child);
        }
        self->Remove(child);
      });
    });
  }

  void Remove(PartitionId child) {
    Read(replication::GroupConfigKey(child), [self = Self(), child](const Row& group) {
      if (!group) return self->GiveUp();
      self->Commit({.compares = {{group->key, group->mod_revision}},
                    .writes = {{group->key, std::nullopt},
                               {PartitionKey(child), std::nullopt},
                               {RemovedKey(child), "1"}}},
                   [self] { self->GiveUp(); });
    });
  }

  void ForgetParent(PartitionId child) {
    Read(PartitionKey(child), [self = Self()](const Row& row) {
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
  size_t container_ = 0;
  Epoch epoch_;
};

SplitKeeper::SplitKeeper(Cluster& cluster, uint64_t seed)
    : cluster_(cluster),
      random_(seed),
      max_partitions_(1 + random_.Uniform(3)),
      turns_(cluster, kInterval, [this](Node& node, const Copy& copy) {
        return std::make_shared<Turn>(*this, node, copy);
      }) {}

}  // namespace meridian::simulation
