// What a rebuild costs those who read meanwhile: GET of 4 KiB objects with and without one, in the
// same run against a dev cluster of its own. One replica of a ZRS container is made anew on another
// node of its zone, since the node that has it is drained.
//
//   bazel run -c opt //tests/bench:rebuild -- [--mib N] [--rate N] [--in-flight N]
#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <filesystem>
#include <iostream>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "base/random.h"
#include "base/status.h"
#include "client/admin.h"
#include "client/client.h"
#include "tests/bench/load.h"
#include "tests/bench/server_process.h"
#include "tests/temp_folder.h"

namespace meridian::bench {
namespace {

struct Options {
  int64_t mib = 1024;
  int rate = 0;  // 0: the server's default
  int in_flight = 4;
  double seconds = 5;  // of a slice
  int slices = 6;      // without a rebuild
  std::string meridiand = "server/meridiand";
  std::string data;
};

constexpr size_t kSmallBytes = 4 << 10;
constexpr size_t kLargeBytes = 4 << 20;
constexpr uint64_t kSmallObjects = 1024;
constexpr int kContainers = 4;
constexpr absl::Duration kBalancePatience = absl::Minutes(3);
constexpr absl::Duration kPollInterval = absl::Milliseconds(100);
constexpr absl::Duration kPatience = absl::Minutes(30);

class DiscardingSink : public ByteSink {
 public:
  absl::Status Write(std::string_view) override { return absl::OkStatus(); }
};

// One container of the benchmark's own, in a cluster of its own.
class Workspace {
 public:
  explicit Workspace(const Profile& profile) : admin_(profile), profile_(profile) {}

  // A group whose leader is not the replica that will move: it is the reads' path that is measured,
  // not a change of leaders.
  absl::Status Make() {
    v1::CreateTenantRequest tenant;
    tenant.set_tenant_id("bench");
    ASSIGN_OR_RETURN(const v1::Tenant made, admin_.CreateTenant(tenant));
    v1::CreateAccessKeyRequest key;
    key.set_parent(made.name());
    ASSIGN_OR_RETURN(const v1::CreateAccessKeyResponse created, admin_.CreateAccessKey(key));
    profile_.tenant = made.name();
    profile_.access_key = created.secret();
    client_ = std::make_unique<Client>(profile_);
    std::vector<std::string> containers;
    for (int i = 0; i < kContainers; ++i) {
      v1::CreateContainerRequest request;
      request.set_parent(made.name());
      request.set_container_id(absl::StrFormat("c%d", i));
      request.mutable_container()->set_redundancy(v1::ZRS);
      ASSIGN_OR_RETURN(const v1::Container container, client_->CreateContainer(request));
      containers.push_back(container.name());
    }
    // Leaders of new groups are in one zone, and are evened out within a minute.
    const absl::Time end = absl::Now() + kBalancePatience;
    while (absl::Now() < end) {
      for (const std::string& container : containers) {
        container_ = container;
        ASSIGN_OR_RETURN(const v1::Group group, FindGroup());
        ASSIGN_OR_RETURN(moving_, MovingNode(group));
        const bool led = !group.leader_node().empty();
        if (led && !moving_.empty() && moving_ != group.leader_node()) return absl::OkStatus();
      }
      absl::SleepFor(kPollInterval);
    }
    return absl::UnavailableError("no group has a replica that can move without its leader");
  }

  absl::Status Fill(int64_t mib) {
    SeededRandom random(1);
    std::string body(kLargeBytes, '\0');
    random.Fill({reinterpret_cast<uint8_t*>(body.data()), body.size()});
    for (uint64_t i = 0; i < kSmallObjects; ++i) {
      RETURN_IF_ERROR(Put(SmallName(i), body.substr(0, kSmallBytes)));
    }
    const int64_t count = (mib << 20) / static_cast<int64_t>(kLargeBytes);
    for (int64_t i = 0; i < count; ++i) {
      RETURN_IF_ERROR(Put(absl::StrFormat("large/%d", i), body));
      if (i % 64 == 0) std::cerr << "." << std::flush;
    }
    std::cerr << "\n";
    return absl::OkStatus();
  }

  absl::Status Get(uint64_t i) {
    v1::ReadObjectRequest request;
    request.set_container(container_);
    request.set_name(SmallName(i));
    DiscardingSink sink;
    return client_->ReadObject(request, sink).status();
  }

  absl::Status StartRebuild() { return admin_.DrainNode(moving_, /*cancel=*/false); }
  absl::StatusOr<bool> IsWhole() {
    ASSIGN_OR_RETURN(const v1::Group group, FindGroup());
    const auto has_moved = [&](const auto& members) {
      return std::none_of(members.begin(), members.end(),
                          [&](const v1::Replica& member) { return member.node() == moving_; });
    };
    return group.learners_size() == 0 && has_moved(group.members());
  }

 private:
  static std::string SmallName(uint64_t i) {
    return absl::StrFormat("small/%d", i % kSmallObjects);
  }

  absl::Status Put(const std::string& name, std::string_view body) {
    v1::WriteSpec spec;
    spec.set_container(container_);
    spec.set_name(name);
    return client_->WriteObject(spec, body).status();
  }

  absl::StatusOr<v1::Group> FindGroup() {
    v1::ListGroupsRequest request;
    request.set_container(container_);
    PageIterator<v1::Group> groups = admin_.ListGroups(request);
    ASSIGN_OR_RETURN(const std::optional<v1::Group> group, groups.Next());
    if (!group) return absl::NotFoundError("the container has no group");
    return *group;
  }

  // The replica in a zone with other nodes; empty: none.
  absl::StatusOr<std::string> MovingNode(const v1::Group& group) {
    ASSIGN_OR_RETURN(const v1::Topology topology, admin_.GetTopology());
    std::map<std::string, int> nodes_of_zone;
    for (const v1::Region& region : topology.regions()) {
      for (const v1::Zone& zone : region.zones()) nodes_of_zone[zone.name()] = zone.nodes_size();
    }
    for (const v1::Replica& member : group.members()) {
      if (nodes_of_zone[member.zone()] > 1) return member.node();
    }
    return std::string();
  }

  Admin admin_;
  Profile profile_;
  std::unique_ptr<Client> client_;
  std::string container_;
  std::string moving_;
};

// Watches a rebuild while reads are measured.
class Rebuild {
 public:
  static absl::StatusOr<std::unique_ptr<Rebuild>> Start(Workspace& workspace) {
    RETURN_IF_ERROR(workspace.StartRebuild());
    return std::unique_ptr<Rebuild>(new Rebuild(workspace));
  }
  ~Rebuild() {
    stop_ = true;
    thread_.join();
  }

  bool over() const { return over_; }
  // Once it is over.
  absl::StatusOr<absl::Duration> taken() const {
    RETURN_IF_ERROR(error_);
    return taken_;
  }

 private:
  explicit Rebuild(Workspace& workspace)
      : workspace_(workspace), start_(absl::Now()), thread_([this] { Watch(); }) {}

  void Watch() {
    while (!stop_ && error_.ok() && taken_ == absl::ZeroDuration()) {
      absl::SleepFor(kPollInterval);
      const absl::StatusOr<bool> whole = workspace_.IsWhole();
      error_ = whole.status();
      if (whole.ok() && *whole) taken_ = absl::Now() - start_;
      if (absl::Now() - start_ > kPatience) {
        error_ = absl::DeadlineExceededError("the rebuild does not come to its end");
      }
    }
    over_ = true;
  }

  Workspace& workspace_;
  const absl::Time start_;
  std::atomic<bool> stop_{false};
  std::atomic<bool> over_{false};
  absl::Status error_;
  absl::Duration taken_;
  std::thread thread_;
};

using Slices = std::vector<Result>;

absl::Status Measure(Workspace& workspace, const Options& options, pid_t server, Slices& slices) {
  const Point point{"GET", static_cast<int64_t>(kSmallBytes), options.in_flight};
  ASSIGN_OR_RETURN(slices.emplace_back(), Run(point, absl::Seconds(options.seconds), {server},
                                              [&](uint64_t i) { return workspace.Get(i); }));
  std::cerr << "." << std::flush;
  return absl::OkStatus();
}

double Median(const Slices& slices, double Result::*figure) {
  std::vector<double> sorted;
  for (const Result& slice : slices) sorted.push_back(slice.*figure);
  std::sort(sorted.begin(), sorted.end());
  return sorted.empty() ? 0 : sorted[sorted.size() / 2];
}

void Print(const char* what, const Slices& slices) {
  double worst = 0;
  for (const Result& slice : slices) worst = std::max(worst, slice.p99_us);
  std::cout << absl::StrFormat("| %s | %d | %.0f | %.0f | %.0f | %.0f |\n", what, slices.size(),
                               Median(slices, &Result::ops_per_s), Median(slices, &Result::p50_us),
                               Median(slices, &Result::p99_us), worst);
}

absl::Status RunBenchmark(const Options& options) {
  TempFolder scratch;
  const std::string data = options.data.empty() ? scratch.path() : options.data;
  std::vector<std::string> flags;
  if (options.rate > 0) flags = {"--rebuild-mib-per-second", absl::StrFormat("%d", options.rate)};
  ASSIGN_OR_RETURN(const auto server, ServerProcess::Start(options.meridiand, data, flags));
  ASSIGN_OR_RETURN(const Profile profile, LoadProfile(server->profile_path()));
  Workspace workspace(profile);
  RETURN_IF_ERROR(workspace.Make());
  RETURN_IF_ERROR(workspace.Fill(options.mib));
  Slices before;
  Slices during;
  Slices after;
  for (int i = 0; i < options.slices; ++i) {
    RETURN_IF_ERROR(Measure(workspace, options, server->pid(), before));
  }
  ASSIGN_OR_RETURN(const auto rebuild, Rebuild::Start(workspace));
  while (!rebuild->over()) {
    RETURN_IF_ERROR(Measure(workspace, options, server->pid(), during));
    // Of the last one only a part was beside the rebuild.
    if (rebuild->over() && during.size() > 1) during.pop_back();
  }
  ASSIGN_OR_RETURN(const absl::Duration taken, rebuild->taken());
  for (int i = 0; i < options.slices; ++i) {
    RETURN_IF_ERROR(Measure(workspace, options, server->pid(), after));
  }
  std::cerr << "\n";
  std::cout << "| GET 4 KiB | slices | ops/s | p50 us | p99 us | p99 us, worst slice |\n"
            << "| --- | --- | --- | --- | --- | --- |\n";
  Print("before", before);
  Print("during the rebuild", during);
  Print("after", after);
  std::cout << absl::StrFormat(
      "\np99 during the rebuild: %.2f times that before. %d MiB were whole again after %.1f s: "
      "%.1f MiB/s.\n",
      Median(during, &Result::p99_us) / Median(before, &Result::p99_us), options.mib,
      absl::ToDoubleSeconds(taken),
      static_cast<double>(options.mib) / absl::ToDoubleSeconds(taken));
  return absl::OkStatus();
}

}  // namespace
}  // namespace meridian::bench

int main(int argc, char** argv) {
  meridian::bench::Options options;
  CLI::App app("GET of 4 KiB objects with and without the rebuild of a replica.");
  app.add_option("--mib", options.mib, "What the replica holds")->capture_default_str();
  app.add_option("--rate", options.rate, "MiB/s of rebuilds; default: the server's");
  app.add_option("--in-flight", options.in_flight, "Reads at a time")->capture_default_str();
  app.add_option("--seconds", options.seconds, "Of a slice")->capture_default_str();
  app.add_option("--slices", options.slices, "Without a rebuild")->capture_default_str();
  app.add_option("--meridiand", options.meridiand, "The server to start")->capture_default_str();
  app.add_option("--data", options.data, "Folder on the disk to use; default: a temporary one");
  CLI11_PARSE(app, argc, argv);
  const absl::Status status = meridian::bench::RunBenchmark(options);
  if (!status.ok()) std::cerr << status << "\n";
  return status.ok() ? 0 : 1;
}
