// The KMS of a cluster of many processes: one store, one root, several users.
#include "tenancy/shared_kms.h"

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "tests/crypto/kms_conformance.h"
#include "tests/crypto/memory_kms.h"
#include "tests/crypto/testing.h"
#include "tests/tenancy/testing.h"
#include "tests/until.h"

namespace meridian::crypto {
namespace {

// A shared KMS with what it lives on.
struct Subject {
  explicit Subject(Random& random) : root(random) {
    EXPECT_TRUE(root.CreateKey(tenancy::kSharedKmsRoot).ok());
    kms = tenancy::MakeSharedKms(root, store, random);
  }
  MemoryKms root;
  tenancy::TestStore store;
  std::unique_ptr<Kms> kms;
};

INSTANTIATE_TEST_SUITE_P(Shared, KmsConformance,
                         ::testing::Values(Provider{
                             "SharedKms",
                             [](const std::string&, Random& random) -> std::shared_ptr<Kms> {
                               const auto subject = std::make_shared<Subject>(random);
                               return std::shared_ptr<Kms>(subject, subject->kms.get());
                             }}),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace meridian::crypto

namespace meridian::tenancy {
namespace {

// Answers one Get late, with what was there when it was asked.
class LateStore final : public TestStore {
 public:
  using GetDone = std::function<void(absl::StatusOr<std::optional<coordination::KeyValue>>)>;

  void HoldNextGet() { hold_next_ = true; }
  bool holds() const {
    absl::MutexLock lock(&mutex_);
    return held_ != nullptr;
  }
  void Deliver() {
    absl::MutexLock lock(&mutex_);
    std::exchange(held_, nullptr)();
  }

  void Get(std::string key, GetDone done) override {
    if (hold_next_.exchange(false)) {
      done = [this, done = std::move(done)](auto row) {
        absl::MutexLock lock(&mutex_);
        held_ = [done, row] { done(row); };
      };
    }
    TestStore::Get(std::move(key), std::move(done));
  }

 private:
  std::atomic<bool> hold_next_{false};
  mutable absl::Mutex mutex_;
  std::function<void()> held_ ABSL_GUARDED_BY(mutex_);
};

class SharedKmsTest : public ::testing::Test {
 protected:
  SharedKmsTest() { EXPECT_TRUE(root_.CreateKey(kSharedKmsRoot).ok()); }

  std::unique_ptr<crypto::Kms> Open() { return MakeSharedKms(root_, store_, random_); }

  // Whether `kms` refuses `wrapped` within some seconds: the store tells of changes late.
  bool IsRefusedSoon(crypto::Kms& kms, const std::string& wrapped) {
    for (const absl::Time end = absl::Now() + absl::Seconds(10); absl::Now() < end;) {
      if (absl::IsNotFound(kms.Unwrap("a", "c", wrapped).status())) return true;
      store_.Settle();
    }
    return false;
  }

  SystemRandom random_;
  crypto::MemoryKms root_{random_};
  LateStore store_;
};

TEST_F(SharedKmsTest, EveryProcessSeesTheKeysOfAllOthers) {
  const auto one = Open();
  const auto other = Open();
  ASSERT_TRUE(one->CreateKey("a").ok());
  EXPECT_TRUE(absl::IsAlreadyExists(other->CreateKey("a")));
  const std::string wrapped = *other->Wrap("a", "c", CountingKey());
  EXPECT_EQ(one->Unwrap("a", "c", wrapped)->bytes(), Counting(32));
  EXPECT_EQ(Open()->Unwrap("a", "c", wrapped)->bytes(), Counting(32)) << "after a restart";
}

// I11.
TEST_F(SharedKmsTest, WhatOneProcessDestroysAllOthersForget) {
  const auto one = Open();
  const auto other = Open();
  ASSERT_TRUE(one->CreateKey("a").ok());
  const std::string wrapped = *other->Wrap("a", "c", CountingKey());
  ASSERT_TRUE(one->DestroyKey("a").ok());
  EXPECT_TRUE(absl::IsNotFound(one->Unwrap("a", "c", wrapped).status()));
  EXPECT_TRUE(IsRefusedSoon(*other, wrapped));
  EXPECT_TRUE(absl::IsFailedPrecondition(other->CreateKey("a")));
  EXPECT_TRUE(absl::IsFailedPrecondition(Open()->CreateKey("a")));
}

// I11: and while the store is away, nobody has it either.
TEST_F(SharedKmsTest, WhatOneProcessDestroysOthersForgetWithoutBeingAskedForIt) {
  const auto one = Open();
  const auto other = Open();
  ASSERT_TRUE(one->CreateKey("a").ok());
  ASSERT_TRUE(one->CreateKey("b").ok());
  const std::string wrapped = *other->Wrap("a", "c", CountingKey());
  const std::string kept = *other->Wrap("b", "c", CountingKey());
  ASSERT_TRUE(one->DestroyKey("a").ok());
  const auto uses_offline = [&](const std::string& name, const std::string& value) {
    store_.reachable = false;
    const bool used = other->Unwrap(name, "c", value).ok();
    store_.reachable = true;
    return used;
  };
  EXPECT_TRUE(Until([&] { return !uses_offline("a", wrapped); }, absl::Seconds(20)));
  EXPECT_TRUE(uses_offline("b", kept));
}

// I11: a use of the key that began before.
TEST_F(SharedKmsTest, WhatWasReadBeforeADestructionIsNotKeptAfterIt) {
  const auto kms = Open();
  ASSERT_TRUE(kms->CreateKey("a").ok());
  const std::string wrapped = *Open()->Wrap("a", "c", CountingKey());
  store_.HoldNextGet();
  std::thread use([&] { (void)kms->Unwrap("a", "c", wrapped); });
  EXPECT_TRUE(Until([&] { return store_.holds(); }));
  EXPECT_TRUE(kms->DestroyKey("a").ok());
  store_.Deliver();
  use.join();
  store_.reachable = false;
  EXPECT_TRUE(absl::IsUnavailable(kms->Unwrap("a", "c", wrapped).status()));
}

// I12.
TEST_F(SharedKmsTest, KeysThatWereUsedGoOnWhileTheStoreIsAway) {
  const auto kms = Open();
  ASSERT_TRUE(kms->CreateKey("a").ok());
  ASSERT_TRUE(kms->CreateKey("b").ok());
  const std::string wrapped = *kms->Wrap("a", "c", CountingKey());
  store_.reachable = false;
  EXPECT_TRUE(kms->Unwrap("a", "c", wrapped).ok());
  EXPECT_TRUE(absl::IsUnavailable(kms->Wrap("b", "c", CountingKey()).status())) << "never used";
  EXPECT_TRUE(absl::IsUnavailable(kms->CreateKey("d")));
  EXPECT_TRUE(absl::IsUnavailable(kms->DestroyKey("a")));
  store_.reachable = true;
  EXPECT_TRUE(kms->Wrap("b", "c", CountingKey()).ok());
}

TEST_F(SharedKmsTest, AKnownKeyIsUsedWithoutAskingTheStore) {
  const auto kms = Open();
  ASSERT_TRUE(kms->CreateKey("a").ok());
  store_.Settle();
  const std::string wrapped = *kms->Wrap("a", "c", CountingKey());
  const int before = store_.operations();
  EXPECT_TRUE(kms->Unwrap("a", "c", wrapped).ok());
  EXPECT_EQ(store_.operations(), before);
}

TEST_F(SharedKmsTest, TheStoreHoldsNoKeyAndNoOtherRootOpensIt) {
  const auto kms = Open();
  ASSERT_TRUE(kms->CreateKey("a").ok());
  const std::string wrapped = *kms->Wrap("a", "c", CountingKey());
  crypto::MemoryKms other_root(random_);
  ASSERT_TRUE(other_root.CreateKey(kSharedKmsRoot).ok());
  const auto foreign = MakeSharedKms(other_root, store_, random_);
  EXPECT_TRUE(absl::IsDataLoss(foreign->Unwrap("a", "c", wrapped).status()));
}

TEST_F(SharedKmsTest, AKeyringWithoutARootIsExplained) {
  crypto::MemoryKms empty(random_);
  const absl::Status status = MakeSharedKms(empty, store_, random_)->CreateKey("a");
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
}

TEST_F(SharedKmsTest, AKeyIsBoundToItsName) {
  const auto kms = Open();
  ASSERT_TRUE(kms->CreateKey("a").ok());
  ASSERT_TRUE(kms->CreateKey("b").ok());
  std::string a;
  for (const coordination::KeyValue& row : store_.Rows()) {
    if (row.key == "kms/a") a = row.value;
  }
  ASSERT_FALSE(a.empty());
  store_.Overwrite("kms/b", a);
  EXPECT_TRUE(absl::IsDataLoss(kms->Wrap("b", "c", CountingKey()).status()));
}

TEST_F(SharedKmsTest, DamagedAndNewerRecordsAreToldApart) {
  const auto kms = Open();
  store_.Overwrite("kms/a", "\xff");
  EXPECT_TRUE(absl::IsDataLoss(kms->Wrap("a", "c", CountingKey()).status()));
  store_.Overwrite("kms/b", std::string("\x08\x02", 2));
  EXPECT_TRUE(absl::IsFailedPrecondition(kms->Wrap("b", "c", CountingKey()).status()));
}

// The record of version 1, as every later version must read it.
TEST_F(SharedKmsTest, TheGoldenRecordsAreReadAndWritten) {
  const auto kms = Open();
  ASSERT_TRUE(kms->CreateKey("a").ok());
  ASSERT_TRUE(kms->DestroyKey("a").ok());
  for (const coordination::KeyValue& row : store_.Rows()) {
    if (row.key == "kms/a") {
      EXPECT_EQ(Hex(row.value), "0801");
    }
  }
  // {1, a key under the root of CountingKey's bytes}: see the format in crypto/sealing_key.cc.
  const auto wrapped = root_.Wrap(kSharedKmsRoot, "shared kms key 1 g", CountingKey());
  store_.Overwrite("kms/g", std::string("\x08\x01\x12\x49", 4) + *wrapped);
  const std::string value = *kms->Wrap("g", "c", CountingKey(7));
  EXPECT_EQ(crypto::SealingKey(CountingKey()).UnwrapKey("shared kms 1 g c", value)->bytes(),
            Counting(32, 7));
}

}  // namespace
}  // namespace meridian::tenancy
