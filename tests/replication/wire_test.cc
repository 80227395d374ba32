// Encoding of peer messages: what goes in comes out, and nothing malformed is let in.
#include "replication/wire.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "meridian/internal/v1/replication.pb.h"
#include "replication/replica.h"
#include "tests/replication/core_cluster.h"

namespace meridian::replication {
namespace {

namespace pb = ::meridian::internal::v1;

RunId RunOf(char c) { return *RunId::FromBytes(std::string(16, c)); }

storage::LogEntry SomeEntry() {
  storage::LogEntry entry;
  entry.epoch = Epoch(3);
  entry.index = LogIndex(8);
  entry.timestamp = Timestamp(12345);
  entry.command = "command";
  entry.inline_body = Buffer::FromString("body");
  entry.inline_run = RunOf('i');
  entry.inline_crc32c = 77;
  entry.chunks = {{RunOf('a'), 0, 3}, {RunOf('b'), 7, 1}};
  return entry;
}

GroupConfig SomeConfig() {
  GroupConfig config;
  config.epoch = Epoch(4);
  config.leader = IdOf(1);
  config.session = SessionOf(9);
  config.members = {MemberOf(1), MemberOf(2), MemberOf(3)};
  config.joint_old = {MemberOf(2), MemberOf(5)};
  config.learners = {MemberOf(6)};
  return config;
}

template <typename T>
T RoundTrip(const T& in) {
  EncodedBody encoded = EncodeBody(PeerBody(in));
  auto out = DecodeBody(encoded.body, encoded.attachments);
  EXPECT_TRUE(out.ok()) << out.status();
  return std::get<T>(*out);
}

template <typename T>
T RoundTripCore(const T& in) {
  return std::get<T>(RoundTrip(CoreMessage(in)));
}

TEST(Wire, AnAppendKeepsItsEntriesAndSharesTheirBodies) {
  Append in;
  in.epoch = Epoch(4);
  in.prev = {Epoch(2), LogIndex(7)};
  in.entries = {SomeEntry()};
  in.commit = LogIndex(5);
  in.freeable = LogIndex(4);
  in.read_round = 6;
  EncodedBody encoded = EncodeBody(CoreMessage(in));
  ASSERT_EQ(encoded.attachments.size(), 1u);
  EXPECT_EQ(encoded.attachments[0].view().data(), in.entries[0].inline_body.view().data());
  Append out = RoundTripCore(in);
  EXPECT_EQ(out.epoch, in.epoch);
  EXPECT_EQ(out.prev, in.prev);
  EXPECT_EQ(out.commit, in.commit);
  EXPECT_EQ(out.freeable, in.freeable);
  EXPECT_EQ(out.read_round, in.read_round);
  ASSERT_EQ(out.entries.size(), 1u);
  const storage::LogEntry& entry = out.entries[0];
  EXPECT_EQ(entry.epoch, Epoch(3));
  EXPECT_EQ(entry.index, LogIndex(8));
  EXPECT_EQ(entry.timestamp, Timestamp(12345));
  EXPECT_EQ(entry.command, "command");
  EXPECT_EQ(entry.inline_body.view(), "body");
  EXPECT_EQ(entry.inline_run, RunOf('i'));
  EXPECT_EQ(entry.inline_crc32c, 77u);
  EXPECT_EQ(entry.chunks, in.entries[0].chunks);
}

TEST(Wire, RepliesRoundTrip) {
  AppendReply reply{Epoch(4), LogIndex(5), true, LogIndex(9), {Epoch(2), LogIndex(3)}, 8, true};
  AppendReply out = RoundTripCore(reply);
  EXPECT_EQ(out.match, reply.match);
  EXPECT_EQ(out.rejected_prev, reply.rejected_prev);
  EXPECT_EQ(out.hint, reply.hint);
  EXPECT_EQ(out.read_round, reply.read_round);
  EXPECT_TRUE(out.rejected && out.installing);
  ProbeReply probe =
      RoundTripCore(ProbeReply{Epoch(1), 2, true, {Epoch(1), LogIndex(6)}, LogIndex(3), true});
  EXPECT_TRUE(probe.granted && probe.installing);
  EXPECT_EQ(probe.last.index, LogIndex(6));
  EXPECT_EQ(RoundTripCore(Fence{SomeConfig()}).config, SomeConfig());
  FenceReply fence =
      RoundTripCore(FenceReply{Epoch(1), {Epoch(1), LogIndex(6)}, LogIndex(3), true});
  EXPECT_EQ(fence.base, LogIndex(3));
  EXPECT_EQ(RoundTripCore(FetchLog{Epoch(2), {Epoch(1), LogIndex(4)}}).prev.index, LogIndex(4));
  FetchLogReply fetched;
  fetched.matched = true;
  fetched.entries = {SomeEntry()};
  EXPECT_EQ(RoundTripCore(fetched).entries[0].inline_body.view(), "body");
  EXPECT_EQ(RoundTripCore(HandOver{Epoch(7)}).epoch, Epoch(7));
  EXPECT_EQ(RoundTripCore(Probe{Epoch(7), 3}).round, 3u);
}

TEST(Wire, ChunksAndSnapshotsRoundTrip) {
  storage::ChunkId chunk{RunOf('r'), 5};
  EXPECT_EQ(RoundTrip(ChunkWrite{chunk, 3, Buffer::FromString("x")}).ciphertext.view(), "x");
  EXPECT_EQ(RoundTrip(ChunkAck{chunk, absl::StatusCode::kResourceExhausted}).code,
            absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(RoundTrip(ChunkFetch{chunk}).chunk, chunk);
  EXPECT_EQ(
      RoundTrip(ChunkFetchReply{chunk, absl::StatusCode::kOk, 9, Buffer::FromString("y")}).crc32c,
      9u);
  RoundTrip(ChunkFetchReply{chunk, absl::StatusCode::kNotFound, 0, {}});
  EXPECT_EQ(RoundTrip(SnapshotBegin{1, Epoch(2), {Epoch(1), LogIndex(9)}, Timestamp(4)}).last.index,
            LogIndex(9));
  SnapshotPiece piece{1, Epoch(2), 3, {{"a", "1"}, {"b", "2"}}, true};
  EXPECT_EQ(RoundTrip(piece).rows, piece.rows);
  const SnapshotAck ack = RoundTrip(SnapshotAck{1, Epoch(2), 3, true, false, 4, true});
  EXPECT_TRUE(ack.installed);
  EXPECT_EQ(ack.progress, 4u);
  EXPECT_TRUE(ack.disk_full);
  EXPECT_EQ(RoundTrip(OrphanReport{{RunOf('o')}}).runs.size(), 1u);
  const DigestRequest request = RoundTrip(DigestRequest{1, LogIndex(2), "first", "end"});
  EXPECT_EQ(request.id, 1u);
  EXPECT_EQ(request.index, LogIndex(2));
  EXPECT_EQ(request.first, "first");
  EXPECT_EQ(request.end, "end");
  const DigestReply reply = RoundTrip(DigestReply{3, absl::StatusCode::kOutOfRange, "digest"});
  EXPECT_EQ(reply.id, 3u);
  EXPECT_EQ(reply.code, absl::StatusCode::kOutOfRange);
  EXPECT_EQ(reply.digest, "digest");
}

TEST(Wire, AGroupConfigRoundTrips) {
  auto out = DecodeGroupConfig(EncodeGroupConfig(SomeConfig()));
  ASSERT_TRUE(out.ok()) << out.status();
  EXPECT_EQ(*out, SomeConfig());
  EXPECT_EQ(GroupConfigKey(*PartitionId::FromHex(std::string(32, 'a'))),
            "group/" + std::string(32, 'a'));
}

// The stored format: a change of these bytes needs a new version.
TEST(Wire, AGroupConfigsBytesAreStable) {
  GroupConfig config;
  config.epoch = Epoch(2);
  config.members = {{IdOf(1), "n1", DiskId()}};
  std::string encoded = EncodeGroupConfig(config);
  std::string id = std::string(15, '\0') + '\x01';
  EXPECT_EQ(encoded, std::string("\x08\x01\x10\x02\x2a\x28\x0a\x10", 8) + id + "\x12\x02n1" +
                         std::string("\x1a\x10", 2) + std::string(16, '\0'));
}

absl::Status DecodeStatus(const pb::PeerMessageBody& body, std::vector<Buffer> attachments = {}) {
  return DecodeBody(body.SerializeAsString(), attachments).status();
}

TEST(Wire, MalformedMessagesAreRefused) {
  pb::PeerMessageBody body;
  EXPECT_TRUE(absl::IsInvalidArgument(DecodeStatus(body)));  // no version
  body.set_format_version(1);
  EXPECT_TRUE(absl::IsInvalidArgument(DecodeStatus(body)));  // no body
  body.mutable_chunk_fetch()->mutable_chunk()->set_run("short");
  EXPECT_TRUE(absl::IsInvalidArgument(DecodeStatus(body)));
  body.mutable_chunk_write()->mutable_chunk()->set_run(std::string(16, 'x'));
  EXPECT_TRUE(absl::IsInvalidArgument(DecodeStatus(body)));  // no bytes
  EXPECT_TRUE(DecodeStatus(body, {Buffer()}).ok());
  body.set_format_version(2);
  EXPECT_TRUE(absl::IsInvalidArgument(DecodeStatus(body, {Buffer()})));
  body.set_format_version(1);
  pb::WireLogEntry& entry = *body.mutable_append()->add_entries();
  entry.set_epoch(1);
  entry.set_index(1);
  entry.set_kind(9);
  EXPECT_TRUE(absl::IsInvalidArgument(DecodeStatus(body)));  // unknown kind
  entry.set_kind(1);
  EXPECT_TRUE(DecodeStatus(body).ok());
  entry.set_inline_attachment(1);
  entry.set_inline_run(std::string(16, 'i'));
  EXPECT_TRUE(absl::IsInvalidArgument(DecodeStatus(body)));  // attachment missing
  EXPECT_TRUE(DecodeStatus(body, {Buffer()}).ok());
  entry.add_chunks()->set_run(std::string(16, 'r'));
  EXPECT_TRUE(absl::IsInvalidArgument(DecodeStatus(body, {Buffer()})));  // empty range
  entry.mutable_chunks(0)->set_first(0xffffffff);
  entry.mutable_chunks(0)->set_count(2);
  EXPECT_TRUE(absl::IsInvalidArgument(DecodeStatus(body, {Buffer()})));  // beyond the last number
  body.mutable_chunk_ack()->mutable_chunk()->set_run(std::string(16, 'x'));
  body.mutable_chunk_ack()->set_code(99);
  EXPECT_TRUE(absl::IsInvalidArgument(DecodeStatus(body)));
  body.mutable_snapshot_piece()->add_rows()->set_key("b");
  body.mutable_snapshot_piece()->add_rows()->set_key("a");
  EXPECT_TRUE(absl::IsInvalidArgument(DecodeStatus(body)));  // out of order
  body.mutable_orphan_report()->add_runs(std::string(16, '\0'));
  EXPECT_TRUE(absl::IsInvalidArgument(DecodeStatus(body)));  // nil
}

TEST(Wire, MalformedConfigurationsAreRefused) {
  GroupConfig config = SomeConfig();
  config.members.push_back(MemberOf(1));
  EXPECT_FALSE(DecodeGroupConfig(EncodeGroupConfig(config)).ok());  // twice
  config = SomeConfig();
  config.members[0].node = "";
  EXPECT_FALSE(DecodeGroupConfig(EncodeGroupConfig(config)).ok());
  config = SomeConfig();
  config.members.clear();
  EXPECT_FALSE(DecodeGroupConfig(EncodeGroupConfig(config)).ok());
  EXPECT_FALSE(DecodeGroupConfig("\xff\xff").ok());
  EXPECT_FALSE(DecodeGroupConfig("").ok());
}

// Random damage is refused or read as something else; it never crashes.
TEST(Wire, DamagedMessagesDoNotCrashTheDecoder) {
  Append append;
  append.epoch = Epoch(4);
  append.entries = {SomeEntry(), SomeEntry()};
  EncodedBody good = EncodeBody(CoreMessage(append));
  SeededRandom random(7);
  for (int i = 0; i < 20000; ++i) {
    std::string damaged = good.body;
    for (uint64_t n = 1 + random.Uniform(4); n > 0; --n) {
      damaged[random.Uniform(damaged.size())] = static_cast<char>(random.Uniform(256));
    }
    if (random.Uniform(2) == 0) damaged.resize(random.Uniform(damaged.size()));
    auto decoded = DecodeBody(damaged, good.attachments);
    if (!decoded.ok()) {
      EXPECT_TRUE(absl::IsInvalidArgument(decoded.status()));
    }
  }
}

}  // namespace
}  // namespace meridian::replication
