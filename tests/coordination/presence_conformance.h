// What the announcements of every CoordinationStore do.
#pragma once

#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "tests/coordination/store_subject.h"

namespace meridian::coordination {

template <typename SubjectType>
class PresenceConformance : public StoreConformance<SubjectType> {};

TYPED_TEST_SUITE_P(PresenceConformance);

TYPED_TEST_P(PresenceConformance, AnAnnouncedKeyIsThereWhileItsHandleLives) {
  auto presence = this->store().Announce("node/a", "endpoint", absl::Seconds(10));
  const KeyValue row = AwaitRow(this->store(), "node/a");
  EXPECT_EQ(row.value, "endpoint");
  EXPECT_GT(row.mod_revision, 0);
  this->Put("node/b", "stored");
  EXPECT_EQ(this->ListKeys("node/"), (std::vector<std::string>{"node/a", "node/b"}));
  presence.reset();
  AwaitAbsence(this->store(), "node/a");
  EXPECT_EQ(this->ListKeys("node/"), (std::vector<std::string>{"node/b"}));
}

TYPED_TEST_P(PresenceConformance, AnAnnouncementReplacesAStoredValueForGood) {
  const int64_t stored = this->Put("node/a", "stored");
  auto presence = this->store().Announce("node/a", "announced", absl::Seconds(10));
  EXPECT_GT(AwaitRow(this->store(), "node/a", "announced").mod_revision, stored);
  EXPECT_FALSE(this->Commit({.compares = {{"node/a", stored}}, .writes = {{"x", "1"}}})->succeeded);
  presence.reset();
  AwaitAbsence(this->store(), "node/a");
}

TYPED_TEST_P(PresenceConformance, OfTwoAnnouncementsTheLaterCounts) {
  auto earlier = this->store().Announce("node/a", "1", absl::Seconds(10));
  AwaitRow(this->store(), "node/a", "1");
  auto later = this->store().Announce("node/a", "2", absl::Seconds(10));
  AwaitRow(this->store(), "node/a", "2");
  earlier.reset();
  auto marker = this->store().Announce("node/b", "1", absl::Seconds(10));
  AwaitRow(this->store(), "node/b");
  marker.reset();
  AwaitAbsence(this->store(), "node/b");  // and so all that was ended before
  EXPECT_EQ((*this->Get("node/a"))->value, "2");
}

TYPED_TEST_P(PresenceConformance, AnnouncingAndTakingBackAreHinted) {
  absl::Mutex mutex;
  int hints = 0;
  const auto watch = this->store().Watch("node/", [&] {
    absl::MutexLock lock(&mutex);
    ++hints;
  });
  const auto await_hint = [&](int above) {
    absl::MutexLock lock(&mutex);
    const auto hinted = [&] { return hints > above; };
    mutex.Await(absl::Condition(&hinted));
    return hints;
  };
  auto presence = this->store().Announce("node/a", "1", absl::Seconds(10));
  const int after_announcing = await_hint(0);
  presence.reset();
  await_hint(after_announcing);
}

TYPED_TEST_P(PresenceConformance, AnAnnouncementMayEndAtOnce) {
  for (int i = 0; i < 5; ++i) this->store().Announce("node/a", "1", absl::Seconds(10));
  auto marker = this->store().Announce("node/b", "1", absl::Seconds(10));
  AwaitRow(this->store(), "node/b");
  marker.reset();
  AwaitAbsence(this->store(), "node/b");
  AwaitAbsence(this->store(), "node/a");
}

REGISTER_TYPED_TEST_SUITE_P(PresenceConformance, AnAnnouncedKeyIsThereWhileItsHandleLives,
                            AnAnnouncementReplacesAStoredValueForGood,
                            OfTwoAnnouncementsTheLaterCounts, AnnouncingAndTakingBackAreHinted,
                            AnAnnouncementMayEndAtOnce);

}  // namespace meridian::coordination
