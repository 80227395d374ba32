// An Envelope (proto/meridian/internal/v1/transport.proto) to and from gRPC's byte buffers. The
// bytes are exactly the proto's encoding; attachments are passed by reference.
#pragma once

#include <grpcpp/support/byte_buffer.h>

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/id.h"
#include "replication/transport.h"

namespace meridian::replication {

inline constexpr uint32_t kEnvelopeFormatVersion = 1;
// Longer envelopes are refused by the receiver, so a sender drops a message that needs one.
inline constexpr size_t kMaxEnvelopeBytes = 8 << 20;

struct EnvelopeHeader {
  ClusterId cluster;
  NodeId sender;
  NodeId receiver;
  std::string incarnation;
};

struct DecodedEnvelope {
  EnvelopeHeader header;
  std::vector<PeerMessage> messages;
};

// About the bytes that a message adds to an envelope.
size_t EncodedSize(const PeerMessage& message);

grpc::ByteBuffer EncodeEnvelope(const EnvelopeHeader& header, std::vector<PeerMessage> messages);

// INVALID_ARGUMENT: not an envelope; FAILED_PRECONDITION: of a version not known here. All
// attachments share one allocation.
absl::StatusOr<DecodedEnvelope> DecodeEnvelope(const grpc::ByteBuffer& bytes);

}  // namespace meridian::replication
