#include "replication/config_keeper.h"

#include <gtest/gtest.h>

#include <vector>

#include "replication/replica.h"
#include "tests/fakes/manual_executor.h"
#include "tests/replication/core_cluster.h"

namespace meridian::replication {
namespace {

using coordination::KeyValue;

// Answers when the test says so.
class HeldStore : public coordination::CoordinationStore {
 public:
  using GetDone = std::function<void(absl::StatusOr<std::optional<KeyValue>>)>;

  void Get(std::string, GetDone done) override { gets.push_back(std::move(done)); }
  void List(std::string, std::function<void(absl::StatusOr<std::vector<KeyValue>>)>) override {}
  void Commit(coordination::Transaction,
              std::function<void(absl::StatusOr<coordination::CommitResult>)>) override {}
  std::unique_ptr<WatchHandle> Watch(std::string, std::function<void()>) override {
    return nullptr;
  }
  std::unique_ptr<Presence> Announce(std::string, std::string, absl::Duration) override {
    return nullptr;
  }

  std::vector<GetDone> gets;
};

class ConfigKeeperTest : public testing::Test {
 protected:
  void Answer(size_t get, int64_t revision, Epoch epoch) {
    GroupConfig config = config_;
    config.epoch = epoch;
    KeyValue value;
    value.value = EncodeGroupConfig(config);
    value.mod_revision = revision;
    store_.gets.at(get)(value);
    executor_.RunQueued();
  }

  static GroupConfig Config() {
    GroupConfig config;
    config.members.push_back(MemberOf(1));
    return config;
  }

  const GroupConfig config_ = Config();
  ManualExecutor executor_;
  HeldStore store_;
  Inbox inbox_{executor_, 100};
  std::vector<Epoch> read_;
  ConfigKeeper keeper_{PartitionId(),
                       store_,
                       inbox_.MakeHandle(),
                       config_,
                       1,
                       absl::Seconds(5),
                       [this](const GroupConfig& config) { read_.push_back(config.epoch); }};
};

TEST_F(ConfigKeeperTest, AReadThatTheStoreNeverAnswersIsRepeated) {
  keeper_.Read();
  keeper_.Read();  // shares it
  ASSERT_EQ(store_.gets.size(), 1u);
  keeper_.Tick(absl::Seconds(100));
  keeper_.Tick(absl::Seconds(104));
  EXPECT_EQ(store_.gets.size(), 1u);
  keeper_.Tick(absl::Seconds(105));
  ASSERT_EQ(store_.gets.size(), 2u);
  Answer(1, 3, Epoch(7));
  EXPECT_EQ(read_, std::vector<Epoch>{Epoch(7)});
  // The one given up tells of an older revision.
  Answer(0, 2, Epoch(6));
  EXPECT_EQ(read_, std::vector<Epoch>{Epoch(7)});
}

}  // namespace
}  // namespace meridian::replication
