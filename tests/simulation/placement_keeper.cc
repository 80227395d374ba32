#include "tests/simulation/placement_keeper.h"

#include "server/placement_plan.h"
#include "storage/objects/child_rows.h"
#include "tests/simulation/partition_rows.h"

namespace meridian::simulation {
namespace {

constexpr absl::Duration kInterval = absl::Milliseconds(200);
// A member that is silent for longer is replaced.
constexpr absl::Duration kPatience = absl::Seconds(4);

}  // namespace

class PlacementKeeper::Turn : public KeeperTurn {
 public:
  Turn(PlacementKeeper& keeper, Node& node, const Copy& copy)
      : KeeperTurn(keeper.cluster_, node, copy, [&keeper] { return keeper.Dies(); }),
        keeper_(keeper),
        key_(KeyOf(node, copy.partition)) {}

 private:
  struct Verdict {
    std::optional<Settled> settled;
    bool placeable = true;
    std::optional<std::vector<replication::Member>> change;
  };

  std::shared_ptr<Turn> Self() { return std::static_pointer_cast<Turn>(shared_from_this()); }

  // As server::PlacementKeeper::PlanOf.
  void Run(const replication::ReplicaStatus& status) override {
    const Group* const group = cluster_.FindGroup(partition_);
    if (group == nullptr || !group->redundancy) return GiveUp();
    if (!status.is_serving || objects::FindSplit(*View())->has_value()) {
      Tell(std::nullopt);
      return GiveUp();
    }
    status_ = status;
    const Verdict verdict = Judge(*group->redundancy);
    if (!verdict.change && verdict.placeable) {
      Tell(verdict.settled);
      keeper_.plans_.erase(key_);
      return GiveUp();
    }
    // Nothing counts as settled from before the read on.
    Tell(std::nullopt);
    Read(PartitionKey(partition_), [self = Self()](const Row& row) {
      if (row) self->Act(self->Judge(*DecodePartitionRow(row->value).redundancy));
      self->GiveUp();
    });
  }

  void Act(const Verdict& verdict) {
    Tell(verdict.settled);
    if (!verdict.change) return;
    keeper_.plans_[key_] = *verdict.change;
    copy().replica->ChangeMembers(*verdict.change, [](const absl::Status&) {});
  }

  Verdict Judge(tenancy::Redundancy redundancy) {
    const std::vector<server::DiskInPlan> disks = cluster_.Disks();
    server::GroupInPlan group;
    group.policy = *server::PolicyOf(redundancy);
    group.region = disks.front().disk.region;
    group.config = status_.config;
    group.silence = status_.silence;
    if (const auto last = keeper_.plans_.find(key_); last != keeper_.plans_.end()) {
      group.last_plan = last->second;
    }
    Verdict verdict;
    if (status_.config_committed && !status_.changing_members &&
        server::KeepsPolicy(group, disks)) {
      verdict.settled = {redundancy, status_.config.epoch};
    }
    auto planned = server::PlanMembers(group, disks, kPatience, keeper_.random_);
    verdict.placeable = planned.ok();
    if (!planned.ok()) return verdict;
    if (status_.changing_members || *planned != status_.config.members) {
      verdict.change = *std::move(planned);
    }
    return verdict;
  }

  void Tell(const std::optional<Settled>& settled) {
    if (settled) {
      keeper_.settled_[key_] = *settled;
    } else {
      keeper_.settled_.erase(key_);
    }
  }

  PlacementKeeper& keeper_;
  const Key key_;
  replication::ReplicaStatus status_;
};

PlacementKeeper::PlacementKeeper(Cluster& cluster, uint64_t seed)
    : cluster_(cluster),
      random_(seed),
      turns_(cluster, kInterval, [this](Node& node, const Copy& copy) {
        return std::make_shared<Turn>(*this, node, copy);
      }) {}

std::optional<PlacementKeeper::Settled> PlacementKeeper::SettledOf(const Node& node,
                                                                   PartitionId partition) const {
  const auto settled = settled_.find(KeyOf(node, partition));
  if (settled == settled_.end()) return std::nullopt;
  return settled->second;
}

}  // namespace meridian::simulation
