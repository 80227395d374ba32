#include "client/byte_stream.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <fstream>

#include "tests/temp_folder.h"

namespace meridian {
namespace {

std::string ReadOnce(ByteSource& source, size_t size) {
  std::string out(size, '\0');
  auto count = source.Read(std::span<char>(out.data(), out.size()));
  EXPECT_TRUE(count.ok()) << count.status();
  out.resize(count.value_or(0));
  return out;
}

TEST(FileSource, KnowsItsSizeAndSeeks) {
  TempFolder folder;
  const std::string path = folder.path() + "/f";
  std::ofstream(path) << "0123456789";
  auto source = OpenFileSource(path);
  ASSERT_TRUE(source.ok()) << source.status();
  EXPECT_EQ((*source)->size(), 10u);
  ASSERT_TRUE((*source)->seekable());
  EXPECT_EQ(ReadOnce(**source, 4), "0123");
  ASSERT_TRUE((*source)->Seek(2).ok());
  EXPECT_EQ(ReadOnce(**source, 99), "23456789");
  EXPECT_EQ(ReadOnce(**source, 99), "");
}

TEST(FileSource, AMissingFileIsNotFound) {
  EXPECT_EQ(OpenFileSource("/nonexistent/f").status().code(), absl::StatusCode::kNotFound);
}

TEST(DescriptorSource, CountsFromWhereTheDescriptorStands) {
  TempFolder folder;
  const std::string path = folder.path() + "/f";
  std::ofstream(path) << "0123456789";
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  ASSERT_EQ(lseek(fd, 6, SEEK_SET), 6);
  auto source = MakeDescriptorSource(fd);
  EXPECT_EQ(source->size(), 4u);
  EXPECT_EQ(ReadOnce(*source, 99), "6789");
  ASSERT_TRUE(source->Seek(1).ok());
  EXPECT_EQ(ReadOnce(*source, 99), "789");
  close(fd);
}

TEST(DescriptorSource, APipeIsReadOnce) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  ASSERT_EQ(write(ends[1], "abc", 3), 3);
  close(ends[1]);
  auto source = MakeDescriptorSource(ends[0]);
  EXPECT_EQ(source->size(), std::nullopt);
  EXPECT_FALSE(source->seekable());
  EXPECT_EQ(ReadOnce(*source, 99), "abc");
  EXPECT_EQ(ReadOnce(*source, 99), "");
  EXPECT_FALSE(source->Seek(0).ok());
  close(ends[0]);
}

TEST(StringSink, ForgetsOnlyWhatItHasWritten) {
  std::string out = "before ";
  auto sink = MakeStringSink(&out);
  ASSERT_TRUE(sink->Write("one").ok());
  ASSERT_TRUE(sink->Restart().ok());
  ASSERT_TRUE(sink->Write("another").ok());
  EXPECT_EQ(out, "before another");
}

TEST(DescriptorSink, TakesBackWhatItHasWrittenAtTheEndOfAFile) {
  TempFolder folder;
  const std::string path = folder.path() + "/f";
  std::ofstream(path) << "before ";
  const int fd = open(path.c_str(), O_RDWR | O_CLOEXEC);
  EXPECT_FALSE(MakeDescriptorSink(fd)->Restart().ok()) << "it would cut off what follows";
  ASSERT_EQ(lseek(fd, 0, SEEK_END), 7);
  auto sink = MakeDescriptorSink(fd);
  ASSERT_TRUE(sink->Write("much longer").ok());
  ASSERT_TRUE(sink->Restart().ok());
  ASSERT_TRUE(sink->Write("short").ok());
  ASSERT_EQ(lseek(fd, 0, SEEK_SET), 0);
  EXPECT_EQ(ReadOnce(*MakeDescriptorSource(fd), 99), "before short");
  close(fd);
  const int appending = open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  ASSERT_EQ(lseek(appending, 0, SEEK_END), 12);
  EXPECT_FALSE(MakeDescriptorSink(appending)->Restart().ok()) << "others append too";
  close(appending);
}

TEST(DescriptorSink, APipeTakesNothingBack) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  EXPECT_FALSE(MakeDescriptorSink(ends[1])->Restart().ok());
  close(ends[0]);
  close(ends[1]);
}

TEST(DescriptorSink, ReportsAReaderThatIsGone) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  auto sink = MakeDescriptorSink(ends[1]);
  EXPECT_TRUE(sink->Write("abc").ok());
  std::signal(SIGPIPE, SIG_IGN);
  close(ends[0]);
  EXPECT_FALSE(sink->Write("abc").ok());
  close(ends[1]);
}

}  // namespace
}  // namespace meridian
