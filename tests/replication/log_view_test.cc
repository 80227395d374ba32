#include "replication/core/log_view.h"

#include <gtest/gtest.h>

#include <cstdint>

namespace meridian::replication {
namespace {

class LogViewTest : public testing::Test {
 protected:
  // At 10 us times its index; with `chunked`, it is not complete.
  void Append(LogView& log, uint64_t index, bool chunked = false) {
    storage::LogEntry entry;
    entry.epoch = Epoch(1);
    entry.index = LogIndex(index);
    entry.timestamp = Timestamp(10 * index);
    if (chunked) entry.chunks.push_back({RunId(), 0, 1});
    log.Append(std::move(entry), /*complete=*/false);
  }
  void Persist(LogView& log) {
    storage::PersistRequest request;
    log.CollectPersist(request);
    log.Issued(++requests_);
    log.OnPersisted(requests_);
    log.CheckInvariants();
  }

  uint64_t requests_ = 0;
};

TEST_F(LogViewTest, TheDurableEndsTimeIsNotThatOfWhatWaits) {
  LogView log(storage::RecoveredReplica(), {});
  EXPECT_EQ(log.durable_timestamp(), Timestamp(0));
  Append(log, 1);
  EXPECT_EQ(log.durable_timestamp(), Timestamp(0));
  Persist(log);
  EXPECT_EQ(log.durable_timestamp(), Timestamp(10));
  Append(log, 2);
  Append(log, 3, /*chunked=*/true);
  Append(log, 4);
  Persist(log);
  EXPECT_EQ(log.durable_index(), LogIndex(2));
  EXPECT_EQ(log.durable_timestamp(), Timestamp(20));
  EXPECT_EQ(log.last_timestamp(), Timestamp(40));
  log.MarkComplete({Epoch(1), LogIndex(3)});
  Persist(log);
  EXPECT_EQ(log.durable_timestamp(), Timestamp(40));
}

TEST_F(LogViewTest, TheDurableEndsTimeGoesBackWithATruncation) {
  LogView log(storage::RecoveredReplica(), {});
  for (uint64_t i = 1; i <= 3; ++i) Append(log, i);
  Persist(log);
  EXPECT_EQ(log.durable_timestamp(), Timestamp(30));
  log.TruncateFrom(LogIndex(3));
  EXPECT_EQ(log.durable_timestamp(), Timestamp(20));
  EXPECT_EQ(log.last_timestamp(), Timestamp(30));
}

TEST_F(LogViewTest, TheDurableEndsTimeIsKnownAfterAStartAndNotAfterATruncationOfWhatIsOnDiskOnly) {
  storage::RecoveredReplica recovered;
  recovered.epochs = {Epoch(1), Epoch(1), Epoch(1)};
  recovered.last_timestamp = Timestamp(30);
  LogView log(recovered, {});
  EXPECT_EQ(log.durable_timestamp(), Timestamp(30));
  log.TruncateFrom(LogIndex(3));
  EXPECT_EQ(log.durable_timestamp(), Timestamp(0));
}

}  // namespace
}  // namespace meridian::replication
