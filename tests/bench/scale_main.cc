// One container with very many small objects, on a cluster of processes with etcd: how fast they
// are written, how they spread over the nodes, how long it takes to list them all, how soon a node
// serves again after a restart, and what memory the nodes take.
//
//   bazel run -c opt //tests/bench:scale -- [--objects N] [--size BYTES] [--json FILE]
#include <CLI/CLI.hpp>
#include <atomic>
#include <cstdint>
#include <fstream>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/strings/str_format.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "base/random.h"
#include "base/status.h"
#include "client/admin.h"
#include "client/client.h"
#include "tests/integration/groups.h"
#include "tests/integration/local_cluster.h"
#include "tests/integration/server_process.h"
#include "tests/temp_folder.h"

namespace meridian::bench {
namespace {

constexpr char kContainer[] = "tenants/bench/containers/many";
constexpr int kPageSize = 1000;

struct Options {
  uint64_t objects = 1'000'000;
  size_t size = 1024;
  int in_flight = 64;
  std::string redundancy = "ZRS";
  std::string data;
  std::string json;
};

// Names in an order that is not the one they are written in, all of one length, so that their order
// is that of the numbers in them.
std::string NameOf(uint64_t number) { return absl::StrFormat("folder/%010d", number); }

// A permutation of [0, count): a step that shares no divisor with it.
uint64_t Shuffled(uint64_t i, uint64_t count) {
  constexpr uint64_t kPrime = 2'654'435'761;
  return count % kPrime == 0 ? i : i * kPrime % count;
}

// Kilobytes of a line in /proc/PID/status, as MiB.
absl::StatusOr<double> MemoryOf(const std::string& pid, std::string_view line) {
  std::ifstream file("/proc/" + pid + "/status");
  std::string field;
  while (file >> field) {
    double kilobytes = 0;
    if (field == std::string(line) + ":" && file >> kilobytes) return kilobytes / 1024;
    file.ignore(4096, '\n');
  }
  return absl::NotFoundError("no " + std::string(line) + " of process " + pid);
}

class Scale {
 public:
  Scale(const Options& options, const std::string& folder)
      : options_(options), cluster_(folder + "/cluster") {}

  absl::Status Run() {
    RETURN_IF_ERROR(Start());
    RETURN_IF_ERROR(Fill());
    RETURN_IF_ERROR(TellMemory("after_fill"));
    RETURN_IF_ERROR(TellSpread());
    RETURN_IF_ERROR(List("list"));
    RETURN_IF_ERROR(TellMemory("after_list"));
    for (const std::string& node : nodes_) RETURN_IF_ERROR(Restart(node, /*kill=*/false));
    for (const std::string& node : nodes_) RETURN_IF_ERROR(Restart(node, /*kill=*/true));
    RETURN_IF_ERROR(TellMemory("after_restarts"));
    RETURN_IF_ERROR(List("list_after_restarts"));
    if (!options_.json.empty()) std::ofstream(options_.json) << report_.dump(2) << "\n";
    return absl::OkStatus();
  }

 private:
  absl::Status Start() {
    RETURN_IF_ERROR(cluster_.Up());
    ASSIGN_OR_RETURN(const Profile admin, cluster_.AdminProfile());
    admin_.emplace(admin);
    const v1::Redundancy redundancy = options_.redundancy == "LRS" ? v1::LRS : v1::ZRS;
    ASSIGN_OR_RETURN(const Profile profile,
                     MakeTenantWithContainer(admin, "bench", "many", redundancy));
    client_.emplace(profile);
    ASSIGN_OR_RETURN(const v1::ListNodesResponse listed, admin_->ListNodes());
    for (const v1::Node& node : listed.nodes()) nodes_.push_back(node.name());
    return absl::OkStatus();
  }

  absl::Status Put(uint64_t i, const std::string& body) {
    v1::WriteSpec spec;
    spec.set_container(kContainer);
    spec.set_name(NameOf(Shuffled(i, options_.objects)));
    return client_->WriteObject(spec, body).status();
  }

  absl::Status Fill() {
    std::string body(options_.size, '\0');
    SeededRandom random(1);
    random.Fill({reinterpret_cast<uint8_t*>(body.data()), body.size()});
    std::atomic<uint64_t> next{0};
    std::atomic<bool> failed{false};
    absl::Mutex mutex;
    absl::Status failure;
    const absl::Time start = absl::Now();
    std::vector<std::thread> threads;
    for (int t = 0; t < options_.in_flight; ++t) {
      threads.emplace_back([&] {
        for (uint64_t i = next++; i < options_.objects && !failed; i = next++) {
          const absl::Status status = Put(i, body);
          if (status.ok()) continue;
          failed = true;
          absl::MutexLock lock(&mutex);
          failure.Update(status);
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    RETURN_IF_ERROR(failure);
    const double seconds = absl::ToDoubleSeconds(absl::Now() - start);
    Tell("fill_seconds", seconds);
    Tell("puts_per_second", static_cast<double>(options_.objects) / seconds);
    return absl::OkStatus();
  }

  absl::Status TellSpread() {
    std::map<std::string, int> replicas;
    std::map<std::string, int> leaders;
    ASSIGN_OR_RETURN(const std::vector<v1::Group> groups, GroupsOf(*admin_, kContainer));
    for (const v1::Group& group : groups) {
      ++leaders[group.leader_node()];
      for (const v1::Replica& member : group.members()) ++replicas[member.node()];
    }
    Tell("partitions", static_cast<double>(groups.size()));
    for (const std::string& node : nodes_) {
      Tell("replicas " + node, replicas[node]);
      Tell("leaders " + node, leaders[node]);
    }
    return absl::OkStatus();
  }

  absl::Status List(const std::string& what) {
    v1::ListObjectsRequest request;
    request.set_container(kContainer);
    request.set_page_size(kPageSize);
    const absl::Time start = absl::Now();
    PageIterator<ObjectEntry> entries = client_->ListObjects(request);
    for (uint64_t i = 0; i < options_.objects; ++i) {
      ASSIGN_OR_RETURN(const std::optional<ObjectEntry> entry, entries.Next());
      if (!entry || entry->name != NameOf(i)) {
        return absl::DataLossError(
            absl::StrFormat("entry %d of the listing is %s", i, entry ? entry->name : "not there"));
      }
    }
    ASSIGN_OR_RETURN(const std::optional<ObjectEntry> beyond, entries.Next());
    if (beyond) return absl::DataLossError("the listing has more than was written");
    Tell(what + "_seconds", absl::ToDoubleSeconds(absl::Now() - start));
    return absl::OkStatus();
  }

  // Until it says that it serves, and then until all groups have all their members.
  absl::Status Restart(const std::string& node, bool kill) {
    RETURN_IF_ERROR(kill ? cluster_.Kill(node) : cluster_.Stop(node));
    const absl::Time start = absl::Now();
    RETURN_IF_ERROR(cluster_.Start(node));
    const std::string how = kill ? "after_kill " : "after_stop ";
    Tell("ready_seconds_" + how + node, absl::ToDoubleSeconds(absl::Now() - start));
    RETURN_IF_ERROR(AwaitHealthyLeader(*admin_, kContainer).status());
    Tell("healthy_seconds_" + how + node, absl::ToDoubleSeconds(absl::Now() - start));
    return absl::OkStatus();
  }

  absl::Status TellMemory(const std::string& when) {
    for (const std::string& node : nodes_) {
      for (const char* line : {"VmRSS", "VmHWM"}) {
        ASSIGN_OR_RETURN(const double mib, MemoryOf(cluster_.PidOf(node), line));
        Tell(absl::StrFormat("%s_mib_%s %s", line, when, node), mib);
      }
    }
    return absl::OkStatus();
  }

  void Tell(const std::string& what, double figure) {
    report_[what] = figure;
    std::cout << absl::StreamFormat("%-40s %12.2f\n", what, figure) << std::flush;
  }

  const Options& options_;
  LocalCluster cluster_;
  std::optional<Admin> admin_;
  std::optional<Client> client_;
  std::vector<std::string> nodes_;
  nlohmann::json report_;
};

absl::Status RunBenchmark(const Options& options) {
  TempFolder scratch;
  return Scale(options, options.data.empty() ? scratch.path() : options.data).Run();
}

}  // namespace
}  // namespace meridian::bench

int main(int argc, char** argv) {
  meridian::bench::Options options;
  CLI::App app("One container with very many small objects, on a cluster of processes.");
  app.add_option("--objects", options.objects)
      ->check(CLI::Range(1, 100'000'000))
      ->capture_default_str();
  app.add_option("--size", options.size, "Bytes of each")
      ->check(CLI::Range(0, 32 << 10))
      ->capture_default_str();
  app.add_option("--in-flight", options.in_flight, "Writes at a time")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  app.add_option("--redundancy", options.redundancy)
      ->check(CLI::IsMember({"LRS", "ZRS"}))
      ->capture_default_str();
  app.add_option("--data", options.data, "Folder on the disk to use; default: a temporary one");
  app.add_option("--json", options.json, "Where to write the figures");
  CLI11_PARSE(app, argc, argv);
  const absl::Status status = meridian::bench::RunBenchmark(options);
  if (status.ok()) return 0;
  std::cerr << status << "\n";
  return 1;
}
