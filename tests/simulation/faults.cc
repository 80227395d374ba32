#include "tests/simulation/faults.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace meridian::simulation {
Faults::Faults(Cluster& cluster, uint64_t seed) : cluster_(cluster), random_(seed) {
  for (const Group& group : cluster_.groups()) rotting_.push_back(group.nodes.front());
}

void Faults::Start() {
  // Never a clean network: every run has loss, duplicates and stragglers.
  cluster_.network().SetQuality({.loss = 0.005, .duplication = 0.005, .straggling = 0.005});
  cluster_.coordination_conditions().loss = 0.02;
  StrikeLater();
}

void Faults::StrikeLater() {
  cluster_.scheduler().After(Between(50, 900), [this] {
    if (healed_) return;
    Strike();
    StrikeLater();
  });
}

void Faults::Strike() {
  // Weight and what happens.
  static constexpr std::pair<uint64_t, void (Faults::*)()> kKinds[] = {
      {24, &Faults::CrashOneNode},       {3, &Faults::CrashAllNodes},
      {12, &Faults::MoveQuorum},         {8, &Faults::PauseOneNode},
      {12, &Faults::IsolateOneNode},     {8, &Faults::CutOneWay},
      {16, &Faults::CutOnePair},         {6, &Faults::SplitInTwo},
      {8, &Faults::DegradeNetwork},      {8, &Faults::SlowOneDisk},
      {4, &Faults::JumpOneClock},        {5, &Faults::CoordinationOutage},
      {6, &Faults::DegradeCoordination}, {10, &Faults::RotOneChunk},
      {16, &Faults::MoveMembers},        {10, &Faults::MoveAllMembers},
      {10, &Faults::DrainOneNode},       {12, &Faults::CutOffLeaderInAChange},
  };
  uint64_t sum = 0;
  for (const auto& [weight, strike] : kKinds) sum += weight;
  uint64_t die = random_.Uniform(sum);
  for (const auto& [weight, strike] : kKinds) {
    if (die < weight) return (this->*strike)();
    die -= weight;
  }
}

void Faults::UndoAfter(absl::Duration duration, std::function<void()> undo) {
  cluster_.scheduler().After(duration, [this, undo = std::move(undo)] {
    if (!healed_) undo();
  });
}

void Faults::Heal() {
  healed_ = true;
  cluster_.network().MendAll();
  cluster_.network().SetQuality({});
  cluster_.coordination_conditions().down = false;
  cluster_.coordination_conditions().loss = 0;
  for (const auto& node : cluster_.nodes()) {
    SetSlowness(*node, 1);
    cluster_.SetDraining(*node, false);
  }
  cluster_.StartAll();
}

void Faults::CrashOneNode() {
  Node& node = AnyNode();
  if (!node.is_up()) return;
  cluster_.Crash(node, /*power_loss=*/random_.Uniform(4) != 0);
  UndoAfter(Between(1, 1500), [&node] {
    if (!node.is_up()) node.Start();
  });
}

void Faults::CrashAllNodes() {
  for (const auto& node : cluster_.nodes()) {
    if (node->is_up()) cluster_.Crash(*node, /*power_loss=*/true);
    UndoAfter(Between(1, 1000), [&node = *node] {
      if (!node.is_up()) node.Start();
    });
  }
}

void Faults::MoveQuorum() {
  const Group* const drawn = AnyGroup();
  if (drawn == nullptr) return;
  const Group& group = *drawn;
  const uint64_t first = random_.Uniform(group.nodes.size());
  Node& soon = *group.nodes[first];
  Node& late = *group.nodes[(first + 1) % group.nodes.size()];
  Node& cut = *group.nodes[(first + 2) % group.nodes.size()];
  if (!soon.is_up() || !late.is_up()) return;
  SetSlowness(soon, 20);
  CutBothWays(cut, soon);
  CutBothWays(cut, late);
  UndoAfter(Between(100, 1000), [this, &soon, &late] {
    SetSlowness(soon, 1);
    cluster_.network().MendAll();
    for (Node* node : {&soon, &late}) {
      if (node->is_up()) cluster_.Crash(*node, /*power_loss=*/true);
      UndoAfter(node == &soon ? Between(1, 50) : Between(1500, 3000), [node] {
        if (!node->is_up()) node->Start();
      });
    }
  });
}

void Faults::PauseOneNode() {
  Node& node = AnyNode();
  if (!node.is_up() || node.is_paused()) return;
  node.Pause();
  UndoAfter(Between(50, 2500), [&node, life = node.life()] {
    if (node.is_up() && node.life() == life) node.Resume();
  });
}

void Faults::IsolateOneNode() {
  Node& node = AnyNode();
  for (const auto& other : cluster_.nodes()) {
    if (other.get() != &node) CutBothWays(node, *other);
  }
  UndoAfter(Between(100, 2500), [this] { cluster_.network().MendAll(); });
}

void Faults::CutOneWay() {
  Node& from = AnyNode();
  Node& to = OtherNode(from);
  cluster_.network().Cut(from.id(), to.id());
  UndoAfter(Between(100, 2500), [this] { cluster_.network().MendAll(); });
}

void Faults::CutOnePair() {
  Node& a = AnyNode();
  CutBothWays(a, OtherNode(a));
  UndoAfter(Between(100, 2500), [this] { cluster_.network().MendAll(); });
}

void Faults::SplitInTwo() {
  const uint64_t side = random_.Uniform(1 << Cluster::kNodes);
  for (size_t a = 0; a < Cluster::kNodes; ++a) {
    for (size_t b = 0; b < a; ++b) {
      if (((side >> a) ^ (side >> b)) & 1) CutBothWays(*cluster_.nodes()[a], *cluster_.nodes()[b]);
    }
  }
  UndoAfter(Between(100, 2000), [this] { cluster_.network().MendAll(); });
}

void Faults::DegradeNetwork() {
  cluster_.network().SetQuality({.loss = UpTo(0.3),
                                 .duplication = UpTo(0.3),
                                 .straggling = UpTo(0.2),
                                 .max_delay = Between(2, 40)});
  UndoAfter(Between(200, 2000), [this] {
    cluster_.network().SetQuality({.loss = 0.005, .duplication = 0.005, .straggling = 0.005});
  });
}

void Faults::SlowOneDisk() {
  Node& node = AnyNode();
  SetSlowness(node, 10 + UpTo(300));
  UndoAfter(Between(100, 2000), [&node] { SetSlowness(node, 1); });
}

void Faults::SetSlowness(Node& node, double factor) {
  for (const auto& copy : node.copies()) copy->disk.SetSlowness(factor);
}

void Faults::JumpOneClock() { AnyNode().clock().Jump(Between(0, 4000) - absl::Milliseconds(2000)); }

void Faults::CoordinationOutage() {
  cluster_.coordination_conditions().down = true;
  UndoAfter(Between(200, 3000), [this] { cluster_.coordination_conditions().down = false; });
}

void Faults::DegradeCoordination() {
  cluster_.coordination_conditions().loss = UpTo(0.7);
  UndoAfter(Between(500, 3000), [this] { cluster_.coordination_conditions().loss = 0.02; });
}

// Only ever on one disk of a container: an object of which every copy rots is lost with any
// protocol.
void Faults::RotOneChunk() {
  const Group* const group = AnyGroup();
  if (group == nullptr) return;
  Copy* const victim = rotting_[group->container]->FindCopy(group->partition);
  if (victim == nullptr) return;
  const std::vector<storage::ChunkId> chunks = victim->disk.Chunks();
  for (uint64_t n = random_.Uniform(5); n > 0 && !chunks.empty(); --n) {
    victim->disk.FlipBit(chunks[random_.Uniform(chunks.size())], random_);
  }
}

void Faults::MoveMembers() {
  const Group* const drawn = AnyUnboundGroup();
  if (drawn == nullptr) return;
  const Group& group = *drawn;
  std::vector<replication::Member> members = group.config.members;
  uint64_t moves = 1 + random_.Uniform(2);
  for (const auto& node : cluster_.nodes()) {
    const bool named = std::any_of(members.begin(), members.end(),
                                   [&](const auto& member) { return member.node == node->id(); });
    if (named || moves == 0 || node->FindCopy(group.partition) != nullptr) continue;
    members[random_.Uniform(members.size())] = {
        .replica = ReplicaId::Draw(random_), .node = node->id(), .disk = node->disk()};
    --moves;
  }
  cluster_.ChangeMembers(group, members);
}

void Faults::MoveAllMembers() {
  const Group* const group = AnyUnboundGroup();
  if (group == nullptr) return;
  std::vector<replication::Member> members;
  for (const auto& node : cluster_.nodes()) {
    if (members.size() == Cluster::kReplicas || node->FindCopy(group->partition)) continue;
    members.push_back(
        {.replica = ReplicaId::Draw(random_), .node = node->id(), .disk = node->disk()});
  }
  if (members.size() == Cluster::kReplicas) cluster_.ChangeMembers(*group, members);
}

void Faults::DrainOneNode() {
  Node& node = AnyNode();
  cluster_.SetDraining(node, true);
  UndoAfter(Between(300, 3000), [this, &node] { cluster_.SetDraining(node, false); });
}

void Faults::CutOffLeaderInAChange() {
  std::vector<Node*> leaders;
  for (const Group& group : cluster_.groups()) {
    if (group.removed || (group.config.joint_old.empty() && group.config.learners.empty()))
      continue;
    for (const auto& node : cluster_.nodes()) {
      const Copy* const copy = node->FindCopy(group.partition);
      if (copy != nullptr && copy->id == group.config.leader) leaders.push_back(node.get());
    }
  }
  if (leaders.empty()) return;
  const Node& leader = *leaders[random_.Uniform(leaders.size())];
  for (const auto& other : cluster_.nodes()) {
    if (other.get() != &leader) CutBothWays(leader, *other);
  }
  // Without the store nobody can follow it: it leads on.
  const bool store_goes = random_.Uniform(2) == 0;
  if (store_goes) cluster_.coordination_conditions().down = true;
  UndoAfter(Between(400, 1500), [this, store_goes] {
    cluster_.network().MendAll();
    if (store_goes) cluster_.coordination_conditions().down = false;
  });
}

const Group* Faults::AnyUnboundGroup() {
  const Group* const group = AnyGroup();
  return group == nullptr || group->redundancy ? nullptr : group;
}

const Group* Faults::AnyGroup() {
  const Group& group = cluster_.groups()[random_.Uniform(cluster_.groups().size())];
  return group.removed || group.nodes.empty() ? nullptr : &group;
}

Node& Faults::AnyNode() { return *cluster_.nodes()[random_.Uniform(Cluster::kNodes)]; }

Node& Faults::OtherNode(const Node& node) {
  while (true) {
    Node& other = AnyNode();
    if (&other != &node) return other;
  }
}

void Faults::CutBothWays(const Node& a, const Node& b) {
  cluster_.network().Cut(a.id(), b.id());
  cluster_.network().Cut(b.id(), a.id());
}

absl::Duration Faults::Between(int64_t low_ms, int64_t high_ms) {
  const uint64_t spread_us = static_cast<uint64_t>(high_ms - low_ms) * 1000;
  return absl::Milliseconds(low_ms) +
         absl::Microseconds(static_cast<int64_t>(random_.Uniform(spread_us)));
}

double Faults::UpTo(double limit) {
  return limit * static_cast<double>(random_.Uniform(1 << 20)) / (1 << 20);
}

}  // namespace meridian::simulation
