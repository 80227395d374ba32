// Cores under random crashes, cuts, slow disks, lost, doubled and reordered messages, trims and
// snapshots. The cluster checks every step: invariants of each core, and that no two replicas ever
// apply different entries (I3, I5). When all is well again, all replicas come to be equal.
#include <gtest/gtest.h>

#include "tests/replication/core_cluster.h"

namespace meridian::replication {
namespace {

class Chaos {
 public:
  explicit Chaos(uint64_t seed) : random_(seed), cluster_(seed % 5 == 0 ? 5 : 3, seed) {
    size_ = static_cast<int>(cluster_.stored.members.size());
    if (seed % 7 == 0) {  // joint with other members, and a learner
      for (int n = size_; n <= size_ + 2; ++n) cluster_.stored.joint_old.push_back(MemberOf(n));
      cluster_.stored.learners.push_back(MemberOf(size_ + 3));
      size_ += 3;
    }
    cluster_.StartAll();
    cluster_.filter = [this](ReplicaId from, ReplicaId to, CoreMessage& message) {
      if (!troubled_) return true;
      if (Chance(20)) cluster_.in_flight.push_back({from, to, message});
      return !Chance(20);
    };
    cluster_.pick = [this](size_t count) {
      return troubled_ && Chance(10) ? random_.Uniform(count) : 0;
    };
  }

  void Run(int steps) {
    for (int i = 0; i < steps; ++i) {
      Step();
      cluster_.Run(absl::Milliseconds(20 + static_cast<int64_t>(random_.Uniform(300))));
      Snapshots();
    }
  }

  void Calm() {
    troubled_ = false;
    cluster_.Heal();
    cluster_.store_up = true;
    for (auto& [id, node] : cluster_.nodes) {
      node.hold_disk = node.hold_chunks = false;
      cluster_.Start(id);
    }
    for (int i = 0; i < 60; ++i) {
      cluster_.Run(absl::Seconds(1));
      Snapshots();
    }
  }

  CoreCluster& cluster() { return cluster_; }
  uint64_t proposed() const { return proposed_; }

 private:
  bool Chance(uint64_t one_in) { return random_.Uniform(one_in) == 0; }
  int AnyNode() { return 1 + static_cast<int>(random_.Uniform(static_cast<uint64_t>(size_))); }

  void Step() {
    int n = AnyNode();
    CoreCluster::Node& node = cluster_.node(n);
    switch (random_.Uniform(14)) {
      case 0:
        // Some of what was on its way to the disk survives.
        for (uint64_t keep = random_.Uniform(3); keep > 0 && !node.disk.queue.empty(); --keep) {
          node.disk.Write(node.disk.queue.front().request);
          node.disk.queue.pop_front();
        }
        return cluster_.Crash(IdOf(n));
      case 1:
      case 2:
        return cluster_.Start(IdOf(n));
      case 3:
        return cluster_.Cut(n, AnyNode());
      case 4:
        return cluster_.Isolate(n);
      case 5:
      case 6:
        return cluster_.Heal();
      case 7:
        node.hold_disk = !node.hold_disk;
        return;
      case 8:
        node.hold_chunks = !node.hold_chunks;
        return;
      case 9:
        cluster_.store_up = !cluster_.store_up;
        return;
      case 10:
        if (node.core && node.disk.applied > node.disk.base) {
          node.disk.Trim(node.disk.applied);
          node.core->OnTrimmed(node.disk.base);
        }
        return;
      default:
        Propose();
    }
  }

  void Propose() {
    for (int n = 1; n <= size_; ++n) {
      if (!cluster_.node(n).core || !cluster_.core(n).is_serving()) continue;
      for (uint64_t count = random_.Uniform(20); count > 0; --count) {
        storage::LogEntry entry;
        entry.command = std::to_string(++proposed_) + std::string(random_.Uniform(3000), 'x');
        if (Chance(4)) entry.chunks.push_back({RunId(), 0, 1});
        (void)cluster_.core(n).Propose(std::move(entry), Timestamp(random_.Uniform(1000000)));
      }
    }
  }

  void Snapshots() {
    for (auto& [id, node] : cluster_.nodes) {
      for (const ReplicaId& peer : std::exchange(node.need_snapshot, {})) {
        cluster_.TransferSnapshot(id, peer, troubled_ && Chance(3));
      }
    }
  }

  SeededRandom random_;
  CoreCluster cluster_;
  int size_ = 0;
  bool troubled_ = true;
  uint64_t proposed_ = 0;
};

TEST(ReplicaCoreChaos, ReplicasNeverDisagreeAndAlwaysRecover) {
  ReplicaCounters total;
  uint64_t applied = 0;
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Chaos chaos(seed);
    chaos.Run(150);
    chaos.Calm();
    int leader = chaos.cluster().Leader();
    ASSERT_NE(leader, 0);
    for (auto& [id, node] : chaos.cluster().nodes) {
      EXPECT_EQ(node.disk.applied, chaos.cluster().node(leader).disk.applied) << id;
      const ReplicaCounters& counters = node.core->counters();
      total.leaderships_begun += counters.leaderships_begun;
      total.stale_epochs_rejected += counters.stale_epochs_rejected;
      total.entries_truncated += counters.entries_truncated;
      total.appends_rejected += counters.appends_rejected;
      total.snapshots_installed += counters.snapshots_installed;
      total.hand_overs += counters.hand_overs;
    }
    applied += chaos.cluster().applied().size();
    if (HasFailure()) break;
  }
  // The test has seen what it is for.
  EXPECT_GT(applied, 20000u);
  EXPECT_GT(total.leaderships_begun, 100u);
  EXPECT_GT(total.stale_epochs_rejected, 0u);
  EXPECT_GT(total.entries_truncated, 0u);
  EXPECT_GT(total.appends_rejected, 0u);
  EXPECT_GT(total.snapshots_installed, 0u);
  EXPECT_GT(total.hand_overs, 0u);
}

}  // namespace
}  // namespace meridian::replication
