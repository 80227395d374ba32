// What becomes of calls, watches and announcements when members of a real etcd, or the way to them,
// fail.
#include <grpcpp/grpcpp.h>
#include <grpcpp/security/tls_certificate_provider.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <future>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/clock.h"
#include "coordination/etcd/etcd_store.h"
#include "crypto/certificate_authority.h"
#include "etcd/rpc.grpc.pb.h"
#include "gtest/gtest.h"
#include "tests/coordination/blocking_store.h"
#include "tests/coordination/etcd_cluster.h"
#include "tests/coordination/tcp_proxy.h"
#include "tests/temp_folder.h"
#include "tests/until.h"

namespace meridian::coordination {
namespace {

constexpr absl::Duration kTtl = absl::Seconds(2);
// For what is late on a machine that is busy: tells a hang from an answer, not fast from slow.
constexpr absl::Duration kSlack = absl::Seconds(15);
// Elections of members that get little of the machine end within it.
constexpr absl::Duration kLongTimeout = absl::Seconds(20);

// Counts the hints of a watch.
class Hints {
 public:
  Hints(CoordinationStore& store, std::string prefix)
      : watch_(store.Watch(std::move(prefix), [this] {
          absl::MutexLock lock(&mutex_);
          ++count_;
        })) {}

  int count() {
    absl::MutexLock lock(&mutex_);
    return count_;
  }
  int AwaitMoreThan(int count) {
    absl::MutexLock lock(&mutex_);
    const auto more = [&] { return count_ > count; };
    mutex_.Await(absl::Condition(&more));
    return count_;
  }

 private:
  absl::Mutex mutex_;
  int count_ ABSL_GUARDED_BY(mutex_) = 0;
  const std::unique_ptr<CoordinationStore::WatchHandle> watch_;
};

class EtcdFaults : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    auto started = EtcdCluster::Start();
    ASSERT_TRUE(started.ok()) << started.status();
    cluster_ = *std::move(started);
  }
  static void TearDownTestSuite() { cluster_.reset(); }
  void SetUp() override { ASSERT_NE(cluster_, nullptr); }
  void TearDown() override { RestartAll(); }

  static void StopAll() {
    for (int i = 0; i < cluster_->size(); ++i) cluster_->Stop(i);
  }
  static void RestartAll() {
    for (int i = 0; i < cluster_->size(); ++i) {
      if (cluster_->running(i)) continue;
      const absl::Status started = cluster_->Restart(i);
      ASSERT_TRUE(started.ok()) << started;
    }
    const absl::Status ready = cluster_->AwaitReady();
    ASSERT_TRUE(ready.ok()) << ready;
  }

  static EtcdOptions Options() {
    const std::string test = testing::UnitTest::GetInstance()->current_test_info()->name();
    return cluster_->ClientOptions("/meridian/" + test + "/");
  }
  static std::unique_ptr<EtcdStore> Open(EtcdOptions options = Options()) {
    auto store = OpenEtcdStore(std::move(options));
    EXPECT_TRUE(store.ok()) << store.status();
    return *std::move(store);
  }
  // By way of the proxy only.
  static std::unique_ptr<EtcdStore> OpenVia(const TcpProxy& proxy) {
    EtcdOptions options = Options();
    options.endpoints = {proxy.endpoint()};
    options.call_timeout = absl::Seconds(3);
    return Open(options);
  }
  static void Put(CoordinationStore& store, std::string key, std::string value) {
    const auto done = BlockingCommit(store, {.writes = {{std::move(key), std::move(value)}}});
    EXPECT_TRUE(done.ok() && done->succeeded) << done.status();
  }
  // While members elect, a commit may be of unknown outcome; this one may be carried out twice.
  static void PutUntilDone(CoordinationStore& store, const std::string& key,
                           const std::string& value) {
    absl::Status last;
    EXPECT_TRUE(Until([&] {
      const auto done = BlockingCommit(store, {.writes = {{key, value}}});
      last = done.status();
      return done.ok() && done->succeeded;
    })) << last;
  }

  static std::unique_ptr<EtcdCluster> cluster_;
};

std::unique_ptr<EtcdCluster> EtcdFaults::cluster_;

TEST_F(EtcdFaults, AnEtcdOfAnotherAuthorityIsNotTrusted) {
  SystemClock clock;
  const auto other = crypto::CertificateAuthority::Create("other", clock);
  ASSERT_TRUE(other.ok()) << other.status();
  EtcdOptions options = Options();
  options.tls->ca_certificate = (*other)->certificate_pem();
  options.call_timeout = absl::Seconds(3);
  EXPECT_TRUE(absl::IsUnavailable(BlockingGet(*Open(options), "key").status()));
}

TEST_F(EtcdFaults, AnEtcdWhoseCertificateNamesAnotherHostIsNotTrusted) {
  const TcpProxy named(cluster_->endpoint(0));
  EXPECT_TRUE(BlockingGet(*OpenVia(named), "key").ok());
  const TcpProxy other(cluster_->endpoint(0), "127.0.0.2");
  EXPECT_TRUE(absl::IsUnavailable(BlockingGet(*OpenVia(other), "key").status()));
}

TEST_F(EtcdFaults, CallsGoOnWhicheverMemberIsKilled) {
  EtcdOptions options = Options();
  options.call_timeout = kLongTimeout;
  const auto store = Open(options);
  Put(*store, "key", "v");
  for (int killed = 0; killed < cluster_->size(); ++killed) {
    cluster_->Kill(killed);
    // A read takes what an election and the way to another member take, and no more.
    const auto read = BlockingGet(*store, "key");
    EXPECT_TRUE(read.ok() && read->has_value()) << killed << ": " << read.status();
    PutUntilDone(*store, "key", absl::StrCat(killed));
    RestartAll();
  }
}

TEST_F(EtcdFaults, AMemberThatHangsCostsAReadNoMoreThanItsTimeout) {
  EtcdOptions options = Options();
  options.call_timeout = kLongTimeout;
  const auto store = Open(options);
  Put(*store, "key", "v");
  for (int hung = 0; hung < cluster_->size(); ++hung) {
    cluster_->Suspend(hung);
    const auto read = BlockingGet(*store, "key");
    EXPECT_TRUE(read.ok() && read->has_value()) << hung << ": " << read.status();
    PutUntilDone(*store, "key", absl::StrCat(hung));
    cluster_->Resume(hung);
    ASSERT_TRUE(cluster_->AwaitReady().ok());
  }
}

TEST_F(EtcdFaults, WithoutAMajorityNothingIsAnswered) {
  EtcdOptions options = Options();
  options.call_timeout = absl::Seconds(2);
  const auto store = Open(options);
  Put(*store, "key", "v");
  const int64_t revision = (*BlockingGet(*store, "key"))->mod_revision;
  cluster_->Kill(0);
  cluster_->Kill(1);
  const absl::Time begin = absl::Now();
  EXPECT_TRUE(absl::IsUnavailable(BlockingGet(*store, "key").status()));
  EXPECT_TRUE(absl::IsUnavailable(BlockingList(*store, "").status()));
  EXPECT_TRUE(absl::IsUnavailable(BlockingCommit(*store, {.writes = {{"key", "x"}}}).status()));
  EXPECT_TRUE(
      absl::IsUnavailable(BlockingCommit(*store, {.compares = {{"key", revision}}}).status()));
  EXPECT_LT(absl::Now() - begin, 4 * options.call_timeout + kSlack);
}

TEST_F(EtcdFaults, AllMembersStoppedAndBack) {
  EtcdOptions options = Options();
  options.call_timeout = absl::Seconds(2);
  const auto store = Open(options);
  const auto presence = store->Announce("node/a", "endpoint", kTtl);
  AwaitRow(*store, "node/a");
  Hints hints(*store, "group/");
  StopAll();
  const int before = hints.count();
  const absl::Time begin = absl::Now();
  const auto refused = BlockingGet(*store, "key");
  EXPECT_TRUE(absl::IsUnavailable(refused.status())) << refused.status();
  EXPECT_NE(refused.status().message().find(cluster_->endpoint(0)), absl::string_view::npos)
      << refused.status();
  EXPECT_TRUE(absl::IsUnavailable(BlockingCommit(*store, {.writes = {{"key", "x"}}}).status()));
  EXPECT_LT(absl::Now() - begin, 2 * options.call_timeout + kSlack);

  const auto late = Open(options);  // of a process that starts in the meantime
  Hints late_hints(*late, "group/");
  const auto late_presence = late->Announce("node/b", "endpoint", kTtl);
  RestartAll();
  hints.AwaitMoreThan(before);
  late_hints.AwaitMoreThan(0);
  AwaitRow(*store, "node/a");
  AwaitRow(*store, "node/b");
  Put(*late, "group/1", "v");
}

// Whatever takes a lease away.
TEST_F(EtcdFaults, AnAnnouncementWhoseLeaseWasLostIsWrittenAgain) {
  const auto store = Open();
  const auto presence = store->Announce("node/a", "endpoint", kTtl);
  const int64_t first = AwaitRow(*store, "node/a").mod_revision;

  const EtcdTls tls = cluster_->tls();
  const auto channel = grpc::CreateChannel(
      cluster_->endpoint(0),
      grpc::SslCredentials({tls.ca_certificate, tls.private_key, tls.certificate}));
  grpc::ClientContext read;
  etcdserverpb::RangeRequest request;
  request.set_key(Options().key_prefix + "node/a");
  etcdserverpb::RangeResponse row;
  ASSERT_TRUE(etcdserverpb::KV::NewStub(channel)->Range(&read, request, &row).ok());
  ASSERT_NE(row.kvs(0).lease(), 0);
  grpc::ClientContext revoke;
  etcdserverpb::LeaseRevokeRequest lease;
  lease.set_id(row.kvs(0).lease());
  etcdserverpb::LeaseRevokeResponse revoked;
  ASSERT_TRUE(etcdserverpb::Lease::NewStub(channel)->LeaseRevoke(&revoke, lease, &revoked).ok());

  AwaitKey(*store, "node/a",
           [&](const auto& found) { return found.has_value() && found->mod_revision > first; });
}

TEST_F(EtcdFaults, AnAnnouncementOutlivesItsTimeAsLongAsItsProcessLives) {
  const auto store = Open();
  const auto presence = store->Announce("node/a", "endpoint", kTtl);
  const int64_t revision = AwaitRow(*store, "node/a").mod_revision;
  // Another one, of a process that dies when this one is announced, tells the time.
  TcpProxy proxy(cluster_->endpoint(0));
  const auto dead = OpenVia(proxy);
  const auto other = dead->Announce("node/b", "endpoint", 2 * kTtl);
  AwaitRow(*store, "node/b");
  proxy.Set(TcpProxy::Mode::kCut);
  AwaitAbsence(*store, "node/b");
  EXPECT_EQ((*BlockingGet(*store, "node/a"))->mod_revision, revision);
}

TEST_F(EtcdFaults, AnAnnouncementOfAProcessThatIsCutOffEndsAndComesBackWithIt) {
  TcpProxy proxy(cluster_->endpoint(1));
  const auto cut_off = OpenVia(proxy);
  const auto store = Open();
  const auto presence = cut_off->Announce("node/a", "endpoint", kTtl);
  AwaitRow(*store, "node/a");
  const absl::Time begin = absl::Now();
  proxy.Set(TcpProxy::Mode::kSilent);
  AwaitAbsence(*store, "node/a");
  EXPECT_LT(absl::Now() - begin, kTtl + kSlack);
  proxy.Set(TcpProxy::Mode::kCut);
  proxy.Set(TcpProxy::Mode::kPass);
  AwaitRow(*store, "node/a");
}

TEST_F(EtcdFaults, AWatchIsHintedWhenItsStreamComesBack) {
  TcpProxy proxy(cluster_->endpoint(2));
  const auto cut_off = OpenVia(proxy);
  const auto store = Open();
  Hints hints(*cut_off, "group/");
  hints.AwaitMoreThan(0);  // the stream is there
  proxy.Set(TcpProxy::Mode::kCut);
  const int before = hints.count();
  Put(*store, "group/1", "v");
  proxy.Set(TcpProxy::Mode::kPass);
  hints.AwaitMoreThan(before);
  EXPECT_TRUE((*BlockingGet(*cut_off, "group/1")).has_value());
}

TEST_F(EtcdFaults, ACommitWhoseAnswerIsLostIsOfUnknownOutcome) {  // P1
  TcpProxy proxy(cluster_->endpoint(0));
  const auto unlucky = OpenVia(proxy);
  const auto store = Open();
  Put(*unlucky, "key", "1");
  proxy.Set(TcpProxy::Mode::kSwallowAnswers);
  const absl::Time begin = absl::Now();
  const auto lost = BlockingCommit(*unlucky, {.writes = {{"key", "2"}}});
  EXPECT_TRUE(absl::IsUnavailable(lost.status())) << lost.status();
  EXPECT_NE(lost.status().message().find("unknown"), absl::string_view::npos) << lost.status();
  EXPECT_LT(absl::Now() - begin, absl::Seconds(3) + kSlack);
  EXPECT_EQ((*BlockingGet(*store, "key"))->value, "2");  // it did take effect
  proxy.Set(TcpProxy::Mode::kCut);  // a connection that lost bytes is of no use
  proxy.Set(TcpProxy::Mode::kPass);
  EXPECT_EQ(AwaitRow(*unlucky, "key", "2").value, "2");
}

TEST_F(EtcdFaults, WhoHasNoCertificateOfTheClusterIsNotServed) {  // I9
  EtcdOptions options = Options();
  options.call_timeout = absl::Seconds(1);
  options.tls->certificate.clear();
  options.tls->private_key.clear();
  EXPECT_TRUE(absl::IsUnavailable(BlockingGet(*Open(options), "key").status()));
  options.tls.reset();
  EXPECT_TRUE(absl::IsUnavailable(BlockingGet(*Open(options), "key").status()));
}

TEST_F(EtcdFaults, ARenewedCertificateIsTakenUpWithoutARestart) {
  const TempFolder folder;
  const auto write = [&](const std::string& name, const std::string& pem) {
    const std::string path = folder.path() + "/" + name;
    std::ofstream(path + ".new") << pem;
    std::filesystem::rename(path + ".new", path);
  };
  SystemClock clock;
  const auto other = crypto::CertificateAuthority::Create("other", clock);
  ASSERT_TRUE(other.ok()) << other.status();
  const auto stranger = (*other)->IssueNode("client");
  ASSERT_TRUE(stranger.ok()) << stranger.status();
  EtcdOptions options = Options();
  const EtcdTls good = *options.tls;
  write("ca", good.ca_certificate);
  write("key", stranger->private_key_pem);
  write("crt", stranger->certificate_pem);
  options.call_timeout = absl::Seconds(1);
  options.tls->renewed = std::make_shared<grpc::experimental::FileWatcherCertificateProvider>(
      folder.path() + "/key", folder.path() + "/crt", folder.path() + "/ca", 1);
  const auto store = Open(options);
  EXPECT_TRUE(absl::IsUnavailable(BlockingGet(*store, "key").status()));
  write("key", good.private_key);
  write("crt", good.certificate);
  EXPECT_TRUE(Until([&] { return BlockingGet(*store, "key").ok(); }));
}

TEST_F(EtcdFaults, AStoreThatClosesDropsWhatIsInFlight) {
  StopAll();
  std::atomic<int> answers{0};
  {
    const auto store = Open();
    for (int i = 0; i < 10; ++i) store->Get("key", [&](auto) { ++answers; });
    const Hints hints(*store, "");
  }
  EXPECT_EQ(answers, 0);
}

TEST_F(EtcdFaults, AListOfManyPagesIsWhole) {
  EtcdOptions options = Options();
  options.page_rows = 3;
  const auto store = Open(options);
  for (int i = 0; i < 10; ++i) Put(*store, absl::StrCat("row/", i), absl::StrCat(i));
  for (const int64_t page_rows : {1, 3, 5, 10, 11}) {
    options.page_rows = page_rows;
    const auto rows = BlockingList(*Open(options), "row/");
    ASSERT_TRUE(rows.ok()) << rows.status();
    ASSERT_EQ(rows->size(), 10u);
    for (int i = 0; i < 10; ++i) EXPECT_EQ((*rows)[i].value, absl::StrCat(i));
  }
}

// One member is enough for these.
class SmallEtcd : public testing::Test {
 protected:
  void Start(int64_t quota_bytes) {
    auto started = EtcdCluster::Start({.members = 1, .quota_bytes = quota_bytes});
    ASSERT_TRUE(started.ok()) << started.status();
    cluster_ = *std::move(started);
    options_ = cluster_->ClientOptions("/meridian/small/");
    options_.call_timeout = absl::Seconds(2);
  }
  void Restart() {
    ASSERT_TRUE(cluster_->Restart(0).ok());
    ASSERT_TRUE(cluster_->AwaitReady().ok());
  }

  std::unique_ptr<EtcdCluster> cluster_;
  EtcdOptions options_;
};

TEST_F(SmallEtcd, DataFromThePastAreNotTrusted) {  // P11
  Start(/*quota_bytes=*/0);
  const auto store = *OpenEtcdStore(options_);
  ASSERT_TRUE(BlockingCommit(*store, {.writes = {{"key", "1"}}}).ok());
  cluster_->Stop(0);
  const std::filesystem::path backup = cluster_->data_folder(0) + "-backup";
  std::filesystem::copy(cluster_->data_folder(0), backup, std::filesystem::copy_options::recursive);
  Restart();
  AwaitRow(*store, "key");
  ASSERT_TRUE(BlockingCommit(*store, {.writes = {{"key", "2"}}}).ok());
  const StoreIdentity seen = store->seen();
  EXPECT_NE(seen.cluster_id, 0u);

  cluster_->Stop(0);
  std::filesystem::remove_all(cluster_->data_folder(0));
  std::filesystem::rename(backup, cluster_->data_folder(0));
  Restart();
  EtcdOptions remembering = options_;
  remembering.remembered = seen;
  const auto next_process = *OpenEtcdStore(remembering);
  for (CoordinationStore* misled : {static_cast<CoordinationStore*>(store.get()),
                                    static_cast<CoordinationStore*>(next_process.get())}) {
    const auto refused = BlockingGet(*misled, "key");
    EXPECT_TRUE(absl::IsUnavailable(refused.status())) << refused.status();
    EXPECT_NE(refused.status().message().find("from the past"), absl::string_view::npos)
        << refused.status();
    EXPECT_TRUE(absl::IsUnavailable(BlockingCommit(*misled, {.writes = {{"key", "3"}}}).status()));
  }
  EXPECT_EQ((*BlockingGet(**OpenEtcdStore(options_), "key"))->value, "1");  // nothing was written
}

TEST_F(SmallEtcd, AUsedUpQuotaIsTold) {
  Start(/*quota_bytes=*/8 << 20);
  const auto store = *OpenEtcdStore(options_);
  const std::string large(1 << 20, 'x');
  absl::Status refused;
  for (int i = 0; i < 40 && !absl::IsResourceExhausted(refused); ++i) {
    // Its history fills the quota.
    const std::string value = absl::StrCat(large, i);
    refused = BlockingCommit(*store, {.writes = {{"fill", value}}}).status();
    const auto row = BlockingGet(*store, "fill");
    ASSERT_TRUE(row.ok()) << row.status();
    if (refused.ok() || absl::IsResourceExhausted(refused)) {
      EXPECT_EQ((*row)->value == value, refused.ok());
    }
  }
  EXPECT_TRUE(absl::IsResourceExhausted(refused)) << refused;
  const auto deleted = BlockingCommit(*store, {.writes = {{"fill", std::nullopt}}});
  EXPECT_TRUE(deleted.ok()) << deleted.status();
}

TEST_F(SmallEtcd, AValueThatEtcdDoesNotTakeIsAnInvalidArgument) {
  Start(/*quota_bytes=*/0);
  const auto store = *OpenEtcdStore(options_);
  const auto refused = BlockingCommit(*store, {.writes = {{"key", std::string(3 << 20, 'x')}}});
  EXPECT_TRUE(absl::IsInvalidArgument(refused.status())) << refused.status();
  EXPECT_FALSE(BlockingGet(*store, "key")->has_value());
}

}  // namespace
}  // namespace meridian::coordination
