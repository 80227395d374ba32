#include "crypto/chunk_cipher.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "crypto/chunk_layout.h"
#include "crypto/hash.h"
#include "tests/crypto/testing.h"

namespace meridian::crypto {
namespace {

constexpr uint32_t kSealedFrameBytes = kFrameBytes + kFrameTagBytes;

RunIdentity Identity() {
  return {IdOf<TenantId>(1), IdOf<ContainerId>(2), IdOf<ObjectId>(3), IdOf<RunId>(4)};
}

std::string Pattern(size_t size) {
  std::string bytes(size, '\0');
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(i % 251);
  return bytes;
}

std::unique_ptr<RunCipher> NewRun(const RunIdentity& identity = Identity()) {
  CountingRandom random;
  return RunCipher::Create(CountingKey(), identity, random);
}

std::string Encrypt(const RunCipher& run, uint32_t number, std::string_view plaintext) {
  return std::string(run.EncryptChunk(number, plaintext)->view());
}

TEST(ChunkLayout, SizesOfPlaintextAndCiphertextAreInverse) {
  EXPECT_EQ(CiphertextBytes(0), 16u);
  EXPECT_EQ(CiphertextBytes(1), 17u);
  EXPECT_EQ(CiphertextBytes(kFrameBytes), kFrameBytes + 16);
  EXPECT_EQ(CiphertextBytes(kFrameBytes + 1), kFrameBytes + 33);
  EXPECT_EQ(kMaxChunkCiphertextBytes, kChunkBytes + 16 * 16);
  for (uint32_t size : {0u, 1u, kFrameBytes - 1, kFrameBytes, kFrameBytes + 1, kChunkBytes}) {
    EXPECT_EQ(PlaintextBytes(CiphertextBytes(size)), size);
  }
}

TEST(ChunkLayout, SizesThatNoChunkHasAreRefused) {
  for (size_t size :
       {size_t{0}, size_t{15}, size_t{kSealedFrameBytes + 1}, size_t{kSealedFrameBytes + 16},
        size_t{kMaxChunkCiphertextBytes + 1}, SIZE_MAX}) {
    EXPECT_EQ(PlaintextBytes(size), std::nullopt) << size;
  }
}

TEST(ChunkLayout, OffsetsOfABodyMapToChunks) {
  const uint64_t body = 5 * uint64_t{kChunkBytes} + 3;
  EXPECT_EQ(ChunkCount(body), 6u);
  EXPECT_EQ(ChunkCount(0), 0u);
  EXPECT_EQ(ChunkPlaintextBytes(body, 0), kChunkBytes);
  EXPECT_EQ(ChunkPlaintextBytes(body, 5), 3u);
  EXPECT_EQ(ChunkOfOffset(body - 1), 5u);
  EXPECT_EQ(OffsetInChunk(body - 1), 2u);
}

TEST(ChunkLayout, ARangeMapsToTheFramesThatHoldIt) {
  const FrameRange inner = MapRange(kChunkBytes, kFrameBytes + 5, 10);
  EXPECT_EQ(inner, (FrameRange{1, 1, kSealedFrameBytes, kSealedFrameBytes, 5, 10}));
  const FrameRange across = MapRange(kChunkBytes, kFrameBytes - 1, 2);
  EXPECT_EQ(across, (FrameRange{0, 2, 0, 2 * kSealedFrameBytes, kFrameBytes - 1, 2}));
  const FrameRange tail = MapRange(kFrameBytes + 7, kFrameBytes + 6, 1);
  EXPECT_EQ(tail, (FrameRange{1, 1, kSealedFrameBytes, 7 + 16, 6, 1}));
  EXPECT_EQ(MapRange(0, 0, 0), (FrameRange{0, 1, 0, 16, 0, 0}));
}

TEST(ChunkLayoutDeathTest, ARangeOutsideItsChunkIsABrokenInvariant) {
  EXPECT_DEATH(MapRange(100, 50, 51), "outside its chunk");
  EXPECT_DEATH(MapRange(100, 50, 0), "outside its chunk");
}

TEST(ChunkCipher, GivesTheGoldenVectors) {
  const auto run = NewRun();
  EXPECT_EQ(Hex(run->header().commitment),
            "1bc210de65b03852c2dc3df313396da39022d4dc6cc899f87c9a89238d7d5242");
  EXPECT_EQ(Hex(Encrypt(*run, 7, "hello")), "d3bb2b0d05032eb33702de97156d4f485849445658");
  EXPECT_EQ(Hex(Encrypt(*run, 0, "")), "e100a325464eff07b2828267445d3715");
  EXPECT_EQ(Hex(Sha256(Encrypt(*run, 0, Pattern(kFrameBytes + 1)))),
            "a3b513c4e6e7c9df9a6146e3b19f9d6b56e801326a6814f502fafe957912dee3");
}

TEST(ChunkCipher, ChunksOfEverySizeComeBack) {
  const auto writer = NewRun();
  const auto reader = *RunCipher::Open(CountingKey(), Identity(), writer->header());
  for (uint32_t size : {0u, 1u, 4096u, kFrameBytes - 1, kFrameBytes, kFrameBytes + 1,
                        3 * kFrameBytes, kChunkBytes - 1, kChunkBytes}) {
    const std::string plaintext = Pattern(size);
    const std::string ciphertext = Encrypt(*writer, size, plaintext);
    EXPECT_EQ(ciphertext.size(), CiphertextBytes(size));
    EXPECT_EQ(reader->DecryptChunk(size, ciphertext)->view(), plaintext) << size;
  }
}

TEST(ChunkCipher, PiecesAreEncryptedAsOnePlaintext) {
  const auto run = NewRun();
  const std::string plaintext = Pattern(2 * kFrameBytes + 100);
  const std::string_view view = plaintext;
  const std::vector<std::string_view> pieces = {
      view.substr(0, 10), "", view.substr(10, kFrameBytes), view.substr(kFrameBytes + 10), ""};
  EXPECT_EQ(run->EncryptChunk(1, pieces)->view(), Encrypt(*run, 1, plaintext));
}

TEST(ChunkCipher, AnyRangeIsDecryptedFromItsFramesAlone) {
  const auto run = NewRun();
  const uint32_t size = 2 * kFrameBytes + 1000;
  const std::string plaintext = Pattern(size);
  const std::string ciphertext = Encrypt(*run, 3, plaintext);
  for (uint32_t offset : {0u, 1u, kFrameBytes - 1, kFrameBytes, 2 * kFrameBytes + 999}) {
    for (uint32_t length : {1u, 2u, kFrameBytes, kFrameBytes + 2, size}) {
      if (length > size - offset) continue;
      const FrameRange range = MapRange(size, offset, length);
      const std::string part = ciphertext.substr(range.ciphertext_offset, range.ciphertext_bytes);
      EXPECT_EQ(run->DecryptRange(3, size, range, part)->view(), plaintext.substr(offset, length));
    }
  }
}

TEST(ChunkCipher, RefusesAChunkOfMoreThanItsLimit) {
  EXPECT_TRUE(absl::IsInvalidArgument(
      NewRun()->EncryptChunk(0, std::string(kChunkBytes + 1, 'x')).status()));
}

TEST(ChunkCipher, RefusesEveryFlippedByteOfAFrame) {
  const auto run = NewRun();
  const std::string ciphertext = Encrypt(*run, 0, "the body of a small object");
  for (size_t i = 0; i < ciphertext.size(); ++i) {
    EXPECT_TRUE(absl::IsDataLoss(run->DecryptChunk(0, Flipped(ciphertext, i)).status())) << i;
  }
}

// I10: each of these ciphertexts is made of authentic frames in the wrong place.
TEST(ChunkCipher, RefusesTruncationExtensionAndSwappedFrames) {
  const auto run = NewRun();
  const std::string three = Encrypt(*run, 0, Pattern(3 * kFrameBytes));
  const auto refused = [&](std::string_view ciphertext) {
    return absl::IsDataLoss(run->DecryptChunk(0, ciphertext).status());
  };
  const std::string first = three.substr(0, kSealedFrameBytes);
  const std::string second = three.substr(kSealedFrameBytes, kSealedFrameBytes);
  const std::string third = three.substr(2 * kSealedFrameBytes);
  EXPECT_FALSE(refused(first + second + third));
  EXPECT_TRUE(refused(first + second)) << "truncated at a frame";
  EXPECT_TRUE(refused(first)) << "truncated at a frame";
  EXPECT_TRUE(refused(three.substr(0, three.size() - 1))) << "truncated within a frame";
  EXPECT_TRUE(refused("")) << "nothing is no empty chunk";
  EXPECT_TRUE(refused(first + second + third + third)) << "extended";
  EXPECT_TRUE(refused(three + std::string(17, '\0'))) << "extended";
  EXPECT_TRUE(refused(second + first + third)) << "swapped";
  EXPECT_TRUE(refused(first + third)) << "a frame left out";
  EXPECT_TRUE(refused(first + first + third)) << "a frame repeated";
}

TEST(ChunkCipher, RefusesARangeOfAChunkOfAnotherLength) {
  const auto run = NewRun();
  const std::string two = Encrypt(*run, 0, Pattern(2 * kFrameBytes));
  // Its first frame would be the last one of a chunk of one frame.
  const FrameRange range = MapRange(kFrameBytes, 0, kFrameBytes);
  EXPECT_TRUE(absl::IsDataLoss(
      run->DecryptRange(0, kFrameBytes, range, two.substr(0, kSealedFrameBytes)).status()));
}

TEST(ChunkCipher, RefusesAChunkUnderAnotherNumber) {
  const auto run = NewRun();
  EXPECT_TRUE(absl::IsDataLoss(run->DecryptChunk(1, Encrypt(*run, 0, "body")).status()));
}

// P19: the commitment refuses a reader with another identity before it decrypts.
TEST(ChunkCipher, RefusesAnotherTenantContainerObjectRunKeyOrSalt) {
  const RunHeader header = NewRun()->header();
  const auto refused = [&](const RunIdentity& identity) {
    return absl::IsDataLoss(RunCipher::Open(CountingKey(), identity, header).status());
  };
  RunIdentity other = Identity();
  EXPECT_FALSE(refused(other));
  other.tenant = IdOf<TenantId>(9);
  EXPECT_TRUE(refused(other));
  other = Identity();
  other.container = IdOf<ContainerId>(9);
  EXPECT_TRUE(refused(other));
  other = Identity();
  other.object = IdOf<ObjectId>(9);
  EXPECT_TRUE(refused(other));
  other = Identity();
  other.run = IdOf<RunId>(9);
  EXPECT_TRUE(refused(other));
  EXPECT_TRUE(absl::IsDataLoss(RunCipher::Open(CountingKey(1), Identity(), header).status()));
  RunHeader changed = header;
  changed.salt = Flipped(changed.salt, 0);
  EXPECT_TRUE(absl::IsDataLoss(RunCipher::Open(CountingKey(), Identity(), changed).status()));
  changed.salt.pop_back();
  EXPECT_TRUE(absl::IsDataLoss(RunCipher::Open(CountingKey(), Identity(), changed).status()));
}

// Even with a commitment of its own, a reader of another object or run opens no frame.
TEST(ChunkCipher, RefusesAChunkOfAnotherRunOrObject) {
  const std::string ciphertext = Encrypt(*NewRun(), 0, "body");
  RunIdentity other = Identity();
  other.object = IdOf<ObjectId>(9);
  EXPECT_TRUE(absl::IsDataLoss(NewRun(other)->DecryptChunk(0, ciphertext).status()));
  other = Identity();
  other.run = IdOf<RunId>(9);
  EXPECT_TRUE(absl::IsDataLoss(NewRun(other)->DecryptChunk(0, ciphertext).status()));
}

TEST(ChunkCipher, RefusesASuiteThatItDoesNotKnow) {
  RunHeader header = NewRun()->header();
  for (int suite : {0, 2, 255}) {
    header.suite = static_cast<Suite>(suite);
    EXPECT_TRUE(absl::IsUnimplemented(RunCipher::Open(CountingKey(), Identity(), header).status()));
  }
}

TEST(ChunkCipher, ChunksAndRunsNeverShareAKeyStream) {
  SystemRandom random;
  const auto a = RunCipher::Create(CountingKey(), Identity(), random);
  const auto b = RunCipher::Create(CountingKey(), Identity(), random);
  const std::string zeros(1000, '\0');
  EXPECT_NE(Encrypt(*a, 0, zeros), Encrypt(*b, 0, zeros));
  EXPECT_NE(Encrypt(*a, 0, zeros), Encrypt(*a, 1, zeros));
}

}  // namespace
}  // namespace meridian::crypto
