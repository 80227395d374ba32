#include "storage/store/read_pool.h"

#include <gtest/gtest.h>

#include <string>

#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/notification.h"

namespace meridian::storage {
namespace {

using Kind = ReadPool::Kind;

TEST(ReadPool, ReadsOfTheLogNeitherFindTheQueueFullOfChunksNorWaitForThemAll) {
  ReadPool pool(/*threads=*/1, /*max_waiting_logs=*/2, /*max_waiting_chunks=*/4);
  absl::Notification begun, go_on;
  ASSERT_TRUE(pool.Add(Kind::kChunk, [&] {
    begun.Notify();
    go_on.WaitForNotification();
  }));
  begun.WaitForNotification();
  std::string order;  // of the pool's one thread
  absl::BlockingCounter done(6);
  auto read = [&](char name) {
    return [&, name] {
      order += name;
      done.DecrementCount();
    };
  };
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(pool.Add(Kind::kChunk, read('c')));
  EXPECT_FALSE(pool.Add(Kind::kChunk, read('c')));
  EXPECT_TRUE(pool.Add(Kind::kLog, read('l')));
  EXPECT_TRUE(pool.Add(Kind::kLog, read('l')));
  EXPECT_FALSE(pool.Add(Kind::kLog, read('l')));
  go_on.Notify();
  done.Wait();
  EXPECT_EQ(order, "lclccc");
}

}  // namespace
}  // namespace meridian::storage
