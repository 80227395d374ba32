#include "tests/simulation/simulation.h"

#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "base/random.h"
#include "tests/simulation/checker.h"
#include "tests/simulation/conversion_driver.h"
#include "tests/simulation/faults.h"
#include "tests/simulation/placement_keeper.h"
#include "tests/simulation/split_keeper.h"
#include "tests/simulation/workload.h"

namespace meridian::simulation {
namespace {

constexpr size_t kClients = 8;
// Events from one check of the replicas' own invariants to the next.
constexpr uint64_t kCheckEvery = 16;
// Simulated time that the clients may take, and the cluster to come back after the last fault.
// A run has some 100,000 events: more than this is a storm of messages.
constexpr uint64_t kMaxEvents = 1'000'000;
constexpr absl::Duration kCheckInterval = absl::Seconds(5);
constexpr absl::Duration kRunLimit = absl::Seconds(90);
// A chunk that went with members who left counts as lost after three rounds in which all were
// asked.
constexpr absl::Duration kRecoveryLimit = absl::Seconds(60);
constexpr absl::Duration kCompareInterval = absl::Milliseconds(200);

thread_local const History* running_history = nullptr;

class Simulation {
 public:
  Simulation(uint64_t seed, const Plant& plant)
      : random_(seed), cluster_(random_.Next(), plant), faults_(cluster_, random_.Next()) {
    for (size_t i = 0; i < kClients; ++i) {
      clients_.push_back(std::make_unique<Client>(cluster_, random_.Next(), log_));
    }
    splits_ = std::make_unique<SplitKeeper>(cluster_, random_.Next());
    placement_ = std::make_unique<PlacementKeeper>(cluster_, random_.Next());
    conversions_ = std::make_unique<ConversionDriver>(cluster_, *placement_, random_.Next(),
                                                      plant.redundancy_shown_early);
    running_history = &log_.history;
    // One thread cannot wait for itself in a circle of locks: looking for that costs time only.
    absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  }
  ~Simulation() { running_history = nullptr; }

  SimulationResult Run(uint64_t operations) {
    cluster_.StartAll();
    cluster_.WatchStatus();
    cluster_.HostReplicas();
    splits_->Start();
    placement_->Start();
    conversions_->Start();
    faults_.Start();
    RunClients((operations + kClients - 1) / kClients);
    faults_.Heal();
    splits_->BeginNoMore();
    placement_->DieNoMore();
    conversions_->BeginNoMore();
    ReadEverything();
    CompareReplicas();
    SimulationResult result{.seen_by_clients = CheckHistory(log_.history),
                            .seen_inside = cluster_.violations(),
                            .totals = cluster_.CollectTotals(),
                            .trace = cluster_.scheduler().trace()};
    AddUp(result.totals);
    if (!all_read_) result.seen_by_clients.push_back("an object could not be read at the end");
    return result;
  }

 private:
  // False: `limit` of simulated time has passed, or too much has happened.
  bool RunUntil(absl::Duration limit, const bool& done) {
    const absl::Duration end = cluster_.scheduler().now() + limit;
    while (!done && cluster_.scheduler().now() < end) {
      if (cluster_.scheduler().events_run() == kMaxEvents) cluster_.Report("a storm of messages");
      if (cluster_.scheduler().events_run() >= kMaxEvents) return false;
      cluster_.scheduler().RunNext();
      if (cluster_.scheduler().events_run() % kCheckEvery == 0) cluster_.CheckInvariants();
    }
    return done;
  }

  void RunClients(uint64_t operations_each) {
    // They outlive this call if it ends early.
    auto running = std::make_shared<size_t>(clients_.size());
    for (const auto& client : clients_) {
      client->Run(operations_each, [this, running] { all_done_ = --*running == 0; });
    }
    for (absl::Duration ran; !all_done_ && ran < kRunLimit; ran += kCheckInterval) {
      RunUntil(kCheckInterval, all_done_);
      if (!CheckHistory(log_.history).empty()) return;  // nothing is to be learnt from more
    }
    if (!all_done_) cluster_.Report("the clients got stuck:\n" + cluster_.DescribeReplicas());
  }

  // I1: by the same reads as any client's, so that the checker judges them.
  void ReadEverything() {
    auto left = std::make_shared<size_t>(Cluster::kContainers);
    for (size_t container = 0; container < Cluster::kContainers; ++container) {
      clients_[0]->ReadAll(container, [this, left] { all_read_ = --*left == 0; });
    }
    RunUntil(kRecoveryLimit, all_read_);
  }

  void CompareReplicas() {
    bool all_equal = false;
    const absl::Duration end = cluster_.scheduler().now() + kRecoveryLimit;
    while (!all_equal && cluster_.scheduler().now() < end &&
           cluster_.scheduler().events_run() < kMaxEvents) {
      all_equal = cluster_.SplitsAreOver() && cluster_.ConversionsAreOver();
      for (size_t i = 0; i < cluster_.groups().size(); ++i) {
        const Group& group = cluster_.groups()[i];
        if (!group.removed) all_equal = all_equal && Equal(group);
      }
      bool never = false;
      RunUntil(kCompareInterval, never);
    }
    if (!all_equal) {
      cluster_.Report("the replicas did not become equal:\n" + cluster_.DescribeReplicas());
      return;
    }
    cluster_.CheckRanges();
  }

  // Asks all members for the digest of their state.
  bool Equal(const Group& group) {
    auto digests = std::make_shared<std::map<size_t, std::pair<LogIndex, std::string>>>();
    for (size_t i = 0; i < group.nodes.size(); ++i) {
      Copy* copy = group.nodes[i]->FindCopy(group.partition);
      if (copy == nullptr || copy->replica == nullptr) return false;
      copy->replica->GetDigest([digests, i](const auto& digest) {
        if (digest.ok()) (*digests)[i] = *digest;
      });
    }
    bool never = false;
    RunUntil(absl::Milliseconds(5), never);
    if (digests->size() < group.nodes.size()) return false;
    for (const auto& [i, digest] : *digests) {
      if (digest.first != (*digests)[0].first) return false;
      if (digest.second == (*digests)[0].second) continue;
      cluster_.Report(absl::StrCat("replicas differ in the state at index ", digest.first.value()));
    }
    return true;
  }

  void AddUp(Totals& totals) {
    totals.operations = log_.operations;
    totals.retries = log_.retries;
    totals.moved_answers = log_.moved;
    for (const Operation& operation : log_.history) {
      totals.unknown_outcomes += operation.outcome == Operation::Outcome::kUnknown &&
                                 operation.kind != Operation::Kind::kGet;
      totals.preconditions_failed += operation.outcome == Operation::Outcome::kPreconditionFailed;
    }
  }

  SeededRandom random_;
  WorkloadLog log_;
  // Before the cluster: its replicas answer clients even as they are destroyed.
  std::vector<std::unique_ptr<Client>> clients_;
  std::unique_ptr<SplitKeeper> splits_;
  std::unique_ptr<PlacementKeeper> placement_;
  std::unique_ptr<ConversionDriver> conversions_;
  Cluster cluster_;
  Faults faults_;
  bool all_done_ = false;
  bool all_read_ = false;
};

}  // namespace

const History* RunningHistory() { return running_history; }

SimulationResult RunSimulation(uint64_t seed, uint64_t operations, const Plant& plant) {
  return Simulation(seed, plant).Run(operations);
}

}  // namespace meridian::simulation
