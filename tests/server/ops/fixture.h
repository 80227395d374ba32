// What tests of operations share: a container at a fake replica, bodies, and what errors say.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/clock.h"
#include "base/crc32c.h"
#include "base/random.h"
#include "crypto/secret_key.h"
#include "google/rpc/error_details.pb.h"
#include "meridian/v1/errors.pb.h"
#include "server/ops/byte_stream.h"
#include "server/ops/context.h"
#include "server/ops/objects.h"
#include "tests/server/ops/fake_replica.h"

namespace meridian::ops {

// Delivers a body in pieces of a size; then the end, or an error.
class StringSource : public ByteSource {
 public:
  explicit StringSource(std::string body, size_t piece_bytes = 1 << 20)
      : body_(Buffer::FromString(std::move(body))), piece_bytes_(piece_bytes) {}

  absl::StatusOr<std::optional<Buffer>> Next() override {
    if (offset_ < body_.size()) {
      const size_t size = std::min(piece_bytes_, body_.size() - offset_);
      Buffer piece = body_.Slice(offset_, size);
      offset_ += size;
      return std::optional<Buffer>(std::move(piece));
    }
    if (!end_.ok()) return end_;
    return std::optional<Buffer>();
  }
  std::optional<uint32_t> declared_crc32c() const override { return crc32c_; }

  void EndWith(absl::Status error) { end_ = std::move(error); }
  void DeclareCrc32c(uint32_t crc32c) { crc32c_ = crc32c; }

 private:
  const Buffer body_;
  const size_t piece_bytes_;
  size_t offset_ = 0;
  absl::Status end_;
  std::optional<uint32_t> crc32c_;
};

class StringSink : public ByteSink {
 public:
  absl::Status Begin(const v1::ReadHeader& read_header) override {
    header = read_header;
    return absl::OkStatus();
  }
  absl::Status Write(Buffer bytes) override {
    EXPECT_GT(bytes.size(), 0u);
    EXPECT_LE(bytes.size(), size_t{1} << 20);
    body.append(bytes.view());
    if (on_write) on_write();
    return absl::OkStatus();
  }

  std::optional<v1::ReadHeader> header;
  std::string body;
  std::function<void()> on_write;
};

inline std::string RandomBody(Random& random, size_t size) {
  std::string body(size, '\0');
  random.Fill({reinterpret_cast<uint8_t*>(body.data()), body.size()});
  return body;
}

// The reason in the status's ErrorInfo; UNSPECIFIED if there is none.
inline v1::ErrorReason ReasonOf(const absl::Status& status) {
  const auto payload = status.GetPayload("type.googleapis.com/google.rpc.ErrorInfo");
  google::rpc::ErrorInfo info;
  v1::ErrorReason reason = v1::ERROR_REASON_UNSPECIFIED;
  if (payload.has_value() && info.ParseFromString(std::string(*payload))) {
    v1::ErrorReason_Parse(info.reason(), &reason);
  }
  return reason;
}

template <typename Detail>
Detail DetailOf(const absl::Status& status) {
  Detail detail;
  const auto payload = status.GetPayload("type.googleapis.com/" + detail.GetTypeName());
  EXPECT_TRUE(payload.has_value()) << status;
  if (payload.has_value()) detail.ParseFromString(std::string(*payload));
  return detail;
}

class OpsTest : public testing::Test {
 protected:
  OpsTest() {
    context_.container_name = "tenants/acme/containers/photos";
    context_.keys = std::make_shared<crypto::ContainerKeys>(
        TenantId::Draw(random_), ContainerId::Draw(random_), 1, crypto::SecretKey::Draw(random_),
        crypto::SecretKey::Draw(random_));
    context_.open_keys =
        [](uint32_t) -> absl::StatusOr<std::shared_ptr<const crypto::ContainerKeys>> {
      return absl::NotFoundError("no other KEK");
    };
    context_.replica = replica_;
    context_.random = &random_;
    context_.deadline = absl::Now() + absl::Seconds(30);
  }

  static v1::WriteSpec Spec(const std::string& name) {
    v1::WriteSpec spec;
    spec.set_name(name);
    return spec;
  }
  absl::StatusOr<v1::Object> Put(const v1::WriteSpec& spec, const std::string& body) {
    StringSource source(body);
    return WriteObject(context_, spec, source);
  }
  absl::StatusOr<v1::Object> Put(const std::string& name, const std::string& body) {
    return Put(Spec(name), body);
  }
  absl::StatusOr<std::string> Get(const std::string& name, const std::string& version_id = {}) {
    v1::ReadObjectRequest request;
    request.set_name(name);
    request.set_version_id(version_id);
    StringSink sink;
    const absl::Status status = ReadObject(context_, request, sink);
    if (!status.ok()) return status;
    EXPECT_EQ(static_cast<size_t>(sink.header->length_bytes()), sink.body.size());
    return sink.body;
  }
  v1::RequestId NewRequestId() {
    v1::RequestId request;
    request.set_id(RequestId::Draw(random_).ToHex());
    request.mutable_create_time()->set_seconds(absl::ToUnixSeconds(absl::Now()));
    return request;
  }

  SystemRandom random_;
  const std::shared_ptr<FakeReplica> replica_ = std::make_shared<FakeReplica>();
  Context context_;
};

}  // namespace meridian::ops
