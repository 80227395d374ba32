// A cluster as its operators run it: a process a node, three etcd members, TLS between all of them.
// One cluster for all tests of a suite; each leaves it whole.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "client/admin.h"
#include "client/client.h"
#include "client/profile.h"
#include "tests/integration/groups.h"
#include "tests/integration/local_cluster.h"
#include "tests/integration/server_process.h"
#include "tests/integration/workload.h"
#include "tests/temp_folder.h"
#include "tests/until.h"

namespace meridian {

class ProcessCluster : public testing::Test {
 protected:
  static constexpr char kZonal[] = "tenants/acme/containers/zonal";
  static constexpr char kLocal[] = "tenants/acme/containers/local";

  // How long writes may stop when a group's leader dies.
  static constexpr absl::Duration kMaxPause = absl::Seconds(5);

  static void SetUpTestSuite() { StartCluster(); }
  // In a suite's own SetUpTestSuite, with options of `deploy/local-cluster up`.
  static void StartCluster(std::vector<std::string> options = {}) {
    folder_ = new TempFolder;
    cluster_ = new LocalCluster(folder_->path() + "/cluster");
    options.insert(options.end(), {"--disks", "2"});
    const absl::Status up = cluster_->Up(options);
    ASSERT_TRUE(up.ok()) << up;
    const auto admin = cluster_->AdminProfile();
    ASSERT_TRUE(admin.ok()) << admin.status();
    admin_ = new Admin(*admin);
    const auto profile = MakeTenantWithContainer(*admin, "acme", "zonal", v1::ZRS);
    ASSERT_TRUE(profile.ok()) << profile.status();
    profile_ = new Profile(*profile);
    client_ = new Client(*profile);
    const auto local = client_->CreateContainer(ContainerRequest("local", v1::LRS));
    ASSERT_TRUE(local.ok()) << local.status();
  }
  static void TearDownTestSuite() {
    delete client_;
    delete profile_;
    delete admin_;
    delete cluster_;
    delete folder_;
  }
  void SetUp() override { ASSERT_NE(client_, nullptr); }

  static v1::CreateContainerRequest ContainerRequest(const std::string& name,
                                                     v1::Redundancy redundancy) {
    v1::CreateContainerRequest request;
    request.set_parent("tenants/acme");
    request.set_container_id(name);
    request.mutable_container()->set_redundancy(redundancy);
    return request;
  }

  static const std::vector<std::string>& NodeNames() {
    static const std::vector<std::string> names = {"east-1a", "east-1b", "east-1c", "east-2a",
                                                   "east-3a"};
    return names;
  }
  static std::vector<std::string> Pids() {
    std::vector<std::string> pids;
    for (const std::string& name : NodeNames()) {
      pids.push_back(cluster_->PidOf(name));
      EXPECT_NE(pids.back(), "") << name;
    }
    return pids;
  }
  // As any other node tells; an empty one if nobody does.
  static v1::Node NodeNamed(const std::string& name) {
    const auto nodes = admin_->ListNodes();
    if (!nodes.ok()) return {};
    for (const v1::Node& node : nodes->nodes()) {
      if (node.name() == name) return node;
    }
    return {};
  }
  static int DisksInService(const std::string& name) {
    const v1::Node node = NodeNamed(name);
    int count = 0;
    for (const v1::Disk& disk : node.disks()) count += disk.in_service();
    return count;
  }

  // Everything that it was acknowledged, nothing stale, and the same on all replicas.
  static void ExpectKept(Workload& workload, const std::string& container) {
    const std::vector<std::string> violations = workload.Check();
    for (size_t i = 0; i < violations.size() && i < 10; ++i) ADD_FAILURE() << violations[i];
    EXPECT_TRUE(violations.empty()) << violations.size() << " violations";
    EXPECT_EQ(AwaitEqualReplicas(*admin_, container), absl::OkStatus());
  }
  static void ExpectNoError(const Workload& workload) {
    const std::vector<std::string> errors = workload.errors();
    EXPECT_TRUE(errors.empty()) << errors.size() << " errors, the first: " << errors.front();
  }

  static inline TempFolder* folder_ = nullptr;
  static inline LocalCluster* cluster_ = nullptr;
  static inline Admin* admin_ = nullptr;
  static inline Profile* profile_ = nullptr;
  static inline Client* client_ = nullptr;
};

}  // namespace meridian
