// A development cluster in this process, with an administrator and tenants that use it through the
// client library.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "base/clock.h"
#include "base/random.h"
#include "client/admin.h"
#include "client/client.h"
#include "client/profile.h"
#include "server/dev/dev_cluster.h"
#include "tests/integration/groups.h"
#include "tests/temp_folder.h"
#include "tests/until.h"

namespace meridian {

// The system's, and ahead of it by as much as a test wants. Thread-safe.
class ShiftedClock : public SystemClock {
 public:
  absl::Time WallNow() override {
    return SystemClock::WallNow() + absl::Nanoseconds(ahead_ns_.load());
  }
  void Advance(absl::Duration by) { ahead_ns_ += absl::ToInt64Nanoseconds(by); }

 private:
  std::atomic<int64_t> ahead_ns_{0};
};

class ClusterFixture : public testing::Test {
 protected:
  void SetUp() override { StartCluster(); }

  void StartCluster() {
    server::DevOptions options;
    options.data_folder = data_folder();
    options.topology = topology_;
    options.wrap_coordination = wrap_coordination_;
    options.replica.election_timeout = absl::Milliseconds(800);
    Configure(options);
    auto cluster = server::DevCluster::Start(options, clock_, random_);
    ASSERT_TRUE(cluster.ok()) << cluster.status();
    cluster_ = *std::move(cluster);
    auto profile = LoadProfile(cluster_->profile_path());
    ASSERT_TRUE(profile.ok()) << profile.status();
    admin_profile_ = *profile;
    admin_ = std::make_unique<Admin>(admin_profile_);
  }
  virtual void Configure(server::DevOptions&) {}
  // As kill -9 does: nothing is flushed.
  void CrashCluster() {
    admin_.reset();
    cluster_.reset();
  }

  std::string data_folder() const { return folder_.path() + "/data"; }

  // With an access key; its profile.
  Profile MakeTenant(const std::string& name) {
    v1::CreateTenantRequest tenant;
    tenant.set_tenant_id(name);
    EXPECT_TRUE(admin_->CreateTenant(tenant).ok());
    v1::CreateAccessKeyRequest key;
    key.set_parent("tenants/" + name);
    const auto created = admin_->CreateAccessKey(key);
    EXPECT_TRUE(created.ok()) << created.status();
    Profile profile = admin_profile_;
    profile.access_key = created->secret();
    profile.tenant = "tenants/" + name;
    return profile;
  }

  static absl::Status MakeContainer(Client& client, const std::string& tenant,
                                    const std::string& name, v1::Redundancy redundancy,
                                    v1::Versioning versioning = v1::VERSIONING_OFF) {
    v1::CreateContainerRequest request;
    request.set_parent("tenants/" + tenant);
    request.set_container_id(name);
    request.mutable_container()->set_redundancy(redundancy);
    request.mutable_container()->set_versioning(versioning);
    return client.CreateContainer(request).status();
  }

  static absl::StatusOr<v1::Object> Put(Client& client, const std::string& container,
                                        const std::string& name, const std::string& body,
                                        const CallOptions& options = {}) {
    v1::WriteSpec spec;
    spec.set_container(container);
    spec.set_name(name);
    return client.WriteObject(spec, body, options);
  }
  static absl::StatusOr<std::string> Get(Client& client, const std::string& container,
                                         const std::string& name, const CallOptions& options = {}) {
    v1::ReadObjectRequest request;
    request.set_container(container);
    request.set_name(name);
    std::string body;
    const auto sink = MakeStringSink(&body);
    const auto object = client.ReadObject(request, *sink, options);
    if (!object.ok()) return object.status();
    return body;
  }

  std::string RandomBody(size_t size) {
    std::string body(size, '\0');
    random_.Fill({reinterpret_cast<uint8_t*>(body.data()), body.size()});
    return body;
  }

  // The container's group, as the cluster reports it.
  v1::Group GroupOf(const std::string& container) {
    const v1::Group group = meridian::GroupOf(*admin_, container);
    EXPECT_EQ(group.container(), container);
    return group;
  }

  // Of bodies beyond the size that is kept inline, on all disks.
  int64_t BodyBytes() {
    const auto nodes = admin_->ListNodes();
    EXPECT_TRUE(nodes.ok()) << nodes.status();
    int64_t sum = 0;
    if (!nodes.ok()) return sum;
    for (const v1::Node& node : nodes->nodes()) {
      for (const v1::Disk& disk : node.disks()) sum += disk.body_bytes();
    }
    return sum;
  }

  ShiftedClock clock_;
  SystemRandom random_;
  TempFolder folder_;
  std::optional<server::Topology> topology_;
  decltype(server::DevOptions::wrap_coordination) wrap_coordination_;
  std::unique_ptr<server::DevCluster> cluster_;
  Profile admin_profile_;
  std::unique_ptr<Admin> admin_;
};

}  // namespace meridian
