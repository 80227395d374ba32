// The stores of one process.
#include <filesystem>
#include <memory>

#include "base/executor.h"
#include "coordination/embedded/embedded_store.h"
#include "coordination/in_memory.h"
#include "tests/coordination/presence_conformance.h"
#include "tests/coordination/transaction_conformance.h"
#include "tests/coordination/watch_conformance.h"
#include "tests/storage/rocks/keystream_ciphers.h"

namespace meridian::coordination {
namespace {

class InMemorySubject final : public Subject {
 public:
  CoordinationStore& store() override { return store_; }

 private:
  const std::unique_ptr<Executor> executor_ = MakeThreadExecutor("coordination");
  InMemoryCoordinationStore store_{*executor_};
};

class EmbeddedSubject final : public Subject {
 public:
  EmbeddedSubject()
      : folder_(std::filesystem::path(testing::TempDir()) /
                testing::UnitTest::GetInstance()->current_test_info()->test_suite_name() /
                testing::UnitTest::GetInstance()->current_test_info()->name()) {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
    store_ = OpenEmbeddedStore(folder_ / "store", ciphers_).value();
  }
  ~EmbeddedSubject() override {
    store_.reset();
    std::filesystem::remove_all(folder_);
  }
  CoordinationStore& store() override { return *store_; }

 private:
  const std::filesystem::path folder_;
  storage::KeystreamCiphers ciphers_;
  std::unique_ptr<CoordinationStore> store_;
};

INSTANTIATE_TYPED_TEST_SUITE_P(InMemory, TransactionConformance, InMemorySubject);
INSTANTIATE_TYPED_TEST_SUITE_P(InMemory, WatchConformance, InMemorySubject);
INSTANTIATE_TYPED_TEST_SUITE_P(InMemory, PresenceConformance, InMemorySubject);
INSTANTIATE_TYPED_TEST_SUITE_P(Embedded, TransactionConformance, EmbeddedSubject);
INSTANTIATE_TYPED_TEST_SUITE_P(Embedded, WatchConformance, EmbeddedSubject);
INSTANTIATE_TYPED_TEST_SUITE_P(Embedded, PresenceConformance, EmbeddedSubject);

}  // namespace
}  // namespace meridian::coordination
