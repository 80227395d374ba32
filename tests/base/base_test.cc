#include <future>
#include <vector>

#include "absl/strings/cord.h"
#include "base/buffer.h"
#include "base/crc32c.h"
#include "base/executor.h"
#include "base/id.h"
#include "base/random.h"
#include "base/status.h"
#include "gtest/gtest.h"

namespace meridian {
namespace {

TEST(Crc32c, MatchesTheCheckValueOfTheRfc) {
  EXPECT_EQ(Crc32c("123456789"), 0xe3069283u);
  EXPECT_EQ(Crc32c(std::string(32, '\0')), 0x8a9136aau);
}

TEST(Crc32c, ContinuesFromAPreviousPart) {
  EXPECT_EQ(Crc32c("6789", Crc32c("12345")), Crc32c("123456789"));
  EXPECT_EQ(Crc32c(""), 0u);
}

TEST(Id128, RoundTripsThroughHexAndBytes) {
  SeededRandom random(1);
  const TenantId id = TenantId::Draw(random);
  EXPECT_FALSE(id.is_nil());
  EXPECT_EQ(TenantId::FromHex(id.ToHex()), id);
  EXPECT_EQ(TenantId::FromBytes(id.bytes()), id);
  EXPECT_NE(TenantId::Draw(random), id);
}

TEST(Id128, RejectsWhatIsNotAnId) {
  EXPECT_EQ(TenantId::FromHex("00"), std::nullopt);
  EXPECT_EQ(TenantId::FromHex(std::string(32, 'G')), std::nullopt);
  EXPECT_EQ(TenantId::FromHex(std::string(32, 'A')), std::nullopt);
  EXPECT_EQ(TenantId::FromBytes("short"), std::nullopt);
}

TEST(SeededRandom, RepeatsItselfFromTheSameSeed) {
  SeededRandom a(7), b(7), c(8);
  std::vector<uint64_t> xs, ys, zs;
  for (int i = 0; i < 10; ++i) {
    xs.push_back(a.Next());
    ys.push_back(b.Next());
    zs.push_back(c.Next());
  }
  EXPECT_EQ(xs, ys);
  EXPECT_NE(xs, zs);
}

TEST(ThreadExecutor, RunsTasksInOrderAndTimersByDeadline) {
  auto executor = MakeThreadExecutor("test");
  std::vector<int> order;
  std::promise<void> done;
  executor->Post([&] { order.push_back(1); });
  executor->PostAfter(absl::Milliseconds(40), [&] {
    order.push_back(4);
    done.set_value();
  });
  executor->PostAfter(absl::Milliseconds(20), [&] { order.push_back(3); });
  executor->Post([&] { order.push_back(2); });
  done.get_future().wait();
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3, 4}));
}

TEST(ThreadExecutor, CancelledTimersDoNotRun) {
  auto executor = MakeThreadExecutor("test");
  bool ran = false;
  std::promise<void> done;
  executor->Post([&] {
    const Executor::TimerId timer =
        executor->PostAfter(absl::Milliseconds(5), [&] { ran = true; });
    executor->PostAfter(absl::Milliseconds(10), [&] { done.set_value(); });
    executor->Cancel(timer);
  });
  done.get_future().wait();
  EXPECT_FALSE(ran);
}

TEST(Annotate, KeepsCodeAndPayloads) {
  absl::Status status = absl::NotFoundError("no such thing");
  status.SetPayload("type", absl::Cord("detail"));
  const absl::Status annotated = Annotate(status, "reading x");
  EXPECT_EQ(annotated.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(FromAbsl(annotated.message()), "reading x: no such thing");
  EXPECT_EQ(annotated.GetPayload("type"), absl::Cord("detail"));
  EXPECT_TRUE(Annotate(absl::OkStatus(), "x").ok());
}

TEST(Buffer, SlicesShareTheBytes) {
  const Buffer whole = Buffer::FromString("0123456789");
  EXPECT_EQ(whole.Slice(2, 3).view(), "234");
  EXPECT_EQ(whole.Slice(2, 3).view().data(), whole.view().data() + 2);
}

}  // namespace
}  // namespace meridian
