// The clients: they put, delete, get and list a few objects, retry under one request id what was
// not answered, and write down what they saw.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/id.h"
#include "base/random.h"
#include "tests/simulation/cluster.h"
#include "tests/simulation/front_end.h"
#include "tests/simulation/history.h"

namespace meridian::simulation {

// What the clients of one run share. Names are never in two containers.
struct WorkloadLog {
  History history;
  // Of all versions that any client drew: clients know a version by its etag.
  absl::flat_hash_map<std::string, VersionId> version_of_etag;
  uint64_t operations = 0;
  uint64_t retries = 0;
  uint64_t moved = 0;  // answers that the name is another partition's
};

// The names of a container's objects.
std::vector<std::string> ObjectNames(size_t container);

// One client: one operation at a time. Not thread-safe.
class Client {
 public:
  // All outlive the client and the scheduler's events.
  Client(Cluster& cluster, uint64_t seed, WorkloadLog& log);
  ~Client();

  // Does so many random operations, one after the other.
  void Run(uint64_t operations, std::function<void()> done);
  // Gets every object of a container, each as often as it takes.
  void ReadAll(size_t container, std::function<void()> done);

 private:
  struct Call;  // one operation on its way, over all its attempts

  void RunNext();
  std::shared_ptr<Call> MakeRandomCall();
  std::shared_ptr<Call> MakeRead(size_t container, const std::string& name);
  void Begin(std::shared_ptr<Call> call, std::function<void()> done);

  void Attempt(const std::shared_ptr<Call>& call);
  // By the client's map, which may be old.
  void Route(Call& call);
  Node* ChooseNode(const Call& call);
  // On the node; `answer` may be given the reply of an attempt that was given up meanwhile.
  void Execute(const std::shared_ptr<Call>& call, uint64_t attempt, Node& node);
  void ExecuteWrite(const std::shared_ptr<Call>& call, uint64_t attempt, FrontEnd front_end);
  // The reply travels back; then `take` runs, unless the attempt was given up.
  void Reply(const std::shared_ptr<Call>& call, uint64_t attempt, std::function<void()> take);
  void Retry(const std::shared_ptr<Call>& call);

  void TakeOutcome(const std::shared_ptr<Call>& call, const absl::StatusOr<pb::Outcome>& outcome);
  void TakeRead(const std::shared_ptr<Call>& call,
                const absl::StatusOr<std::optional<ReadObject>>& read);
  void TakeList(const std::shared_ptr<Call>& call, const absl::StatusOr<Listing>& listed);
  // The partition does not own the name: nothing was done.
  void TryElsewhere(const std::shared_ptr<Call>& call);
  void Finish(const std::shared_ptr<Call>& call);

  bool Chance(uint64_t percent) { return random_.Uniform(100) < percent; }
  absl::Duration Between(int64_t low_us, int64_t high_us);
  Operation& Record(const Call& call);

  Cluster& cluster_;
  SeededRandom random_;
  WorkloadLog& log_;
  uint64_t remaining_ = 0;
  uint64_t bodies_ = 0;
  std::function<void()> done_;
  // Where the last answer came from.
  std::map<PartitionId, Node*> leaders_;
  // Of each container; looked at again when it has proved wrong.
  std::vector<ContainerMap> maps_;
  // The newest version that this client saw of an object, by name.
  std::map<std::string, VersionId> known_;
};

}  // namespace meridian::simulation
