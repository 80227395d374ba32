// I8: a lookup of another tenant's resource does the work of a lookup of a missing one, so that no
// clock can tell them apart: what is read from the store, unwrapped by the KMS, and asked of nodes
// and disks is counted.
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "replication/replica.h"
#include "server/api.h"
#include "server/cluster_records.h"
#include "tests/tenancy/testing.h"
#include "tests/until.h"

namespace meridian::server {
namespace {

using tenancy::Principal;

struct Work {
  int store_reads = 0;
  int unwraps = 0;
  int nodes_asked = 0;
  bool operator==(const Work&) const = default;
};

std::ostream& operator<<(std::ostream& out, const Work& work) {
  return out << work.store_reads << " reads, " << work.unwraps << " unwraps, " << work.nodes_asked
             << " questions";
}

using Lookup = std::function<absl::Status(Api&, const Principal&, const std::string& tenant,
                                          const std::string& container, const std::string& key)>;

std::string ContainerName(const std::string& tenant, const std::string& container) {
  return "tenants/" + tenant + "/containers/" + container;
}

absl::Status OpenPartition(Api& api, const Principal& who, const std::string& name,
                           ObjectGateway::Intent intent) {
  return api.gateway.Run(who, {name, "o", intent}, absl::Now() + absl::Seconds(5),
                         [](const ops::Context&) { return absl::OkStatus(); });
}

struct Named {
  const char* what;
  Lookup lookup;
};

// All by which a tenant names what may be another's. Every call on objects begins with one of the
// first two.
std::vector<Named> Lookups() {
  return {
      {"an object, to read",
       [](Api& api, const Principal& who, auto& tenant, auto& container, auto&) {
         return OpenPartition(api, who, ContainerName(tenant, container),
                              ObjectGateway::Intent::kOther);
       }},
      {"an object, to write",
       [](Api& api, const Principal& who, auto& tenant, auto& container, auto&) {
         return OpenPartition(api, who, ContainerName(tenant, container),
                              ObjectGateway::Intent::kNewData);
       }},
      {"a route",
       [](Api& api, const Principal& who, auto& tenant, auto& container, auto&) {
         v1::GetRouteRequest request;
         request.set_container(ContainerName(tenant, container));
         return api.cluster_ops.GetRoute(who, request).status();
       }},
      {"a container",
       [](Api& api, const Principal& who, auto& tenant, auto& container, auto&) {
         v1::GetContainerRequest request;
         request.set_name(ContainerName(tenant, container));
         return api.container_ops.GetContainer(who, request).status();
       }},
      {"a container, to change",
       [](Api& api, const Principal& who, auto& tenant, auto& container, auto&) {
         v1::UpdateContainerRequest request;
         request.mutable_container()->set_name(ContainerName(tenant, container));
         request.mutable_container()->set_versioning(v1::VERSIONING_ON);
         request.mutable_update_mask()->add_paths("versioning");
         return api.container_ops.UpdateContainer(who, request, {}).status();
       }},
      {"containers",
       [](Api& api, const Principal& who, auto& tenant, auto&, auto&) {
         v1::ListContainersRequest request;
         request.set_parent("tenants/" + tenant);
         return api.container_ops.ListContainers(who, request).status();
       }},
      {"a container, to make",
       [](Api& api, const Principal& who, auto& tenant, auto&, auto&) {
         v1::CreateContainerRequest request;
         request.set_parent("tenants/" + tenant);
         request.set_container_id("mine");
         request.mutable_container()->set_redundancy(v1::GZRS);
         return api.container_ops.CreateContainer(who, request, {}).status();
       }},
      {"access keys",
       [](Api& api, const Principal& who, auto& tenant, auto&, auto&) {
         v1::ListAccessKeysRequest request;
         request.set_parent("tenants/" + tenant);
         return api.tenant_ops.ListAccessKeys(who, request).status();
       }},
      {"an access key, to revoke",
       [](Api& api, const Principal& who, auto& tenant, auto&, auto& key) {
         v1::RevokeAccessKeyRequest request;
         request.set_name("tenants/" + tenant + "/accessKeys/" + key);
         return api.tenant_ops.RevokeAccessKey(who, request).status();
       }},
      {"a tenant",
       [](Api& api, const Principal& who, auto& tenant, auto&, auto&) {
         v1::GetTenantRequest request;
         request.set_name("tenants/" + tenant);
         return api.tenant_ops.GetTenant(who, request).status();
       }},
  };
}

class ForeignLookup : public testing::Test {
 protected:
  ForeignLookup() {
    owner_ = *catalog_.tenants.Create("owner", "", "");
    owners_key_ = *catalog_.access_keys.Create(owner_.id, "");
    stranger_ = *catalog_.tenants.Create("alien", "", "");
    strangers_key_ = *catalog_.access_keys.Create(stranger_.id, "");
    // A container whose partition is led by a node.
    const auto container = catalog_.CreateContainer(owner_.id, "photos");
    EXPECT_TRUE(container.ok()) << container.status();
    const PartitionId partition = container->partitions[0].partition;
    replication::GroupConfig config;
    config.epoch = Epoch(2);
    config.leader = IdOf<ReplicaId>(1);
    config.members = {{config.leader, "east-1a", IdOf<DiskId>(1)}};
    catalog_.coordination.Overwrite(replication::GroupConfigKey(partition),
                                    replication::EncodeGroupConfig(config));
    catalog_.coordination.Overwrite(
        NodeKeyOf("east-1a"), EncodeNodeRecord({"127.0.0.1:1", "127.0.0.1:2", {IdOf<DiskId>(1)}}));
  }

  std::unique_ptr<Api> NewApi() {
    ApiPlace place;
    place.self = "front";
    place.reachable = [this](const NodeId&) {
      ++nodes_asked_;
      return true;
    };
    auto api = std::make_unique<Api>(platform_, std::move(place));
    EXPECT_TRUE(api->view.WaitUntilRead(absl::Seconds(30)).ok());
    // What is read before the first poll was answered is read once more after it.
    EXPECT_TRUE(Until([&] {
      return api->catalog_changes.count(owner_.id) != 0 &&
             api->catalog_changes.count(stranger_.id) != 0;
    }));
    return api;
  }

  Work Now() const {
    return {catalog_.coordination.operations(), catalog_.kms.unwraps(), nodes_asked_};
  }

  // What it does when nothing is cached, and then again: {cold, warm}.
  std::pair<Work, Work> Measure(const Lookup& lookup, const std::string& token,
                                const std::string& tenant, const std::string& container,
                                const std::string& key, absl::StatusCode expected) {
    const std::unique_ptr<Api> api = NewApi();
    const auto who = api->authenticator.Authenticate(token);
    EXPECT_TRUE(who.ok()) << who.status();
    std::pair<Work, Work> done;
    for (Work* work : {&done.first, &done.second}) {
      const Work before = Now();
      const absl::Status status = lookup(*api, *who, tenant, container, key);
      const Work after = Now();
      EXPECT_EQ(status.code(), expected) << status;
      *work = {after.store_reads - before.store_reads, after.unwraps - before.unwraps,
               after.nodes_asked - before.nodes_asked};
    }
    return done;
  }

  tenancy::TestCatalog catalog_;
  const Platform platform_{
      IdOf<ClusterId>(9),   catalog_.clock,        catalog_.random, catalog_.kms,
      catalog_.cluster_key, catalog_.coordination, nullptr};
  std::atomic<int> nodes_asked_{0};
  tenancy::TenantRecord owner_, stranger_;
  tenancy::CreatedAccessKey owners_key_, strangers_key_;
};

TEST_F(ForeignLookup, DoesTheWorkOfALookupOfWhatIsMissing) {
  const std::string key = owners_key_.record.id.ToHex(), no_key(32, '0');
  for (const auto& [what, lookup] : Lookups()) {
    SCOPED_TRACE(what);
    const auto measure = [&, lookup = lookup](const char* tenant, const char* container,
                                              const std::string& key_id) {
      return Measure(lookup, strangers_key_.token, tenant, container, key_id,
                     absl::StatusCode::kNotFound);
    };
    const auto foreign = measure("owner", "photos", key);
    for (const auto& missing :
         {measure("owner", "absent", no_key), measure("nobody", "photos", key),
          measure("nobody", "absent", no_key)}) {
      EXPECT_EQ(foreign.first, missing.first) << "nothing cached";
      EXPECT_EQ(foreign.second, missing.second) << "cached";
    }
    // Nor does it depend on what others have made this server remember.
    const std::unique_ptr<Api> api = NewApi();
    const auto owner = api->authenticator.Authenticate(owners_key_.token);
    const auto stranger = api->authenticator.Authenticate(strangers_key_.token);
    ASSERT_TRUE(owner.ok() && stranger.ok());
    EXPECT_FALSE(absl::IsNotFound(OpenPartition(*api, *owner, ContainerName("owner", "photos"),
                                                ObjectGateway::Intent::kOther)));
    const Work before = Now();
    EXPECT_TRUE(absl::IsNotFound(lookup(*api, *stranger, "owner", "photos", key)));
    const Work after = Now();
    EXPECT_EQ(after.store_reads - before.store_reads, foreign.first.store_reads);
    EXPECT_EQ(after.unwraps - before.unwraps, foreign.first.unwraps);
    EXPECT_EQ(after.nodes_asked - before.nodes_asked, foreign.first.nodes_asked);
  }
}

// Else the counts above prove nothing.
TEST_F(ForeignLookup, OfOnesOwnDoesMore) {
  const std::vector<Named> lookups = Lookups();
  const auto stranger = Measure(lookups[0].lookup, strangers_key_.token, "owner", "photos", "",
                                absl::StatusCode::kNotFound);
  const auto owner = Measure(lookups[0].lookup, owners_key_.token, "owner", "photos", "",
                             absl::StatusCode::kUnavailable);  // it is led elsewhere
  EXPECT_GT(owner.first.store_reads, stranger.first.store_reads);
  EXPECT_GT(owner.first.nodes_asked, 0);
  EXPECT_EQ(stranger.first.nodes_asked, 0);
}

}  // namespace
}  // namespace meridian::server
