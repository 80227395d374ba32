// How long nothing is written after kill -9 of a leader: a cluster of processes on etcd
// (deploy/local-cluster), many writers, and one leader after the other. Afterwards every
// acknowledged object is read back.
//
//   bazel run -c opt //tests/bench:failover -- [--rounds N] [--writers N] [--json FILE]
#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <fstream>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "base/status.h"
#include "client/admin.h"
#include "client/client.h"
#include "tests/integration/local_cluster.h"
#include "tests/temp_folder.h"

namespace meridian::bench {
namespace {

constexpr char kContainer[] = "tenants/bench/containers/zonal";
// After a kill; and until the group is whole again before the next.
constexpr absl::Duration kWindow = absl::Seconds(15);
constexpr absl::Duration kRecovery = absl::Minutes(2);

struct Options {
  int rounds = 20;
  int writers = 32;
  std::string json;
};

// Puts small objects until it is destroyed; notes when each was acknowledged.
class Load {
 public:
  Load(const Profile& profile, int writers) : client_(profile) {
    for (int i = 0; i < writers; ++i) threads_.emplace_back([this, i] { Run(i); });
  }
  ~Load() { Stop(); }

  void Stop() {
    stop_ = true;
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }
  // The longest time without an acknowledgement that ended after `from`, or has not ended yet.
  absl::Duration LongestPause(absl::Time from) const {
    absl::MutexLock lock(&mutex_);
    absl::Duration longest =
        times_.empty() ? absl::InfiniteDuration() : absl::Now() - times_.back();
    for (size_t i = 1; i < times_.size(); ++i) {
      if (times_[i] > from) longest = std::max(longest, times_[i] - times_[i - 1]);
    }
    return longest;
  }
  std::set<std::string> acknowledged() const {
    absl::MutexLock lock(&mutex_);
    return acknowledged_;
  }
  std::vector<absl::Status> errors() const {
    absl::MutexLock lock(&mutex_);
    return errors_;
  }

 private:
  void Run(int writer) {
    for (int i = 0; !stop_; ++i) {
      const std::string name = absl::StrCat(writer, "-", i);
      v1::WriteSpec spec;
      spec.set_container(kContainer);
      spec.set_name(name);
      const absl::Status status =
          client_.WriteObject(spec, name, {.timeout = absl::Seconds(60)}).status();
      absl::MutexLock lock(&mutex_);
      if (!status.ok()) {
        errors_.push_back(status);
        continue;
      }
      times_.push_back(absl::Now());
      acknowledged_.insert(name);
    }
  }

  Client client_;
  std::atomic<bool> stop_{false};
  mutable absl::Mutex mutex_;
  std::vector<absl::Time> times_ ABSL_GUARDED_BY(mutex_);
  std::set<std::string> acknowledged_ ABSL_GUARDED_BY(mutex_);
  std::vector<absl::Status> errors_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::thread> threads_;
};

v1::Group GroupNow(Admin& admin) {
  v1::ListGroupsRequest request;
  request.set_container(kContainer);
  auto groups = admin.ListGroups(request);
  const auto group = groups.Next();
  return group.ok() && group->has_value() ? **group : v1::Group();
}

absl::StatusOr<std::string> AwaitHealthyLeader(Admin& admin) {
  const absl::Time give_up = absl::Now() + kRecovery;
  while (absl::Now() < give_up) {
    const v1::Group group = GroupNow(admin);
    if (group.health() == v1::Group::HEALTHY && !group.leader_node().empty()) {
      return group.leader_node();
    }
    absl::SleepFor(absl::Milliseconds(200));
  }
  return absl::DeadlineExceededError("the group does not become healthy");
}

absl::StatusOr<Profile> MakeContainer(Admin& admin, Profile profile) {
  v1::CreateTenantRequest tenant;
  tenant.set_tenant_id("bench");
  RETURN_IF_ERROR(admin.CreateTenant(tenant).status());
  v1::CreateAccessKeyRequest key;
  key.set_parent("tenants/bench");
  ASSIGN_OR_RETURN(const auto created, admin.CreateAccessKey(key));
  profile.access_key = created.secret();
  profile.tenant = "tenants/bench";
  v1::CreateContainerRequest container;
  container.set_parent(profile.tenant);
  container.set_container_id("zonal");
  container.mutable_container()->set_redundancy(v1::ZRS);
  Client client(profile);
  RETURN_IF_ERROR(client.CreateContainer(container).status());
  return profile;
}

absl::Status CheckAll(const Profile& profile, const std::set<std::string>& names) {
  Client client(profile);
  for (const std::string& name : names) {
    v1::ReadObjectRequest request;
    request.set_container(kContainer);
    request.set_name(name);
    std::string body;
    RETURN_IF_ERROR(client.ReadObject(request, *MakeStringSink(&body)).status());
    if (body != name) return absl::DataLossError(absl::StrCat("another body: ", name));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<absl::Duration>> Measure(LocalCluster& cluster, Admin& admin, Load& load,
                                                    int rounds) {
  std::vector<absl::Duration> pauses;
  for (int round = 0; round < rounds; ++round) {
    ASSIGN_OR_RETURN(const std::string leader, AwaitHealthyLeader(admin));
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
  ASSIGN_OR_RETURN(const Profile profile, MakeContainer(admin, admin_profile));
  Load load(profile, options.writers);
  ASSIGN_OR_RETURN(std::vector<absl::Duration> pauses,
                   Measure(cluster, admin, load, options.rounds));
  load.Stop();
  for (const absl::Status& error : load.errors()) std::cout << "error: " << error << "\n";
  RETURN_IF_ERROR(AwaitHealthyLeader(admin).status());
  RETURN_IF_ERROR(CheckAll(profile, load.acknowledged()));
  std::sort(pauses.begin(), pauses.end());
  const auto seconds = [](absl::Duration d) { return absl::ToDoubleSeconds(d); };
  std::cout << absl::StreamFormat(
      "%d kills of the leader under %d writers: no write for %.2f s in the median, %.2f s at most; "
      "%d objects acknowledged, all there; %d errors\n",
      options.rounds, options.writers, seconds(pauses[pauses.size() / 2]), seconds(pauses.back()),
      load.acknowledged().size(), load.errors().size());
  if (!options.json.empty()) {
    nlohmann::json report;
    for (const absl::Duration pause : pauses) report["pause_seconds"].push_back(seconds(pause));
    report["writers"] = options.writers;
    report["errors"] = load.errors().size();
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
