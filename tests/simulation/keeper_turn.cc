#include "tests/simulation/keeper_turn.h"

namespace meridian::simulation {
namespace {

// A turn whose answers do not come is given up.
constexpr absl::Duration kTurnLimit = absl::Seconds(2);

}  // namespace

KeeperTurn::KeeperTurn(Cluster& cluster, Node& node, const Copy& copy, std::function<bool()> dies)
    : cluster_(cluster),
      node_(node),
      partition_(copy.partition),
      replica_(copy.id),
      dies_(std::move(dies)),
      life_(node.life()),
      deadline_(cluster.scheduler().now() + kTurnLimit) {}

void KeeperTurn::Start() {
  copy().replica->GetStatus([self = shared_from_this()](const replication::ReplicaStatus& status) {
    if (!status.health.ok()) return self->GiveUp();
    self->Continue([self, status] { self->Run(status); });
  });
}

bool KeeperTurn::Lives() {
  if (is_over() || !node_.is_up() || node_.life() != life_) return false;
  const Copy* const copy = node_.FindCopy(partition_);
  return copy != nullptr && copy->id == replica_ && copy->replica != nullptr;
}

void KeeperTurn::Continue(std::function<void()> step) {
  if (!Lives() || dies_()) return GiveUp();
  node_.strand().Post([self = shared_from_this(), step = std::move(step)] {
    if (!self->Lives()) return self->GiveUp();
    step();
  });
}

void KeeperTurn::Read(const std::string& key, std::function<void(Row)> next) {
  node_.coordination().Get(key, [self = shared_from_this(), next](absl::StatusOr<Row> row) {
    if (!row.ok()) return self->GiveUp();
    self->Continue([next, row = *row] { next(row); });
  });
}

void KeeperTurn::List(const std::string& prefix, std::function<void(Rows)> next) {
  node_.coordination().List(prefix, [self = shared_from_this(), next](absl::StatusOr<Rows> rows) {
    if (!rows.ok()) return self->GiveUp();
    self->Continue([next, rows = *rows] { next(rows); });
  });
}

void KeeperTurn::Commit(coordination::Transaction transaction, std::function<void()> next) {
  node_.coordination().Commit(
      std::move(transaction),
      [self = shared_from_this(), next](absl::StatusOr<coordination::CommitResult> result) {
        if (!result.ok() || !result->succeeded) return self->GiveUp();
        self->Continue(next);
      });
}

void KeeperTurns::Start() {
  cluster_.scheduler().After(interval_, [this] {
    Tick();
    Start();
  });
}

void KeeperTurns::Tick() {
  for (const std::unique_ptr<Node>& node : cluster_.nodes()) {
    if (!node->is_up() || node->is_paused()) continue;
    for (const std::unique_ptr<Copy>& copy : node->copies()) {
      if (copy->replica == nullptr) continue;
      std::shared_ptr<KeeperTurn>& turn = turns_[{node->id(), copy->partition}];
      if (turn != nullptr && !turn->is_over()) continue;
      turn = make_(*node, *copy);
      turn->Start();
    }
  }
}

}  // namespace meridian::simulation
