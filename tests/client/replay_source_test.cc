#include "client/internal/replay_source.h"

#include <gtest/gtest.h>

#include "client/internal/object_writer.h"

namespace meridian::client_internal {
namespace {

std::string ReadSome(ByteSource& source, size_t size) {
  std::string out(size, '\0');
  auto count = ReadFull(source, std::span<char>(out.data(), out.size()));
  EXPECT_TRUE(count.ok()) << count.status();
  out.resize(count.value_or(0));
  return out;
}

TEST(ReplaySource, ReadsAgainWhatWasNotReleased) {
  auto rest = MakeStringSource("cdefghij");
  ReplaySource source("ab", *rest, 6);
  EXPECT_EQ(ReadSome(source, 5), "abcde");
  ASSERT_TRUE(source.Seek(1).ok());
  EXPECT_EQ(ReadSome(source, 3), "bcd");
  source.Release(2);
  EXPECT_EQ(source.Seek(1).code(), absl::StatusCode::kOutOfRange);
  ASSERT_TRUE(source.Seek(2).ok());
  EXPECT_EQ(ReadSome(source, 6), "cdefgh");
}

TEST(ReplaySource, KeepsNoMoreThanItsCapacity) {
  auto rest = MakeStringSource("cdefghij");
  ReplaySource source("ab", *rest, 4);
  EXPECT_EQ(ReadSome(source, 4), "abcd");
  char byte;
  EXPECT_EQ(source.Read({&byte, 1}).status().code(), absl::StatusCode::kFailedPrecondition);
  source.Release(4);
  EXPECT_EQ(ReadSome(source, 4), "efgh");
}

TEST(ReplaySource, ReportsTheEnd) {
  auto rest = MakeStringSource("c");
  ReplaySource source("ab", *rest, 8);
  EXPECT_EQ(ReadSome(source, 8), "abc");
  EXPECT_EQ(ReadSome(source, 8), "");
}

}  // namespace
}  // namespace meridian::client_internal
