// The store before an etcd that answers what a test says: what a real one does seldom.
#include <grpcpp/grpcpp.h>

#include <functional>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "coordination/etcd/etcd_store.h"
#include "etcd/rpc.grpc.pb.h"
#include "gtest/gtest.h"
#include "tests/coordination/blocking_store.h"

namespace meridian::coordination {
namespace {

namespace pb = ::etcdserverpb;

constexpr char kPrefix[] = "/meridian/x/";

// Thread-safe. Reads of the key prefix itself are the store's own.
class ScriptedEtcd final : public pb::KV::Service {
 public:
  using OnRange = std::function<grpc::Status(const pb::RangeRequest&, pb::RangeResponse&)>;
  using OnTxn = std::function<grpc::Status(const pb::TxnRequest&, pb::TxnResponse&)>;

  ScriptedEtcd() {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }
  ~ScriptedEtcd() override { server_->Shutdown(); }

  grpc::Status Range(grpc::ServerContext*, const pb::RangeRequest* request,
                     pb::RangeResponse* response) override {
    absl::MutexLock lock(&mutex_);
    response->mutable_header()->set_cluster_id(cluster_id_);
    response->mutable_header()->set_revision(revision_);
    if (request->count_only() || !on_range_) return grpc::Status::OK;
    return on_range_(*request, *response);
  }
  grpc::Status Txn(grpc::ServerContext*, const pb::TxnRequest* request,
                   pb::TxnResponse* response) override {
    absl::MutexLock lock(&mutex_);
    response->mutable_header()->set_cluster_id(cluster_id_);
    response->mutable_header()->set_revision(revision_);
    ++txns_;
    return on_txn_ ? on_txn_(*request, *response) : grpc::Status::OK;
  }

  void SetIdentity(uint64_t cluster_id, int64_t revision) {
    absl::MutexLock lock(&mutex_);
    cluster_id_ = cluster_id;
    revision_ = revision;
  }
  // They run one at a time.
  void SetRange(OnRange on_range) {
    absl::MutexLock lock(&mutex_);
    on_range_ = std::move(on_range);
  }
  void SetTxn(OnTxn on_txn) {
    absl::MutexLock lock(&mutex_);
    on_txn_ = std::move(on_txn);
  }
  int txns() {
    absl::MutexLock lock(&mutex_);
    return txns_;
  }

  EtcdOptions Options() const {
    return {.endpoints = {absl::StrCat("127.0.0.1:", port_)},
            .key_prefix = kPrefix,
            .call_timeout = absl::Seconds(2)};
  }
  std::unique_ptr<EtcdStore> Open() const { return *OpenEtcdStore(Options()); }

 private:
  int port_ = 0;
  absl::Mutex mutex_;
  uint64_t cluster_id_ ABSL_GUARDED_BY(mutex_) = 7;
  int64_t revision_ ABSL_GUARDED_BY(mutex_) = 100;
  OnRange on_range_ ABSL_GUARDED_BY(mutex_);
  OnTxn on_txn_ ABSL_GUARDED_BY(mutex_);
  int txns_ ABSL_GUARDED_BY(mutex_) = 0;
  std::unique_ptr<grpc::Server> server_;
};

void AddRow(const std::string& key, int64_t mod_revision, pb::RangeResponse& response) {
  pb::KeyValue& row = *response.add_kvs();
  row.set_key(kPrefix + key);
  row.set_value("v");
  row.set_mod_revision(mod_revision);
}

TEST(EtcdAnswers, OfAnotherClusterAreNotTrusted) {  // P11
  ScriptedEtcd etcd;
  const auto store = etcd.Open();
  ASSERT_TRUE(BlockingGet(*store, "key").ok());
  EXPECT_EQ(store->seen().cluster_id, 7u);
  etcd.SetIdentity(8, 200);
  for (const absl::Status& refused :
       {BlockingGet(*store, "key").status(), BlockingList(*store, "").status(),
        BlockingCommit(*store, {.writes = {{"key", "v"}}}).status()}) {
    EXPECT_TRUE(absl::IsUnavailable(refused)) << refused;
    EXPECT_NE(refused.message().find("is of the cluster 8, not of 7"), absl::string_view::npos)
        << refused;
  }
  EXPECT_EQ(etcd.txns(), 0);  // it was not even asked to write
  EXPECT_EQ(store->seen().revision, 100);
  etcd.SetIdentity(7, 101);
  EXPECT_TRUE(BlockingGet(*store, "key").ok());
}

TEST(EtcdAnswers, OfAnotherClusterThanTheRememberedOneAreNotTrusted) {  // P11
  ScriptedEtcd etcd;
  EtcdOptions options = etcd.Options();
  options.remembered = {.cluster_id = 6, .revision = 1};
  const auto store = *OpenEtcdStore(options);
  EXPECT_TRUE(absl::IsUnavailable(BlockingGet(*store, "key").status()));
}

TEST(EtcdAnswers, ThatGoBackInTimeAreNotTrusted) {  // P11
  ScriptedEtcd etcd;
  const auto store = etcd.Open();
  ASSERT_TRUE(BlockingGet(*store, "key").ok());
  etcd.SetIdentity(7, 99);
  EXPECT_TRUE(absl::IsUnavailable(BlockingGet(*store, "key").status()));
  etcd.SetIdentity(7, 100);
  EXPECT_TRUE(BlockingGet(*store, "key").ok());
}

TEST(EtcdAnswers, PagesOfAListAreAllAtTheRevisionOfTheFirst) {
  ScriptedEtcd etcd;
  std::vector<int64_t> asked;
  etcd.SetRange([&](const pb::RangeRequest& request, pb::RangeResponse& response) {
    asked.push_back(request.revision());
    response.mutable_header()->set_revision(100 + static_cast<int64_t>(asked.size()));
    AddRow(absl::StrCat(asked.size()), 1, response);
    response.set_more(asked.size() < 3);
    return grpc::Status::OK;
  });
  const auto store = etcd.Open();
  const auto rows = BlockingList(*store, "");
  ASSERT_TRUE(rows.ok()) << rows.status();
  EXPECT_EQ(rows->size(), 3u);
  EXPECT_EQ(asked, (std::vector<int64_t>{0, 101, 101}));
}

TEST(EtcdAnswers, AListWhoseRevisionWasCompactedBeginsAgain) {
  ScriptedEtcd etcd;
  int calls = 0;
  etcd.SetRange([&](const pb::RangeRequest&, pb::RangeResponse& response) {
    if (++calls == 2) {
      return grpc::Status(grpc::StatusCode::OUT_OF_RANGE,
                          "etcdserver: mvcc: required revision has been compacted");
    }
    AddRow(absl::StrCat(calls), 1, response);
    response.set_more(calls == 1 || calls == 3);
    return grpc::Status::OK;
  });
  const auto store = etcd.Open();
  const auto rows = BlockingList(*store, "");
  ASSERT_TRUE(rows.ok()) << rows.status();
  ASSERT_EQ(rows->size(), 2u);
  EXPECT_EQ((*rows)[0].key, "3");
}

TEST(EtcdAnswers, ACheckWithoutAWriteIsLinearizable) {
  ScriptedEtcd etcd;
  pb::TxnRequest sent;
  etcd.SetTxn([&](const pb::TxnRequest& request, pb::TxnResponse&) {
    sent = request;
    return grpc::Status::OK;
  });
  ASSERT_TRUE(BlockingCommit(*etcd.Open(), {.compares = {{"key", 3}}}).ok());
  // Without any operation etcd would answer from a member's own state.
  ASSERT_EQ(sent.success_size(), 1);
  ASSERT_EQ(sent.failure_size(), 1);
  EXPECT_FALSE(sent.success(0).request_range().serializable());
  EXPECT_FALSE(sent.failure(0).request_range().serializable());
}

// etcd refuses the transaction that crosses its quota, and applies it.
TEST(EtcdAnswers, ARefusalForWantOfSpaceCountsOnlyIfNothingWasWritten) {
  ScriptedEtcd etcd;
  int64_t row_revision = 50;
  etcd.SetRange([&](const pb::RangeRequest&, pb::RangeResponse& response) {
    AddRow("key", row_revision, response);
    return grpc::Status::OK;
  });
  etcd.SetTxn([](const pb::TxnRequest&, pb::TxnResponse&) {
    return grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED,
                        "etcdserver: mvcc: database space exceeded");
  });
  const auto store = etcd.Open();
  ASSERT_TRUE(BlockingGet(*store, "key").ok());
  const Transaction write = {.writes = {{"key", "v"}}};
  EXPECT_TRUE(absl::IsResourceExhausted(BlockingCommit(*store, write).status()));
  row_revision = 101;
  EXPECT_TRUE(absl::IsUnavailable(BlockingCommit(*store, write).status()));
}

// It may have been made, and deleted by another before it was looked for.
TEST(EtcdAnswers, ARowThatIsAbsentDoesNotTellThatNothingWasWritten) {
  ScriptedEtcd etcd;
  etcd.SetRange([&](const pb::RangeRequest& request, pb::RangeResponse& response) {
    if (request.key() == std::string(kPrefix) + "found") AddRow("found", 50, response);
    return grpc::Status::OK;
  });
  etcd.SetTxn([](const pb::TxnRequest&, pb::TxnResponse&) {
    return grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED,
                        "etcdserver: mvcc: database space exceeded");
  });
  const auto store = etcd.Open();
  ASSERT_TRUE(BlockingGet(*store, "key").ok());
  EXPECT_TRUE(absl::IsUnavailable(
      BlockingCommit(*store, {.compares = {{"new", 0}}, .writes = {{"new", "v"}}}).status()));
  EXPECT_TRUE(
      absl::IsResourceExhausted(BlockingCommit(*store, {.compares = {{"new", 0}, {"found", 50}},
                                                        .writes = {{"new", "v"}, {"found", "v"}}})
                                    .status()));
}

TEST(EtcdAnswers, ACommitIsRepeatedOnlyWhenItWasRefusedBeforeItHadAnEffect) {
  ScriptedEtcd etcd;
  const auto store = etcd.Open();
  etcd.SetTxn([&, refused = false](const pb::TxnRequest&, pb::TxnResponse& response) mutable {
    if (!std::exchange(refused, true)) {
      return grpc::Status(grpc::StatusCode::UNAVAILABLE, "etcdserver: no leader");
    }
    response.set_succeeded(true);
    return grpc::Status::OK;
  });
  EXPECT_TRUE(BlockingCommit(*store, {.writes = {{"key", "v"}}}).ok());
  EXPECT_EQ(etcd.txns(), 2);
  etcd.SetTxn([](const pb::TxnRequest&, pb::TxnResponse&) {
    return grpc::Status(grpc::StatusCode::UNAVAILABLE, "etcdserver: request timed out");
  });
  EXPECT_TRUE(absl::IsUnavailable(BlockingCommit(*store, {.writes = {{"key", "v"}}}).status()));
  EXPECT_EQ(etcd.txns(), 3);
}

TEST(EtcdAnswers, MoreCallsThanTheBoundAreRefusedAtOnce) {
  ScriptedEtcd etcd;
  EtcdOptions options = etcd.Options();
  options.max_calls_in_flight = 2;
  const auto store = *OpenEtcdStore(options);
  std::promise<void> go_on;
  std::shared_future<void> may_answer = go_on.get_future().share();
  etcd.SetTxn([may_answer](const pb::TxnRequest&, pb::TxnResponse&) {
    may_answer.wait();
    return grpc::Status::OK;
  });
  std::promise<void> answered[2];
  for (std::promise<void>& one : answered) {
    store->Commit({.writes = {{"key", "v"}}}, [&one](auto) { one.set_value(); });
  }
  const auto refused = BlockingCommit(*store, {.writes = {{"key", "v"}}});
  EXPECT_TRUE(absl::IsUnavailable(refused.status())) << refused.status();
  EXPECT_NE(refused.status().message().find("nothing was sent"), absl::string_view::npos);
  go_on.set_value();
  for (std::promise<void>& one : answered) one.get_future().wait();
  EXPECT_TRUE(BlockingCommit(*store, {.writes = {{"key", "v"}}}).ok());
}

TEST(EtcdOptionsCheck, RefusesWhatCannotWork) {
  const EtcdOptions good = {.endpoints = {"127.0.0.1:1"}, .key_prefix = "/meridian/x/"};
  EXPECT_TRUE(OpenEtcdStore(good).ok());
  std::vector<EtcdOptions> bad(8, good);
  bad[0].endpoints.clear();
  bad[1].endpoints = {"https://127.0.0.1:1"};
  bad[2].endpoints = {"10.1.2.3:2379"};  // without TLS (I9)
  bad[3].key_prefix = "meridian";
  bad[4].call_timeout = absl::ZeroDuration();
  bad[5].tls = EtcdTls{.ca_certificate = ""};
  bad[6].tls = EtcdTls{.ca_certificate = "ca", .certificate = "certificate"};
  bad[7].endpoints = {"127.0.0.1.example:2379"};  // not on this machine
  for (size_t i = 0; i < bad.size(); ++i) {
    EXPECT_TRUE(absl::IsInvalidArgument(OpenEtcdStore(bad[i]).status())) << i;
  }
}

}  // namespace
}  // namespace meridian::coordination
