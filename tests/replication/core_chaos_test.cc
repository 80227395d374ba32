// Cores under random crashes, cuts, slow disks, lost, doubled and reordered messages, trims and
// snapshots. The cluster checks every step: invariants of each core, and that no two replicas ever
// apply different entries (I3, I5). When all is well again, all replicas come to be equal.
#include <gtest/gtest.h>

#include "tests/replication/core_cluster.h"

namespace meridian::replication {
namespace {

struct Seen {
  uint64_t leaderships_begun = 0;
  uint64_t stale_epochs_rejected = 0;
  uint64_t entries_truncated = 0;
  uint64_t appends_rejected = 0;
  uint64_t snapshots_installed = 0;
  uint64_t hand_overs = 0;
  uint64_t became_joint = 0;
  uint64_t became_new = 0;

  void Add(const ReplicaCounters& counters) {
    leaderships_begun += counters.leaderships_begun;
    stale_epochs_rejected += counters.stale_epochs_rejected;
    entries_truncated += counters.entries_truncated;
    appends_rejected += counters.appends_rejected;
    snapshots_installed += counters.snapshots_installed;
    hand_overs += counters.hand_overs;
  }
};

class Chaos {
 public:
  Chaos(uint64_t seed, Seen& seen)
      : seen_(seen), random_(seed), cluster_(seed % 5 == 0 ? 5 : 3, seed) {
    size_ = static_cast<int>(cluster_.stored.members.size());
    if (seed % 7 == 0) {  // joint with other members, and a learner
      for (int n = size_; n <= size_ + 2; ++n) cluster_.stored.joint_old.push_back(MemberOf(n));
      cluster_.stored.learners.push_back(MemberOf(size_ + 3));
      size_ += 3;
    }
    cluster_.StartAll();
    cluster_.allow_swap = [this](const GroupConfig& next) {
      const GroupConfig& now = cluster_.stored;
      seen_.became_joint += now.joint_old.empty() && !next.joint_old.empty();
      seen_.became_new += !now.joint_old.empty() && next.joint_old.empty();
      return true;
    };
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
      Host();
    }
  }

  void Calm() {
    troubled_ = false;
    cluster_.Heal();
    cluster_.store_up = true;
    for (auto& [id, node] : cluster_.nodes) {
      node.hold_disk = node.hold_chunks = false;
    }
    for (int i = 0; i < 60; ++i) {
      cluster_.StartAll();
      cluster_.Run(absl::Seconds(1));
      Snapshots();
      Host();
      if (i < 40) ChangeMembers();
    }
  }

  CoreCluster& cluster() { return cluster_; }

 private:
  bool Chance(uint64_t one_in) { return random_.Uniform(one_in) == 0; }
  int AnyNode() {
    auto it = cluster_.nodes.begin();
    std::advance(it, random_.Uniform(cluster_.nodes.size()));
    return NumberOf(it->first);
  }

  // As the nodes do: a replica begins empty when a configuration names it, and is removed, for
  // good, when none does any more (P6).
  void Host() {
    std::set<ReplicaId> named = cluster_.Named();
    for (const ReplicaId& id : named) {
      if (!cluster_.nodes.contains(id)) cluster_.Start(id);
    }
    for (auto it = cluster_.nodes.begin(); it != cluster_.nodes.end();) {
      if (named.contains(it->first)) {
        ++it;
        continue;
      }
      Crash(it->first);
      it = cluster_.nodes.erase(it);
    }
  }

  // Asks whoever leads for the members that are wanted: some of those there are, and some new.
  void ChangeMembers() {
    int leader = cluster_.Leader();
    if (leader == 0) return;
    const GroupConfig& config = cluster_.core(leader).config();
    if (wanted_.empty() || (troubled_ && Chance(10)) || config.members == wanted_) {
      if (size_ > 200) return;  // ids have one byte
      wanted_ = config.members;
      for (Member& member : wanted_) {
        if (Chance(2)) member = MemberOf(++size_);
      }
    }
    (void)cluster_.core(leader).ChangeMembers(wanted_);
  }

  void Step() {
    int n = AnyNode();
    CoreCluster::Node& node = cluster_.node(n);
    node.disk.slow = Chance(2);
    switch (random_.Uniform(17)) {
      case 0:
        // Some of what was on its way to the disk survives.
        for (uint64_t keep = random_.Uniform(3); keep > 0 && !node.disk.queue.empty(); --keep) {
          node.disk.Write(node.disk.queue.front().request);
          node.disk.queue.pop_front();
        }
        return Crash(IdOf(n));
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
      case 11:
      case 12:
      case 13:
        return ChangeMembers();
      default:
        Propose();
    }
  }

  void Propose() {
    for (auto& [id, node] : cluster_.nodes) {
      int n = NumberOf(id);
      if (!node.core || !node.core->is_serving()) continue;
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

  // Loses what is not durable, but for what was seen.
  void Crash(ReplicaId id) {
    if (const auto& core = cluster_.nodes.at(id).core) seen_.Add(core->counters());
    cluster_.Crash(id);
  }

  Seen& seen_;
  SeededRandom random_;
  CoreCluster cluster_;
  int size_ = 0;  // the highest id
  std::vector<Member> wanted_;
  bool troubled_ = true;
  uint64_t proposed_ = 0;
};

TEST(ReplicaCoreChaos, ReplicasNeverDisagreeAndAlwaysRecover) {
  Seen seen;
  uint64_t applied = 0;
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Chaos chaos(seed, seen);
    chaos.Run(150);
    chaos.Calm();
    int leader = chaos.cluster().Leader();
    ASSERT_NE(leader, 0);
    EXPECT_TRUE(chaos.cluster().stored.joint_old.empty());
    for (auto& [id, node] : chaos.cluster().nodes) {
      EXPECT_EQ(node.disk.applied, chaos.cluster().node(leader).disk.applied) << id;
      seen.Add(node.core->counters());
    }
    applied += chaos.cluster().applied().size();
    if (HasFailure()) break;
  }
  // The test has seen what it is for.
  EXPECT_GT(applied, 20000u);
  EXPECT_GT(seen.leaderships_begun, 100u);
  EXPECT_GT(seen.stale_epochs_rejected, 0u);
  EXPECT_GT(seen.entries_truncated, 0u);
  EXPECT_GT(seen.appends_rejected, 0u);
  EXPECT_GT(seen.snapshots_installed, 0u);
  EXPECT_GT(seen.hand_overs, 0u);
  EXPECT_GT(seen.became_joint, 500u);
  EXPECT_GT(seen.became_new, 500u);
}

}  // namespace
}  // namespace meridian::replication
