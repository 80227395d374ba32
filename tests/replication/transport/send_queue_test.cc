#include "replication/transport/send_queue.h"

#include <gtest/gtest.h>

namespace meridian::replication {
namespace {

PeerMessage Small(std::string body) { return {{}, {}, {}, std::move(body), {}}; }
PeerMessage Bulk() { return {{}, {}, {}, "bulk", {Buffer::FromString("x")}}; }

TEST(SendQueue, GivesBackInOrderWhatFitsABatch) {
  SendQueue queue(1000, 1000);
  for (const char* body : {"a", "b", "c"}) ASSERT_TRUE(queue.Push(Small(body), 40));
  std::vector<PeerMessage> batch = queue.TakeBatch(100);
  ASSERT_EQ(batch.size(), 2u);
  EXPECT_EQ(batch[0].body, "a");
  EXPECT_EQ(batch[1].body, "b");
  batch = queue.TakeBatch(100);
  ASSERT_EQ(batch.size(), 1u);
  EXPECT_EQ(batch[0].body, "c");
  EXPECT_TRUE(queue.TakeBatch(100).empty());
}

TEST(SendQueue, GivesAMessageLargerThanABatchAlone) {
  SendQueue queue(1000, 1000);
  ASSERT_TRUE(queue.Push(Small("a"), 500));
  ASSERT_TRUE(queue.Push(Small("b"), 10));
  EXPECT_EQ(queue.TakeBatch(100).size(), 1u);
}

TEST(SendQueue, RefusesBulkFirst) {
  SendQueue queue(1000, 1000);
  ASSERT_TRUE(queue.Push(Bulk(), 450));
  EXPECT_FALSE(queue.Push(Bulk(), 60));
  EXPECT_TRUE(queue.Push(Small("a"), 60));
  EXPECT_TRUE(queue.Push(Small("b"), 490));
  EXPECT_FALSE(queue.Push(Small("c"), 1));
  EXPECT_EQ(queue.count(), 3u);
}

TEST(SendQueue, HasRoomAgainOnceTaken) {
  SendQueue queue(100, 100);
  ASSERT_TRUE(queue.Push(Small("a"), 100));
  EXPECT_FALSE(queue.Push(Small("b"), 1));
  EXPECT_EQ(queue.TakeBatch(10).size(), 1u);
  EXPECT_TRUE(queue.Push(Small("b"), 100));
  queue.Clear();
  EXPECT_TRUE(queue.Push(Small("c"), 100));
}

TEST(SendQueue, RefusesAMessageTooLargeForAnyEnvelope) {
  SendQueue queue(1000, 100);
  EXPECT_FALSE(queue.Push(Small("a"), 101));
}

}  // namespace
}  // namespace meridian::replication
