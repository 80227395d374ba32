// Uploads of sources that can be replayed only in part.
#include "client/internal/upload_writer.h"

#include <gtest/gtest.h>

#include "tests/client/fake_cluster.h"

namespace meridian::client_internal {
namespace {

constexpr char kContainer[] = "tenants/t/containers/c";
constexpr size_t kWindow = 2'500'000;

class UploadWriterTest : public testing::Test {
 protected:
  absl::StatusOr<v1::Object> Upload(const std::string& body) {
    auto rest = MakeStringSource(std::string_view(body).substr(10));
    ReplaySource replay(body.substr(0, 10), *rest, kWindow);
    v1::WriteSpec spec;
    spec.set_container(kContainer);
    spec.set_name("x");
    return UploadWriter(session_, spec, replay, &replay, CallOptions()).Run();
  }
  static std::string Bytes(size_t size) {
    std::string bytes(size, '\0');
    for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(i * 17 + (i >> 10));
    return bytes;
  }

  FakeCluster cluster_{1};
  ClientOptions options_;
  Session session_{cluster_.profile(), options_};
};

TEST_F(UploadWriterTest, SendsABodyInStreamsOfItsWindow) {
  for (size_t size : {kWindow - 1, kWindow, kWindow + 1, 3 * kWindow + 12345}) {
    const std::string body = Bytes(size);
    auto object = Upload(body);
    ASSERT_TRUE(object.ok()) << object.status();
    EXPECT_TRUE(cluster_.store().Content(kContainer, "x") == body) << size;
  }
}

TEST_F(UploadWriterTest, ResumesInAnyWindow) {
  const std::string body = Bytes(4 * kWindow);
  for (int64_t break_after : {0, 1 << 20, 2 << 20}) {
    cluster_.store().BreakNextUploadAfter(break_after);
    auto object = Upload(body);
    ASSERT_TRUE(object.ok()) << object.status();
    EXPECT_TRUE(cluster_.store().Content(kContainer, "x") == body) << break_after;
  }
}

}  // namespace
}  // namespace meridian::client_internal
