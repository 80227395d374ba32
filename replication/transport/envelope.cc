#include "replication/transport/envelope.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>

#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "meridian/internal/v1/transport.pb.h"

namespace meridian::replication {
namespace {

namespace pb = ::meridian::internal::v1;
using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedInputStream;
using google::protobuf::io::CodedOutputStream;

// Ids, counts, tags and lengths of a message, roughly.
constexpr size_t kMessageOverheadBytes = 80;
constexpr size_t kAttachmentOverheadBytes = 8;
// A body or attachment list from outside is never longer than this in one message.
constexpr uint32_t kMaxAttachments = 65536;

constexpr uint32_t kAttachmentTag = WireFormatLite::MakeTag(
    pb::Envelope::kAttachmentsFieldNumber, WireFormatLite::WIRETYPE_LENGTH_DELIMITED);

grpc::Slice CopiedSlice(const std::string& bytes) { return grpc::Slice(bytes); }

// The slice keeps the buffer's owner alive.
grpc::Slice SharedSlice(Buffer buffer) {
  auto* kept = new Buffer(std::move(buffer));
  return grpc::Slice(
      const_cast<char*>(kept->view().data()), kept->size(),
      [](void* owner) { delete static_cast<Buffer*>(owner); }, kept);
}

std::string AttachmentPrefix(size_t size) {
  uint8_t bytes[16];
  uint8_t* end = CodedOutputStream::WriteVarint32ToArray(kAttachmentTag, bytes);
  end = CodedOutputStream::WriteVarint32ToArray(static_cast<uint32_t>(size), end);
  return std::string(reinterpret_cast<char*>(bytes), end - bytes);
}

// One contiguous copy: what the disk needs, and the only one on the way from the socket.
absl::StatusOr<std::shared_ptr<const std::string>> Flatten(const grpc::ByteBuffer& bytes) {
  std::vector<grpc::Slice> slices;
  if (!bytes.Dump(&slices).ok()) return absl::InvalidArgumentError("unreadable envelope");
  auto flat = std::make_shared<std::string>();
  flat->reserve(bytes.Length());
  for (const grpc::Slice& slice : slices) {
    flat->append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return std::shared_ptr<const std::string>(std::move(flat));
}

// Splits the encoding into attachments, by reference, and everything else, parsed.
absl::Status ParseFields(const std::shared_ptr<const std::string>& flat, pb::Envelope& envelope,
                         std::vector<Buffer>& attachments) {
  const absl::Status malformed = absl::InvalidArgumentError("malformed envelope");
  CodedInputStream in(reinterpret_cast<const uint8_t*>(flat->data()),
                      static_cast<int>(flat->size()));
  std::string rest;
  while (true) {
    const int start = in.CurrentPosition();
    const uint32_t tag = in.ReadTag();
    if (tag == 0) {
      if (!in.ConsumedEntireMessage()) return malformed;
      break;
    }
    if (tag != kAttachmentTag) {
      if (!WireFormatLite::SkipField(&in, tag)) return malformed;
      rest.append(*flat, start, in.CurrentPosition() - start);
      continue;
    }
    uint32_t size = 0;
    if (!in.ReadVarint32(&size)) return malformed;
    const size_t offset = in.CurrentPosition();
    if (size > flat->size() - offset || !in.Skip(static_cast<int>(size))) return malformed;
    attachments.push_back(Buffer(flat, std::string_view(*flat).substr(offset, size)));
  }
  return envelope.ParseFromString(rest) ? absl::OkStatus() : malformed;
}

absl::StatusOr<PeerMessage> ToPeerMessage(pb::RoutedMessage& routed,
                                          std::vector<Buffer>& attachments, size_t& next) {
  const std::optional<PartitionId> partition = PartitionId::FromBytes(routed.partition_id());
  const std::optional<ReplicaId> from = ReplicaId::FromBytes(routed.from());
  const std::optional<ReplicaId> to = ReplicaId::FromBytes(routed.to());
  if (!partition || !from || !to) return absl::InvalidArgumentError("malformed message ids");
  if (routed.attachment_count() > kMaxAttachments ||
      routed.attachment_count() > attachments.size() - next) {
    return absl::InvalidArgumentError("a message counts attachments that are not there");
  }
  PeerMessage message{*partition, *from, *to, std::move(*routed.mutable_body()), {}};
  for (uint32_t i = 0; i < routed.attachment_count(); ++i) {
    message.attachments.push_back(std::move(attachments[next++]));
  }
  return message;
}

}  // namespace

size_t EncodedSize(const PeerMessage& message) {
  size_t size = kMessageOverheadBytes + message.body.size();
  for (const Buffer& attachment : message.attachments) {
    size += kAttachmentOverheadBytes + attachment.size();
  }
  return size;
}

grpc::ByteBuffer EncodeEnvelope(const EnvelopeHeader& header, std::vector<PeerMessage> messages) {
  pb::Envelope envelope;
  envelope.set_format_version(kEnvelopeFormatVersion);
  envelope.set_cluster_id(std::string(header.cluster.bytes()));
  envelope.set_sender(header.sender);
  envelope.set_receiver(header.receiver);
  envelope.set_incarnation(header.incarnation);
  std::vector<grpc::Slice> slices(1);  // the first is filled in below
  for (PeerMessage& message : messages) {
    pb::RoutedMessage* routed = envelope.add_messages();
    routed->set_partition_id(std::string(message.partition.bytes()));
    routed->set_from(std::string(message.from.bytes()));
    routed->set_to(std::string(message.to.bytes()));
    routed->set_body(std::move(message.body));
    routed->set_attachment_count(static_cast<uint32_t>(message.attachments.size()));
    for (Buffer& attachment : message.attachments) {
      slices.push_back(CopiedSlice(AttachmentPrefix(attachment.size())));
      if (!attachment.empty()) slices.push_back(SharedSlice(std::move(attachment)));
    }
  }
  slices[0] = CopiedSlice(envelope.SerializeAsString());
  return grpc::ByteBuffer(slices.data(), slices.size());
}

absl::StatusOr<DecodedEnvelope> DecodeEnvelope(const grpc::ByteBuffer& bytes) {
  if (bytes.Length() > kMaxEnvelopeBytes) return absl::InvalidArgumentError("envelope too long");
  ASSIGN_OR_RETURN(const std::shared_ptr<const std::string> flat, Flatten(bytes));
  pb::Envelope envelope;
  std::vector<Buffer> attachments;
  RETURN_IF_ERROR(ParseFields(flat, envelope, attachments));
  if (envelope.format_version() != kEnvelopeFormatVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat("envelope of format version ", envelope.format_version()));
  }
  const std::optional<ClusterId> cluster = ClusterId::FromBytes(envelope.cluster_id());
  if (!cluster) return absl::InvalidArgumentError("malformed cluster id");
  DecodedEnvelope decoded{
      {*cluster, envelope.sender(), envelope.receiver(), envelope.incarnation()}, {}};
  size_t next = 0;
  for (pb::RoutedMessage& routed : *envelope.mutable_messages()) {
    ASSIGN_OR_RETURN(PeerMessage message, ToPeerMessage(routed, attachments, next));
    decoded.messages.push_back(std::move(message));
  }
  if (next != attachments.size()) {
    return absl::InvalidArgumentError("attachments that belong to no message");
  }
  return decoded;
}

}  // namespace meridian::replication
