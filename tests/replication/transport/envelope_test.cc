#include "replication/transport/envelope.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "meridian/internal/v1/transport.pb.h"

namespace meridian::replication {
namespace {

namespace pb = ::meridian::internal::v1;

class EnvelopeTest : public testing::Test {
 protected:
  EnvelopeHeader Header() { return {cluster_, "east-1a", "east-2a", std::string(16, 'i')}; }
  PeerMessage Message(std::string body, std::vector<std::string> attachments) {
    PeerMessage message{PartitionId::Draw(random_),
                        ReplicaId::Draw(random_),
                        ReplicaId::Draw(random_),
                        std::move(body),
                        {}};
    for (std::string& bytes : attachments) {
      message.attachments.push_back(Buffer::FromString(std::move(bytes)));
    }
    return message;
  }
  static grpc::ByteBuffer Bytes(const std::string& bytes) {
    grpc::Slice slice(bytes);
    return grpc::ByteBuffer(&slice, 1);
  }
  static std::string Flat(const grpc::ByteBuffer& bytes) {
    std::vector<grpc::Slice> slices;
    EXPECT_TRUE(bytes.Dump(&slices).ok());
    std::string flat;
    for (const grpc::Slice& slice : slices) {
      flat.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
    }
    return flat;
  }
  pb::Envelope ValidProto() {
    pb::Envelope envelope;
    envelope.set_format_version(1);
    envelope.set_cluster_id(std::string(cluster_.bytes()));
    pb::RoutedMessage* message = envelope.add_messages();
    message->set_partition_id(std::string(16, 'p'));
    message->set_from(std::string(16, 'f'));
    message->set_to(std::string(16, 't'));
    message->set_attachment_count(1);
    envelope.add_attachments("bulk");
    return envelope;
  }
  absl::StatusCode CodeOf(const pb::Envelope& envelope) {
    return DecodeEnvelope(Bytes(envelope.SerializeAsString())).status().code();
  }

  SeededRandom random_{1};
  const ClusterId cluster_ = ClusterId::Draw(random_);
};

TEST_F(EnvelopeTest, KeepsMessagesAndTheirAttachments) {
  const PeerMessage first = Message("one", {"a", "", std::string(100'000, 'x')});
  const PeerMessage second = Message("two", {});
  const PeerMessage third = Message("", {"b"});
  const auto decoded = DecodeEnvelope(EncodeEnvelope(Header(), {first, second, third}));
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_EQ(decoded->header.cluster, cluster_);
  EXPECT_EQ(decoded->header.sender, "east-1a");
  EXPECT_EQ(decoded->header.receiver, "east-2a");
  ASSERT_EQ(decoded->messages.size(), 3u);
  EXPECT_EQ(decoded->messages[0].partition, first.partition);
  EXPECT_EQ(decoded->messages[0].from, first.from);
  EXPECT_EQ(decoded->messages[0].to, first.to);
  EXPECT_EQ(decoded->messages[0].body, "one");
  ASSERT_EQ(decoded->messages[0].attachments.size(), 3u);
  EXPECT_EQ(decoded->messages[0].attachments[1].view(), "");
  EXPECT_EQ(decoded->messages[0].attachments[2].view(), std::string(100'000, 'x'));
  EXPECT_TRUE(decoded->messages[1].attachments.empty());
  EXPECT_EQ(decoded->messages[2].attachments[0].view(), "b");
}

TEST_F(EnvelopeTest, IsExactlyTheProtosEncoding) {
  const auto bytes = Flat(EncodeEnvelope(Header(), {Message("one", {"a", "bb"})}));
  pb::Envelope envelope;
  ASSERT_TRUE(envelope.ParseFromString(bytes));
  EXPECT_EQ(envelope.format_version(), 1u);
  EXPECT_EQ(envelope.messages(0).attachment_count(), 2u);
  EXPECT_EQ(envelope.attachments(1), "bb");
}

TEST_F(EnvelopeTest, RefusesAnotherFormatVersion) {
  pb::Envelope envelope = ValidProto();
  ASSERT_EQ(CodeOf(envelope), absl::StatusCode::kOk);
  envelope.set_format_version(2);
  EXPECT_EQ(CodeOf(envelope), absl::StatusCode::kFailedPrecondition);
}

TEST_F(EnvelopeTest, RefusesIdsOfAnotherLength) {
  pb::Envelope envelope = ValidProto();
  envelope.mutable_messages(0)->set_to("short");
  EXPECT_EQ(CodeOf(envelope), absl::StatusCode::kInvalidArgument);
  envelope = ValidProto();
  envelope.set_cluster_id("short");
  EXPECT_EQ(CodeOf(envelope), absl::StatusCode::kInvalidArgument);
}

TEST_F(EnvelopeTest, RefusesAttachmentsThatDoNotAddUp) {
  pb::Envelope envelope = ValidProto();
  envelope.mutable_messages(0)->set_attachment_count(2);
  EXPECT_EQ(CodeOf(envelope), absl::StatusCode::kInvalidArgument);
  envelope.mutable_messages(0)->set_attachment_count(0xffffffffu);
  EXPECT_EQ(CodeOf(envelope), absl::StatusCode::kInvalidArgument);
  envelope.mutable_messages(0)->set_attachment_count(0);
  EXPECT_EQ(CodeOf(envelope), absl::StatusCode::kInvalidArgument);
}

TEST_F(EnvelopeTest, SurvivesAnyDamage) {
  const std::string good = Flat(EncodeEnvelope(Header(), {Message("one", {"a", "bb"})}));
  for (size_t length = 0; length < good.size(); ++length) {
    // gRPC's framing tells the length; a cut may still be an envelope, but never with the message.
    const auto cut = DecodeEnvelope(Bytes(good.substr(0, length)));
    EXPECT_TRUE(!cut.ok() || cut->messages.empty()) << length;
  }
  for (int i = 0; i < 20'000; ++i) {
    std::string bad = good;
    bad[random_.Uniform(bad.size())] ^= static_cast<char>(1 + random_.Uniform(255));
    (void)DecodeEnvelope(Bytes(bad));  // any answer, but no crash
  }
}

}  // namespace
}  // namespace meridian::replication
