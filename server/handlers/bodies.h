// Bodies over gRPC's streams, as the operations take and give them.
#pragma once

#include <grpcpp/support/sync_stream.h>

#include <optional>
#include <string>
#include <utility>

#include "meridian/v1/objects.grpc.pb.h"
#include "meridian/v1/uploads.grpc.pb.h"
#include "server/handlers/stream.h"
#include "server/ops/byte_stream.h"

namespace meridian::server {

inline constexpr size_t kMaxPieceBytes = 1 << 20;

// A body that came whole.
class WholeSource final : public ops::ByteSource {
 public:
  explicit WholeSource(std::string body) : body_(std::move(body)) {}
  absl::StatusOr<std::optional<Buffer>> Next() override;

 private:
  std::string body_;  // empty once given
};

// The rest of a WriteObject stream, after the message with `spec`. Blocks in gRPC's read, so that
// the client is slowed down to what is stored.
class WriteObjectSource final : public ops::ByteSource {
 public:
  WriteObjectSource(Stream& stream, grpc::ServerReader<v1::WriteObjectRequest>& reader)
      : stream_(stream), reader_(reader) {}
  absl::StatusOr<std::optional<Buffer>> Next() override;
  std::optional<uint32_t> declared_crc32c() const override { return crc32c_; }

 private:
  Stream& stream_;
  grpc::ServerReader<v1::WriteObjectRequest>& reader_;
  v1::WriteObjectRequest message_;
  std::optional<uint32_t> crc32c_;
  bool finished_ = false;
};

// The rest of a WriteUpload stream, after the message with `start`.
class WriteUploadSource final : public ops::ByteSource {
 public:
  WriteUploadSource(Stream& stream, grpc::ServerReader<v1::WriteUploadRequest>& reader)
      : stream_(stream), reader_(reader) {}
  absl::StatusOr<std::optional<Buffer>> Next() override;

 private:
  Stream& stream_;
  grpc::ServerReader<v1::WriteUploadRequest>& reader_;
  v1::WriteUploadRequest message_;
};

// The answer to ReadObject. Write blocks while the client does not read.
class ReadObjectSink final : public ops::ByteSink {
 public:
  ReadObjectSink(Stream& stream, grpc::ServerWriter<v1::ReadObjectResponse>& writer)
      : stream_(stream), writer_(writer) {}
  absl::Status Begin(const v1::ReadHeader& header) override;
  absl::Status Write(Buffer bytes) override;

 private:
  absl::Status Send();

  Stream& stream_;
  grpc::ServerWriter<v1::ReadObjectResponse>& writer_;
  v1::ReadObjectResponse message_;
};

}  // namespace meridian::server
