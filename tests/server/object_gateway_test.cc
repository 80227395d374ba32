// Where calls on objects go by a container's map of partitions, at a node that leads none of them.
#include "server/object_gateway.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "google/rpc/error_details.pb.h"
#include "meridian/v1/errors.pb.h"
#include "replication/replica.h"
#include "server/api.h"
#include "server/cluster_records.h"
#include "server/ops/errors.h"
#include "tests/tenancy/testing.h"
#include "tests/until.h"

namespace meridian::server {
namespace {

constexpr char kContainer[] = "tenants/acme/containers/photos";

std::string ReasonOf(const absl::Status& status) {
  google::rpc::ErrorInfo info;
  const auto payload = status.GetPayload("type.googleapis.com/google.rpc.ErrorInfo");
  return payload && info.ParseFromString(std::string(*payload)) ? info.reason() : "";
}

class ObjectGatewayTest : public testing::Test {
 protected:
  ObjectGatewayTest() {
    EXPECT_TRUE(catalog_.CreateContainer(tenant_.id, "photos").ok());
    SetMap({""}, 1);
    ApiPlace place;
    place.self = "front";
    place.reachable = [](const NodeId&) { return true; };
    api_ = std::make_unique<Api>(platform_, std::move(place));
  }

  // Partitions from each of these names on, the n-th led by node n.
  void SetMap(const std::vector<std::string>& begins, uint64_t generation) {
    auto record = catalog_.containers.Get(tenant_.id, "photos");
    ASSERT_TRUE(record.ok()) << record.status();
    record->partitions.clear();
    record->partition_generation = generation;
    for (size_t i = 0; i < begins.size(); ++i) {
      record->partitions.push_back({IdOf<PartitionId>(static_cast<int>(10 * generation + i)),
                                    begins[i], i + 1 < begins.size() ? begins[i + 1] : ""});
    }
    const std::string key = tenancy::ContainerKey(tenant_.id, record->id);
    EXPECT_TRUE(*catalog_.store.Commit(tenant_.id,
                                       {{}, {catalog_.store.Put(key, tenancy::Encode(*record))}}));
  }
  void MakeGroup(uint64_t generation, int number) {
    replication::GroupConfig config;
    config.epoch = Epoch(2);
    config.leader = IdOf<ReplicaId>(number + 1);  // 0 is none
    config.members = {{config.leader, "n" + std::to_string(number), IdOf<DiskId>(number + 1)}};
    const auto partition = IdOf<PartitionId>(static_cast<int>(10 * generation) + number);
    catalog_.coordination.Overwrite(replication::GroupConfigKey(partition),
                                    replication::EncodeGroupConfig(config));
    catalog_.coordination.Overwrite(NodeKeyOf("n" + std::to_string(number)),
                                    EncodeNodeRecord({"127.0.0.1:" + std::to_string(100 + number),
                                                      "127.0.0.1:2",
                                                      {IdOf<DiskId>(number + 1)}}));
    EXPECT_TRUE(Until([&] { return !api_->view.LeaderEndpoint(partition).empty(); }));
  }
  absl::Status Run(const std::string& name) {
    const auto key = api_->authenticator.Authenticate(token_);
    EXPECT_TRUE(key.ok()) << key.status();
    return api_->gateway.Run(*key, {kContainer, name}, absl::Now() + absl::Seconds(5),
                             [](const ops::Context&) { return absl::OkStatus(); });
  }
  static v1::NotLeader LeaderIn(const absl::Status& status) {
    v1::NotLeader detail;
    const auto payload = status.GetPayload("type.googleapis.com/meridian.v1.NotLeader");
    EXPECT_TRUE(payload.has_value()) << status;
    if (payload) detail.ParseFromString(std::string(*payload));
    return detail;
  }

  tenancy::TestCatalog catalog_;
  const tenancy::TenantRecord tenant_ = *catalog_.tenants.Create("acme", "", "");
  const std::string token_ = catalog_.access_keys.Create(tenant_.id, "")->token;
  const Platform platform_{
      IdOf<ClusterId>(9),   catalog_.clock,        catalog_.random, catalog_.kms,
      catalog_.cluster_key, catalog_.coordination, nullptr};
  std::unique_ptr<Api> api_;
};

TEST_F(ObjectGatewayTest, SendsEachNameToTheLeaderOfItsPartitionAndSaysWhatThatServes) {
  SetMap({"", "m"}, 2);
  MakeGroup(2, 0);
  MakeGroup(2, 1);
  for (const auto& [name, endpoint, begin, end] :
       std::vector<std::tuple<std::string, std::string, std::string, std::string>>{
           {"a", "127.0.0.1:100", "", "m"},
           {"lzz", "127.0.0.1:100", "", "m"},
           {"m", "127.0.0.1:101", "m", ""},
           {"z", "127.0.0.1:101", "m", ""}}) {
    absl::Status status;
    ASSERT_TRUE(Until([&, name = name] {
      status = Run(name);
      return ReasonOf(status) == "NOT_LEADER";
    })) << status;
    const v1::NotLeader detail = LeaderIn(status);
    EXPECT_EQ(detail.endpoint(), endpoint) << name;
    EXPECT_EQ(detail.range().begin_name(), begin) << name;
    EXPECT_EQ(detail.range().end_name(), end) << name;
    EXPECT_EQ(detail.range().map_generation(), 2u);
    EXPECT_EQ(detail.epoch(), 2u);
  }
}

TEST_F(ObjectGatewayTest, ReadsAMapAgainThatNamesAPartitionWhichIsGone) {
  // Known here, without a group.
  EXPECT_EQ(ReasonOf(Run("a")), "NO_LEADER");
  MakeGroup(2, 0);
  // Nobody tells of the new map.
  catalog_.coordination.watches_deliver = false;
  catalog_.coordination.polls_to_lose = 1 << 20;
  SetMap({""}, 2);
  catalog_.clock.Advance(absl::Seconds(1));
  const absl::Status status = Run("a");
  EXPECT_EQ(ReasonOf(status), "NOT_LEADER") << status;
  EXPECT_EQ(LeaderIn(status).range().map_generation(), 2u);
}

TEST_F(ObjectGatewayTest, AsksTheStoreForANewerMapNoMoreThanNowAndThen) {
  EXPECT_EQ(ReasonOf(Run("a")), "NO_LEADER");
  catalog_.coordination.watches_deliver = false;
  catalog_.coordination.polls_to_lose = 1 << 20;
  catalog_.clock.Advance(absl::Seconds(1));
  EXPECT_EQ(ReasonOf(Run("a")), "NO_LEADER");
  const int before = catalog_.coordination.operations();
  for (int i = 0; i < 100; ++i) EXPECT_EQ(ReasonOf(Run("a")), "NO_LEADER");
  EXPECT_EQ(catalog_.coordination.operations(), before);
}

// The mark is for this process: no client sees it.
TEST_F(ObjectGatewayTest, NamesOnlyWhatClientsKnow) {
  const absl::Status status = Run("a");
  EXPECT_FALSE(ops::IsMoved(status));
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
}

}  // namespace
}  // namespace meridian::server
