// How long nothing is written after kill -9 of a leader: a cluster of processes on etcd
// (deploy/local-cluster), many writers, and one leader after the other. Afterwards every
// acknowledged object is read back and the whole history checked.
//
//   bazel run -c opt //tests/bench:failover -- [--rounds N] [--writers N] [--json FILE]
#include <CLI/CLI.hpp>
#include <algorithm>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "base/status.h"
#include "client/admin.h"
#include "tests/integration/groups.h"
#include "tests/integration/local_cluster.h"
#include "tests/integration/server_process.h"
#include "tests/integration/workload.h"
#include "tests/temp_folder.h"

namespace meridian::bench {
namespace {

constexpr char kContainer[] = "tenants/bench/containers/zonal";
// After a kill, for which the pauses between writes are looked at: one that lasts longer counts as
// what has passed of it.
constexpr absl::Duration kWindow = absl::Seconds(15);

struct Options {
  int rounds = 20;
  int writers = 32;
  std::string json;
};

absl::StatusOr<std::vector<absl::Duration>> Measure(LocalCluster& cluster, Admin& admin,
                                                    const Workload& load, int rounds) {
  std::vector<absl::Duration> pauses;
  for (int round = 0; round < rounds; ++round) {
    ASSIGN_OR_RETURN(const std::string leader, AwaitHealthyLeader(admin, kContainer));
    const absl::Time killed = absl::Now();
    RETURN_IF_ERROR(cluster.Kill(leader));
    absl::SleepFor(kWindow);
    pauses.push_back(load.LongestPause(killed));
    std::cout << absl::StreamFormat(
                     "%2d  %-8s  %s\n", round + 1, leader,
                     absl::FormatDuration(absl::Trunc(pauses.back(), absl::Milliseconds(1))))
              << std::flush;
    RETURN_IF_ERROR(cluster.Start(leader));
  }
  return pauses;
}

absl::Status Run(const Options& options) {
  TempFolder folder;
  LocalCluster cluster(folder.path() + "/cluster");
  RETURN_IF_ERROR(cluster.Up());
  ASSIGN_OR_RETURN(const Profile admin_profile, cluster.AdminProfile());
  Admin admin(admin_profile);
  ASSIGN_OR_RETURN(const Profile profile,
                   MakeTenantWithContainer(admin_profile, "bench", "zonal", v1::ZRS));
  Workload load(profile, {.container = kContainer, .writers = options.writers, .readers = 0});
  ASSIGN_OR_RETURN(std::vector<absl::Duration> pauses,
                   Measure(cluster, admin, load, options.rounds));
  load.Stop();
  const std::vector<std::string> errors = load.errors();
  for (const std::string& error : errors) std::cout << "error: " << error << "\n";
  RETURN_IF_ERROR(AwaitHealthyLeader(admin, kContainer).status());
  const std::vector<std::string> violations = load.Check();
  if (!violations.empty()) return absl::DataLossError(absl::StrJoin(violations, "\n"));
  // A replica may be moving to another node by then.
  RETURN_IF_ERROR(AwaitEqualReplicas(admin, kContainer, absl::Minutes(15)));
  std::sort(pauses.begin(), pauses.end());
  const auto seconds = [](absl::Duration d) { return absl::ToDoubleSeconds(d); };
  std::cout << absl::StreamFormat(
      "%d kills of the leader under %d writers: no write for %.2f s at least, %.2f s in the "
      "median, %.2f s at most; %d writes acknowledged, all there; %d errors\n",
      options.rounds, options.writers, seconds(pauses.front()), seconds(pauses[pauses.size() / 2]),
      seconds(pauses.back()), load.acknowledged(), errors.size());
  if (!options.json.empty()) {
    nlohmann::json report;
    for (const absl::Duration pause : pauses) report["pause_seconds"].push_back(seconds(pause));
    report["writers"] = options.writers;
    report["errors"] = errors.size();
    std::ofstream(options.json) << report.dump(2) << "\n";
  }
  return absl::OkStatus();
}

}  // namespace
}  // namespace meridian::bench

int main(int argc, char** argv) {
  meridian::bench::Options options;
  CLI::App app{"Time without writes after kill -9 of a leader"};
  app.add_option("--rounds", options.rounds, "Leaders killed")->check(CLI::Range(1, 1000));
  app.add_option("--writers", options.writers, "Concurrent writers")->check(CLI::Range(1, 256));
  app.add_option("--json", options.json, "Where to write the figures");
  CLI11_PARSE(app, argc, argv);
  const absl::Status status = meridian::bench::Run(options);
  if (status.ok()) return 0;
  std::cerr << status << "\n";
  return 1;
}
