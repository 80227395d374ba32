// The store on a real etcd of three members, with TLS.
#include <future>
#include <memory>
#include <string>
#include <utility>

#include "coordination/etcd/etcd_store.h"
#include "tests/coordination/etcd_cluster.h"
#include "tests/coordination/presence_conformance.h"
#include "tests/coordination/transaction_conformance.h"
#include "tests/coordination/watch_conformance.h"

namespace meridian::coordination {
namespace {

// One for all tests, each of which has a key prefix of its own.
class Etcd final : public testing::Environment {
 public:
  void SetUp() override {
    auto started = EtcdCluster::Start();
    ASSERT_TRUE(started.ok()) << started.status();
    cluster = *std::move(started);
  }
  void TearDown() override { cluster.reset(); }

  std::unique_ptr<EtcdCluster> cluster;
};

Etcd* const etcd = static_cast<Etcd*>(testing::AddGlobalTestEnvironment(new Etcd()));

class EtcdSubject final : public Subject {
 public:
  EtcdSubject() {
    const std::string test = testing::UnitTest::GetInstance()->current_test_info()->name();
    store_ = OpenEtcdStore(etcd->cluster->ClientOptions("/meridian/" + test + "/")).value();
    AwaitWatches();
  }
  CoordinationStore& store() override { return *store_; }

 private:
  // Each watch is hinted when the stream that they share begins, as after any loss of it: not what
  // the tests of hints count.
  void AwaitWatches() {
    std::promise<void> hinted;
    bool first = true;
    const auto watch = store_->Watch("", [&] {
      if (std::exchange(first, false)) hinted.set_value();
    });
    hinted.get_future().wait();
  }

  std::unique_ptr<EtcdStore> store_;
};

INSTANTIATE_TYPED_TEST_SUITE_P(Etcd, TransactionConformance, EtcdSubject);
INSTANTIATE_TYPED_TEST_SUITE_P(Etcd, WatchConformance, EtcdSubject);
INSTANTIATE_TYPED_TEST_SUITE_P(Etcd, PresenceConformance, EtcdSubject);

}  // namespace
}  // namespace meridian::coordination
