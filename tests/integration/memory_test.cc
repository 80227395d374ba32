// The memory of a whole development cluster does not grow with the size of an object, nor with the
// time a reader pauses: the peak of the process is below 600 MiB while an object streams through.
// The object has 512 MiB, which would not fit if it were kept as a whole anywhere. With
//
//   bazel test -c opt //tests/integration:memory_test --test_env=MERIDIAN_MEMORY_TEST_MIB=5120
//       --test_env=MERIDIAN_MEMORY_TEST_PAUSE_S=30 --test_timeout=3600 --test_output=all
//
// it has 5 GiB and the reader pauses for 30 s; that needs 16 GiB of disk under TMPDIR.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/random.h"
#include "client/client.h"
#include "tests/integration/server_process.h"
#include "tests/temp_folder.h"

namespace meridian {
namespace {

constexpr uint64_t kMiB = 1 << 20;
constexpr uint64_t kBoundBytes = 600 * kMiB;
constexpr char kContainer[] = "tenants/acme/containers/z";

uint64_t NumberFrom(const char* variable, uint64_t otherwise) {
  const char* value = std::getenv(variable);
  uint64_t number = 0;
  return value != nullptr && absl::SimpleAtoi(value, &number) ? number : otherwise;
}

// A body too large to be kept: MiB after MiB of the same random bytes, each with its number first.
class Pattern {
 public:
  Pattern() : bytes_(kMiB, '\0') {
    SystemRandom random;
    random.Fill({reinterpret_cast<uint8_t*>(bytes_.data()), bytes_.size()});
  }
  // What is at `offset`, up to `size` bytes or the end of its MiB.
  std::string_view At(uint64_t offset, size_t size) {
    const uint64_t number = offset / kMiB;
    std::memcpy(bytes_.data(), &number, sizeof(number));
    return std::string_view(bytes_).substr(offset % kMiB, size);
  }

 private:
  std::string bytes_;
};

class PatternSource : public ByteSource {
 public:
  PatternSource(Pattern pattern, uint64_t size) : pattern_(std::move(pattern)), size_(size) {}

  absl::StatusOr<size_t> Read(std::span<char> out) override {
    const std::string_view bytes =
        pattern_.At(offset_, std::min<uint64_t>(out.size(), size_ - offset_));
    std::copy(bytes.begin(), bytes.end(), out.begin());
    offset_ += bytes.size();
    return bytes.size();
  }
  std::optional<uint64_t> size() const override { return size_; }
  bool seekable() const override { return true; }
  absl::Status Seek(uint64_t offset) override {
    offset_ = offset;
    return absl::OkStatus();
  }

 private:
  Pattern pattern_;
  const uint64_t size_;
  uint64_t offset_ = 0;
};

// Compares, and pauses once, at `pause_at`.
class PatternSink : public ByteSink {
 public:
  PatternSink(Pattern pattern, uint64_t pause_at, absl::Duration pause)
      : pattern_(std::move(pattern)), pause_at_(pause_at), pause_(pause) {}

  absl::Status Write(std::string_view bytes) override {
    if (offset_ < pause_at_ && offset_ + bytes.size() >= pause_at_) absl::SleepFor(pause_);
    while (!bytes.empty()) {
      const std::string_view expected = pattern_.At(offset_, bytes.size());
      if (bytes.substr(0, expected.size()) != expected) {
        return absl::DataLossError(absl::StrCat("other bytes at ", offset_));
      }
      offset_ += expected.size();
      bytes.remove_prefix(expected.size());
    }
    return absl::OkStatus();
  }
  uint64_t written() const { return offset_; }

 private:
  Pattern pattern_;
  const uint64_t pause_at_;
  const absl::Duration pause_;
  uint64_t offset_ = 0;
};

TEST(Memory, StaysBelow600MiBWhileAnObjectStreamsThroughAndItsReaderPauses) {
  const uint64_t size = NumberFrom("MERIDIAN_MEMORY_TEST_MIB", 512) * kMiB;
  const absl::Duration pause = absl::Seconds(NumberFrom("MERIDIAN_MEMORY_TEST_PAUSE_S", 5));
  TempFolder folder;
  ServerProcess::Options options;
  options.data_folder = folder.path() + "/data";
  options.log_file = folder.path() + "/meridiand.log";
  const auto server = ServerProcess::Start(options);
  ASSERT_TRUE(server.ok()) << server.status();
  const auto report = [&](const char* when) {
    const auto peak = (*server)->PeakMemoryBytes();
    ASSERT_TRUE(peak.ok()) << peak.status();
    std::cout << when << ": VmHWM " << *peak / kMiB << " MiB" << std::endl;
    EXPECT_LT(*peak, kBoundBytes) << when;
  };
  report("idle");
  const auto administrator = (*server)->AdminProfile();
  ASSERT_TRUE(administrator.ok()) << administrator.status();
  const auto profile = MakeTenantWithContainer(*administrator, "acme", "z", v1::ZRS);
  ASSERT_TRUE(profile.ok()) << profile.status();
  Client client(*profile);

  const Pattern pattern;
  v1::WriteSpec spec;
  spec.set_container(kContainer);
  spec.set_name("large");
  PatternSource source(pattern, size);
  const auto written = client.WriteObject(spec, source);
  ASSERT_TRUE(written.ok()) << written.status();
  report("after the put");

  v1::ReadObjectRequest request;
  request.set_container(kContainer);
  request.set_name("large");
  PatternSink sink(pattern, size / 2, pause);
  const auto read = client.ReadObject(request, sink);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(sink.written(), size);
  report("after the get");
  EXPECT_TRUE((*server)->Stop().ok());
}

}  // namespace
}  // namespace meridian
