// A full disk: new data is refused with the reason, reads and deletes go on, and the service
// resumes by itself when there is space again. On a real small file system where this process may
// mount one, and on a quota over the nodes' disks and RocksDB's environments everywhere.
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/errors.h"
#include "tests/fakes/space_quota.h"
#include "tests/integration/cluster_fixture.h"

namespace meridian {
namespace {

constexpr char kContainer[] = "tenants/acme/containers/l";
constexpr uint64_t kMiB = 1 << 20;
constexpr uint64_t kCapacityBytes = 192 * kMiB;
constexpr CallOptions kShort{.timeout = absl::Seconds(20)};

class SmallDisk {
 public:
  virtual ~SmallDisk() = default;
  virtual void Configure(server::DevOptions& options) = 0;
  // Another program takes the last byte, and gives it all back.
  virtual void Fill() = 0;
  virtual void Clear() = 0;
};

// Null, saying why, where nothing may be mounted.
class MountedDisk final : public SmallDisk {
 public:
  static std::unique_ptr<SmallDisk> Mount(const std::string& folder, std::string& problem) {
    mkdir(folder.c_str(), 0700);
    const std::string size = absl::StrCat("mode=0700,size=", kCapacityBytes);
    if (mount("meridian-test", folder.c_str(), "tmpfs", 0, size.c_str()) != 0) {
      problem = absl::StrCat("cannot mount a file system here: ", std::strerror(errno));
      return nullptr;
    }
    return std::unique_ptr<SmallDisk>(new MountedDisk(folder));
  }
  ~MountedDisk() override { umount2(folder_.c_str(), MNT_DETACH); }

  void Configure(server::DevOptions&) override {}
  void Fill() override {
    std::ofstream filler(folder_ + "/filler", std::ios::binary);
    for (const size_t step : {kMiB, uint64_t{4096}}) {
      const std::string zeros(step, '\0');
      while (filler.write(zeros.data(), static_cast<std::streamsize>(step)).flush()) {
      }
      filler.clear();
    }
  }
  void Clear() override { std::remove((folder_ + "/filler").c_str()); }

 private:
  explicit MountedDisk(std::string folder) : folder_(std::move(folder)) {}
  const std::string folder_;
};

class QuotaDisk final : public SmallDisk {
 public:
  void Configure(server::DevOptions& options) override {
    options.disk.rocks_env = env_.get();
    options.open_disk = [this](std::string root) {
      return storage::OpenQuotaDisk(std::move(root), quota_);
    };
  }
  void Fill() override { quota_.TakeRest(); }
  void Clear() override { quota_.set_capacity_bytes(kCapacityBytes); }

 private:
  storage::SpaceQuota quota_{kCapacityBytes};
  const std::unique_ptr<rocksdb::Env> env_ = storage::NewQuotaEnv(quota_);
};

// What is mounted is this process's only. Before it has any other thread.
class PrivateMounts final : public testing::Environment {
 public:
  void SetUp() override {
    if (unshare(CLONE_NEWNS) == 0) mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
  }
};
const testing::Environment* const kPrivateMounts =
    testing::AddGlobalTestEnvironment(new PrivateMounts);

enum class Kind { kMounted, kQuota };

class FullDisk : public ClusterFixture, public testing::WithParamInterface<Kind> {
 protected:
  void SetUp() override {
    if (GetParam() == Kind::kQuota) {
      disk_ = std::make_unique<QuotaDisk>();
    } else {
      std::string problem;
      disk_ = MountedDisk::Mount(data_folder(), problem);
      if (disk_ == nullptr) GTEST_SKIP() << problem;
    }
    topology_ = *server::Topology::Parse(
        "regions { name: 'r' zones { name: 'r-1' nodes: ['a', 'b', 'c'] } }");
    ASSERT_NO_FATAL_FAILURE(ClusterFixture::SetUp());
    client_ = std::make_unique<Client>(MakeTenant("acme"));
    ASSERT_TRUE(MakeContainer(*client_, "acme", "l", v1::LRS).ok());
  }
  void TearDown() override {
    client_.reset();
    CrashCluster();
    disk_.reset();
  }
  void Configure(server::DevOptions& options) override {
    options.disk.segment_bytes = 2 * kMiB;
    options.disk.max_record_bytes = 1 * kMiB;
    options.disk.extent_bytes = 4 * kMiB;
    options.disk.reserve_bytes = 8 * kMiB;
    options.disk.memtable_bytes = 1 * kMiB;
    options.disk.ballast_bytes = 8 * kMiB;
    options.disk.maintenance_interval = absl::Milliseconds(200);
    disk_->Configure(options);
  }

  // What is acknowledged is remembered.
  absl::Status Store(const std::string& name, size_t size) {
    const std::string body = RandomBody(size);
    const absl::Status status = Put(*client_, kContainer, name, body, kShort).status();
    if (status.ok()) stored_[name] = body;
    return status;
  }
  absl::Status Delete(const std::string& name) {
    v1::DeleteObjectRequest request;
    request.set_container(kContainer);
    request.set_name(name);
    const absl::Status status = client_->DeleteObject(request, kShort).status();
    if (status.ok()) stored_.erase(name);
    return status;
  }
  void ExpectFull(const absl::Status& status) {
    EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
    EXPECT_EQ(ErrorReasonOf(status), "DISK_FULL") << status;
    EXPECT_NE(status.ToString().find("full"), std::string::npos) << status;
  }
  // Names, and every byte.
  void ExpectAllReadable() {
    for (const auto& [name, body] : stored_) {
      const auto read = Get(*client_, kContainer, name, kShort);
      ASSERT_TRUE(read.ok()) << name << " " << read.status();
      EXPECT_TRUE(*read == body) << name;
    }
    v1::ListObjectsRequest request;
    request.set_container(kContainer);
    auto listing = client_->ListObjects(request, kShort);
    std::set<std::string> names;
    for (;;) {
      const auto entry = listing.Next();
      ASSERT_TRUE(entry.ok()) << entry.status();
      if (!entry->has_value()) break;
      names.insert((**entry).name);
    }
    for (const auto& [name, body] : stored_) EXPECT_TRUE(names.contains(name)) << name;
  }
  void ExpectEveryDiskInService() {
    const auto nodes = admin_->ListNodes();
    ASSERT_TRUE(nodes.ok()) << nodes.status();
    for (const v1::Node& node : nodes->nodes()) {
      EXPECT_EQ(node.problem(), "") << node.name();
      for (const v1::Disk& disk : node.disks()) EXPECT_TRUE(disk.in_service()) << node.name();
    }
  }
  // Files come and go meanwhile.
  size_t BallastsHeld() {
    using Entries = std::filesystem::recursive_directory_iterator;
    size_t held = 0;
    std::error_code error;
    for (Entries entry(data_folder(), error); !error && entry != Entries();
         entry.increment(error)) {
      if (entry->path().filename() != "ballast") continue;
      std::error_code gone;
      const auto size = entry->file_size(gone);
      held += !gone && size > 0;
    }
    return held;
  }
  // Nobody does anything for it but wait.
  absl::Status Eventually(const std::function<absl::Status()>& action) {
    absl::Status status;
    Until([&] { return (status = action()).ok(); });
    return status;
  }

  std::unique_ptr<SmallDisk> disk_;
  std::unique_ptr<Client> client_;
  std::map<std::string, std::string> stored_;
};

TEST_P(FullDisk, RefusesNewDataOnlyUntilEnoughIsDeleted) {
  absl::Status status;
  int count = 0;
  for (; status.ok() && count < 400; ++count) {
    status = Store(absl::StrCat("o", count), count % 4 == 0 ? 20'000 : 1'500'000);
  }
  ExpectFull(status);
  ASSERT_GT(stored_.size(), 10u);
  // What has been refused leaves garbage, which gives some space back: whatever is stored meanwhile
  // counts as all else does, and whatever is not, is refused for want of space.
  for (int i = 0; i < 5; ++i) {
    for (const auto& [name, size] : {std::pair("large", 3'000'000), std::pair("small", 100)}) {
      if (const absl::Status again = Store(name, size); !again.ok()) ExpectFull(again);
    }
  }
  ASSERT_NO_FATAL_FAILURE(ExpectAllReadable());

  // The first half. The three nodes share the file system: space that one has won is no other's, so
  // that each must win some.
  for (int i = 0; i < count / 2; ++i) {
    const absl::Status deleted = Delete(absl::StrCat("o", i));
    ASSERT_TRUE(deleted.ok()) << i << " " << deleted;
  }
  const absl::Status resumed = Eventually([&] { return Store("after", 3'000'000); });
  EXPECT_TRUE(resumed.ok()) << resumed;
  ASSERT_NO_FATAL_FAILURE(ExpectAllReadable());
  ExpectEveryDiskInService();
}

TEST_P(FullDisk, WithNoByteLeftReadsAndDeletesGoOnAndTheServiceResumesByItself) {
  for (int i = 0; i < 40; ++i) {
    ASSERT_TRUE(Store(absl::StrCat("o", i), i % 2 == 0 ? 20'000 : 600'000).ok());
  }
  disk_->Fill();
  for (int i = 0; i < 5; ++i) {
    ExpectFull(Store("large", 3'000'000));
    ExpectFull(Store("small", 100));
    const absl::Status deleted = Delete(absl::StrCat("o", i));
    EXPECT_TRUE(deleted.ok()) << deleted;
    ASSERT_NO_FATAL_FAILURE(ExpectAllReadable());
  }
  v1::CreateTenantRequest tenant;
  tenant.set_tenant_id("late");
  const absl::Status refused = admin_->CreateTenant(tenant, kShort).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted) << refused;
  ExpectEveryDiskInService();

  disk_->Clear();
  const absl::Status resumed = Eventually([&] { return Store("after", 3'000'000); });
  EXPECT_TRUE(resumed.ok()) << resumed;
  const auto created = admin_->CreateTenant(tenant, kShort);
  EXPECT_TRUE(created.ok()) << created.status();
  ASSERT_NO_FATAL_FAILURE(ExpectAllReadable());
  ExpectEveryDiskInService();

  client_.reset();
  CrashCluster();
  StartCluster();
  client_ = std::make_unique<Client>([&] {
    Profile profile = admin_profile_;
    v1::CreateAccessKeyRequest key;
    key.set_parent("tenants/acme");
    profile.access_key = admin_->CreateAccessKey(key)->secret();
    profile.tenant = "tenants/acme";
    return profile;
  }());
  ASSERT_NO_FATAL_FAILURE(ExpectAllReadable());
}

// What was deleted is flushed where no byte is left for it, and so wins space.
TEST_P(FullDisk, WithNoByteLeftTheBallastLetsDeletesWinSpace) {
  for (int i = 0; i < 40; ++i) ASSERT_TRUE(Store(absl::StrCat("o", i), 600'000).ok());
  EXPECT_EQ(BallastsHeld(), 3u);
  disk_->Fill();
  for (int i = 0; i < 30; ++i) {
    const absl::Status deleted = Delete(absl::StrCat("o", i));
    ASSERT_TRUE(deleted.ok()) << i << " " << deleted;
  }
  Until([&] { return BallastsHeld() < 3; });
  for (int i = 30; i < 35; ++i) {
    const absl::Status deleted = Delete(absl::StrCat("o", i));
    EXPECT_TRUE(deleted.ok()) << i << " " << deleted;
  }
  const absl::Status resumed = Eventually([&] { return Store("after", 600'000); });
  EXPECT_TRUE(resumed.ok()) << resumed;
  ASSERT_NO_FATAL_FAILURE(ExpectAllReadable());
  ExpectEveryDiskInService();
  disk_->Clear();
  Until([&] { return BallastsHeld() == 3; });
}

TEST_P(FullDisk, ALeaderThatDiesMeanwhileIsReplacedOnceThereIsSpace) {
  ASSERT_TRUE(Store("o", 600'000).ok());
  const std::string leader = GroupOf(kContainer).leader_node();
  disk_->Fill();
  ExpectFull(Store("refused", 100));
  ASSERT_TRUE(admin_->StopNode(leader).ok());
  disk_->Clear();
  const absl::Status resumed = Eventually([&] { return Store("after", 600'000); });
  EXPECT_TRUE(resumed.ok()) << resumed;
  ASSERT_TRUE(admin_->StartNode(leader).ok());
  ASSERT_NO_FATAL_FAILURE(ExpectAllReadable());
  ExpectEveryDiskInService();
}

INSTANTIATE_TEST_SUITE_P(On, FullDisk, testing::Values(Kind::kMounted, Kind::kQuota),
                         [](const auto& kind) {
                           return kind.param == Kind::kMounted ? "AMountedFileSystem" : "AQuota";
                         });

}  // namespace
}  // namespace meridian
