#include "tests/simulation/conversion_driver.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "tests/simulation/partition_rows.h"

namespace meridian::simulation {
namespace {

using coordination::KeyValue;
using tenancy::Redundancy;

constexpr absl::Duration kInterval = absl::Milliseconds(300);
// Partitions of a container that are on the way at the same time, unless they turn round.
constexpr size_t kMaxMoves = 2;

}  // namespace

class ConversionDriver::Turn : public KeeperTurn {
 public:
  Turn(ConversionDriver& driver, Node& node, const Copy& copy)
      : KeeperTurn(driver.cluster_, node, copy, [&driver] { return driver.Dies(); }),
        driver_(driver) {}

 private:
  struct Part {
    PartitionId partition;
    PartitionRow record;
    int64_t revision = 0;
    // Its group is kept to what is wanted; all its replicas are there.
    bool begun = false;
    bool done = false;
  };

  std::shared_ptr<Turn> Self() { return std::static_pointer_cast<Turn>(shared_from_this()); }

  // The node that leads a container's first partition carries it out.
  void Run(const replication::ReplicaStatus& status) override {
    const Group* const group = cluster_.FindGroup(partition_);
    if (!status.is_serving || group == nullptr) return GiveUp();
    Read(ContainerKey(group->container), [self = Self()](const Row& row) {
      if (!row) return self->GiveUp();
      self->container_ = *row;
      self->record_ = DecodeContainer(row->value);
      if (!self->record_.target || self->record_.map.front().partition != self->partition_) {
        return self->GiveUp();
      }
      self->List(kPartitionPrefix, [self](const Rows& rows) { self->ReadParts(rows); });
    });
  }

  // As server::ConversionDriver::ReadParts.
  void ReadParts(const Rows& rows) {
    const size_t container = cluster_.FindGroup(partition_)->container;
    std::map<PartitionId, Part> found;
    for (const KeyValue& row : rows) {
      const PartitionId partition = PartitionOf(kPartitionPrefix, row.key);
      PartitionRow record = DecodePartitionRow(row.value);
      if (record.container != container) continue;
      if (record.parent) return GiveUp();
      const bool begun = record.redundancy == record_.wanted();
      found[partition] = {partition, std::move(record), row.mod_revision, begun};
    }
    for (const MapEntry& entry : record_.map) {
      const auto part = found.find(entry.partition);
      if (part == found.end()) return GiveUp();
      parts_.push_back(part->second);
    }
    Ask(0);
  }

  // The records first, then what the leaders say.
  void Ask(size_t number) {
    if (number == parts_.size()) return Decide();
    Part& part = parts_[number];
    const auto next = [self = Self(), number] { self->Ask(number + 1); };
    if (!part.begun) return next();
    if (driver_.ends_early_) {
      part.done = true;
      return next();
    }
    AskLeader(part.partition, [self = Self(), number, next](std::optional<Epoch> epoch) {
      if (!epoch) return next();
      self->Read(replication::GroupConfigKey(self->parts_[number].partition),
                 [self, number, next, epoch](const Row& row) {
                   if (!row) return self->GiveUp();
                   const replication::GroupConfig config =
                       *replication::DecodeGroupConfig(row->value);
                   self->parts_[number].done = config.epoch == *epoch && config.joint_old.empty() &&
                                               config.learners.empty();
                   next();
                 });
    });
  }

  // As GetNodeStatus of the node that is thought to lead: `next` gets the epoch in which the group
  // is settled, if it says so. It may not answer.
  void AskLeader(PartitionId partition, std::function<void(std::optional<Epoch>)> next) {
    const Group* const group = cluster_.FindGroup(partition);
    const auto answer = [self = Self(), next](std::optional<Epoch> epoch) {
      const absl::Duration delay =
          absl::Microseconds(200 + static_cast<int64_t>(self->driver_.random_.Uniform(20'000)));
      self->cluster_.scheduler().After(
          delay, [self, next, epoch] { self->Continue([next, epoch] { next(epoch); }); });
    };
    for (const std::unique_ptr<Node>& node : cluster_.nodes()) {
      const Copy* const copy = node->FindCopy(partition);
      if (group == nullptr || copy == nullptr || copy->id != group->config.leader) continue;
      if (!node->is_up()) continue;
      return node->strand().Post([self = Self(), node = node.get(), partition, answer] {
        Copy* const copy = node->FindCopy(partition);
        if (copy == nullptr || copy->replica == nullptr) return answer(std::nullopt);
        copy->replica->GetStatus(
            [self, node, partition, answer](const replication::ReplicaStatus& status) {
              const auto settled = self->driver_.placement_.SettledOf(*node, partition);
              const bool holds =
                  status.is_serving && settled && settled->redundancy == self->record_.wanted();
              answer(holds ? std::optional(settled->epoch) : std::nullopt);
            });
      });
    }
    answer(std::nullopt);
  }

  void Decide() {
    const auto is_done = [](const Part& part) { return part.done; };
    if (!std::all_of(parts_.begin(), parts_.end(), is_done)) return BeginParts();
    ContainerRow next = record_;
    next.redundancy = record_.wanted();
    next.target.reset();
    Commit({.compares = {{container_.key, container_.mod_revision}},
            .writes = {{container_.key, EncodeContainer(next)}}},
           [self = Self()] { self->GiveUp(); });
  }

  void BeginParts() {
    const bool back = record_.target == record_.redundancy;
    const auto moving = static_cast<size_t>(std::count_if(
        parts_.begin(), parts_.end(), [](const Part& part) { return part.begun && !part.done; }));
    const auto part = std::find_if(parts_.begin(), parts_.end(),
                                   [](const Part& candidate) { return !candidate.begun; });
    if (part == parts_.end() || (!back && moving >= kMaxMoves)) return GiveUp();
    part->begun = true;
    part->record.redundancy = record_.wanted();
    const std::string key = PartitionKey(part->partition);
    Commit({.compares = {{container_.key, container_.mod_revision}, {key, part->revision}},
            .writes = {{key, EncodePartitionRow(part->record)}}},
           [self = Self()] { self->BeginParts(); });
  }

  ConversionDriver& driver_;
  KeyValue container_;
  ContainerRow record_;
  std::vector<Part> parts_;
};

ConversionDriver::ConversionDriver(Cluster& cluster, const PlacementKeeper& placement,
                                   uint64_t seed, bool ends_early)
    : cluster_(cluster),
      placement_(placement),
      random_(seed),
      ends_early_(ends_early),
      turns_(cluster, kInterval, [this](Node& node, const Copy& copy) {
        return std::make_shared<Turn>(*this, node, copy);
      }) {}

void ConversionDriver::Start() {
  turns_.Start();
  AskLater();
}

void ConversionDriver::AskLater() {
  const auto pause = absl::Milliseconds(200 + static_cast<int64_t>(random_.Uniform(2000)));
  cluster_.scheduler().After(pause, [this] {
    if (!begins_) return;
    for (size_t container = 0; container < Cluster::kContainers; ++container) AskFor(container);
    AskLater();
  });
}

// As tenancy::ConversionCatalog's Start and Cancel.
void ConversionDriver::AskFor(size_t container) {
  cluster_.coordination().Get(ContainerKey(container), [this](const auto& row) {
    ContainerRow next = DecodeContainer((**row).value);
    if (!next.redundancy) return;
    if (!next.target) {
      next.target = next.redundancy == Redundancy::kLrs ? Redundancy::kZrs : Redundancy::kLrs;
    } else if (random_.Uniform(4) == 0) {
      next.target = next.redundancy;
    } else {
      return;
    }
    cluster_.coordination().Commit({.compares = {{(**row).key, (**row).mod_revision}},
                                    .writes = {{(**row).key, EncodeContainer(next)}}},
                                   [](const auto&) {});
  });
}

}  // namespace meridian::simulation
