#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "crypto/aes_gcm.h"
#include "crypto/ctr_cipher.h"
#include "crypto/hash.h"
#include "crypto/hkdf.h"
#include "crypto/sealing_key.h"
#include "crypto/secret_key.h"
#include "tests/crypto/testing.h"

namespace meridian::crypto {
namespace {

TEST(SecretKey, OverwritesWhatItWasMovedFrom) {
  SecretKey key = CountingKey();
  const SecretKey taken = std::move(key);
  EXPECT_EQ(taken.bytes(), Counting(32));
  EXPECT_EQ(key.bytes(), std::string(32, '\0'));  // NOLINT(bugprone-use-after-move): the point
}

TEST(SecretKey, OverwritesItselfWhenItGoes) {
  alignas(SecretKey) char memory[sizeof(SecretKey)];
  SecretKey* const key = new (memory) SecretKey(CountingKey());
  key->~SecretKey();
  EXPECT_EQ(std::string_view(memory, 32), std::string(32, '\0'));
}

TEST(SecretKey, TakesExactlyThirtyTwoBytes) {
  EXPECT_FALSE(SecretKey::FromBytes(Counting(31)).has_value());
  EXPECT_FALSE(SecretKey::FromBytes(Counting(33)).has_value());
  EXPECT_FALSE(SecretKey::FromBytes("").has_value());
}

TEST(Hash, Sha256IsThatOfTheStandard) {
  EXPECT_EQ(Hex(Sha256("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  Sha256Stream stream;
  for (int round = 0; round < 2; ++round) {
    stream.Update("a");
    stream.Update("");
    stream.Update("bc");
    EXPECT_EQ(stream.Finish(), Sha256("abc"));
  }
}

TEST(Hash, MacVerifiesOnlyItsOwnMessageAndKey) {
  const MacKey key(CountingKey());
  const std::string mac = key.Compute("message");
  EXPECT_EQ(mac.size(), kHashBytes);
  EXPECT_TRUE(key.Verify("message", mac));
  EXPECT_FALSE(key.Verify("messagf", mac));
  EXPECT_FALSE(key.Verify("message", Flipped(mac, 31)));
  EXPECT_FALSE(key.Verify("message", mac.substr(0, 31)));
  EXPECT_FALSE(key.Verify("message", ""));
  EXPECT_FALSE(MacKey(CountingKey(1)).Verify("message", mac));
}

TEST(Hkdf, GivesTheGoldenVector) {
  std::string out(100, '\0');
  const Hkdf hkdf(std::string_view("key"), "salt");
  for (int round = 0; round < 2; ++round) {
    hkdf.Expand("info", {reinterpret_cast<uint8_t*>(out.data()), out.size()});
    EXPECT_EQ(Hex(out),
              "24156e2c35525baaf3d0fbb92b734c8032a110a3f12e2596e441e1924870d84c3a500652a72373802443"
              "2451046fd237efad8392fb686c5277a59e01053916536ce56ffa4036f0224573100a07a8dafb96aba25a"
              "717b1ef32723bd136a8770834b8b6198");
  }
}

TEST(Hkdf, AnEmptySaltIsZeros) {
  EXPECT_EQ(Hkdf(CountingKey(), "").ExpandKey("x").bytes(),
            Hkdf(CountingKey(), std::string(64, '\0')).ExpandKey("x").bytes());
  EXPECT_NE(Hkdf(CountingKey(), "").ExpandKey("x").bytes(),
            Hkdf(CountingKey(), "s").ExpandKey("x").bytes());
}

TEST(Hkdf, ThreadsMayShareOne) {
  const Hkdf hkdf(CountingKey(), "");
  const std::string expected(hkdf.ExpandKey("x").bytes());
  std::vector<std::thread> threads;
  std::vector<int> wrong(4);
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 1000; ++i) wrong[t] += hkdf.ExpandKey("x").bytes() != expected;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, std::vector<int>(4));
}

TEST(AesGcm, GivesTheStandardsVector) {
  // McGrew and Viega, "The Galois/Counter Mode of Operation", test case 14.
  AesGcm cipher(SecretKey::Zero());
  const std::string plaintext(16, '\0');
  std::string sealed(32, '\0');
  cipher.Seal(std::string(12, '\0'), "", plaintext, sealed.data());
  EXPECT_EQ(Hex(sealed), "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919");
}

TEST(AesGcm, OneContextSealsAndOpensInAnyOrder) {
  AesGcm cipher(CountingKey());
  const std::string nonce = Counting(12);
  for (int round = 0; round < 3; ++round) {
    std::string bytes = "plaintext" + std::string(16, '\0');
    cipher.Seal(nonce, "aad", {bytes.data(), 9}, bytes.data());
    EXPECT_NE(bytes.substr(0, 9), "plaintext");
    ASSERT_TRUE(cipher.Open(nonce, "aad", bytes, bytes.data()).ok());
    EXPECT_EQ(bytes.substr(0, 9), "plaintext");
  }
}

TEST(AesGcm, RefusesEveryChangeAndReleasesNothing) {
  AesGcm cipher(CountingKey());
  const std::string nonce = Counting(12);
  std::string sealed(9 + 16, '\0');
  cipher.Seal(nonce, "aad", "plaintext", sealed.data());
  const auto refused = [&](std::string_view n, std::string_view aad, std::string_view bytes) {
    std::string out(64, 'x');
    const absl::Status status = cipher.Open(n, aad, bytes, out.data());
    return absl::IsDataLoss(status) && out.find("plain") == std::string::npos;
  };
  for (size_t i = 0; i < sealed.size(); ++i) EXPECT_TRUE(refused(nonce, "aad", Flipped(sealed, i)));
  for (size_t i = 0; i < 12; ++i) EXPECT_TRUE(refused(Flipped(nonce, i), "aad", sealed));
  EXPECT_TRUE(refused(nonce, "aae", sealed));
  EXPECT_TRUE(refused(nonce, "", sealed));
  EXPECT_TRUE(refused(nonce, "aad", sealed.substr(0, 24)));
  EXPECT_TRUE(refused(nonce, "aad", sealed.substr(0, 3)));
  EXPECT_TRUE(refused(nonce, "aad", sealed + "x"));
  std::string out(9, '\0');
  EXPECT_TRUE(cipher.Open(nonce, "aad", sealed, out.data()).ok()) << "the context survives errors";
}

TEST(AesGcm, PiecesAreSealedAsOnePlaintext) {
  AesGcm cipher(CountingKey());
  std::string whole(5 + 16, '\0'), pieces(5 + 16, '\0');
  cipher.Seal(Counting(12), "", "hello", whole.data());
  const std::string_view parts[] = {"he", "", "l", "lo"};
  cipher.Seal(Counting(12), "", parts, pieces.data());
  EXPECT_EQ(whole, pieces);
}

TEST(CtrCipher, GivesTheGoldenVectorInTheMiddleOfABlock) {
  std::string data = "journal";
  CtrCipher(CountingKey()).Apply(37, data.data(), data.size());
  EXPECT_EQ(Hex(data), "46ecc87ac6c859");
}

TEST(CtrCipher, AnyRangeOfAFileIsEncryptedAsInTheWhole) {
  const CtrCipher cipher(CountingKey());
  std::string plain(300, '\0');
  for (size_t i = 0; i < plain.size(); ++i) plain[i] = static_cast<char>(i * 7);
  std::string whole = plain;
  cipher.Apply(0, whole.data(), whole.size());
  for (size_t offset = 0; offset < 40; ++offset) {
    for (const size_t size : {0, 1, 15, 16, 17, 200}) {
      std::string part = plain.substr(offset, size);
      cipher.Apply(offset, part.data(), part.size());
      EXPECT_EQ(part, whole.substr(offset, size)) << offset << " " << size;
      cipher.Apply(offset, part.data(), part.size());
      EXPECT_EQ(part, plain.substr(offset, size));
    }
  }
}

TEST(CtrCipher, OffsetsBeyondFourGibibytesHaveTheirOwnKeyStream) {
  const CtrCipher cipher(CountingKey());
  std::string a(32, '\0'), b(32, '\0');
  cipher.Apply(0, a.data(), a.size());
  cipher.Apply(uint64_t{1} << 36, b.data(), b.size());
  EXPECT_NE(a, b);
}

TEST(SealingKey, GivesTheGoldenVector) {
  CountingRandom random;
  const std::string sealed = SealingKey(CountingKey()).Seal("context", "value", random);
  EXPECT_EQ(Hex(sealed),
            "01000102030405060708090a0b0c0d0e0f1011121314151617a21f9408181d162e9fde8eab4975caefd551"
            "e9eff4");
  EXPECT_EQ(sealed.size(), 5 + SealingKey::kOverheadBytes);
}

TEST(SealingKey, OpensOnlyWhatItSealedForThatContext) {
  SystemRandom random;
  const SealingKey key(CountingKey());
  const std::string sealed = key.Seal("context", "value", random);
  EXPECT_EQ(*key.Open("context", sealed), "value");
  EXPECT_TRUE(absl::IsDataLoss(key.Open("other", sealed).status()));
  EXPECT_TRUE(absl::IsDataLoss(SealingKey(CountingKey(1)).Open("context", sealed).status()));
  for (size_t i = 0; i < sealed.size(); ++i) {
    EXPECT_TRUE(absl::IsDataLoss(key.Open("context", Flipped(sealed, i)).status())) << i;
    EXPECT_TRUE(absl::IsDataLoss(key.Open("context", sealed.substr(0, i)).status())) << i;
  }
  EXPECT_TRUE(absl::IsDataLoss(key.Open("context", sealed + "x").status()));
}

TEST(SealingKey, TheSameValueIsSealedDifferentlyEachTime) {
  SystemRandom random;
  const SealingKey key(CountingKey());
  EXPECT_NE(key.Seal("", "value", random), key.Seal("", "value", random));
}

TEST(SealingKey, AWrappedKeyIsThirtyTwoBytes) {
  SystemRandom random;
  const SealingKey key(CountingKey());
  EXPECT_EQ(key.UnwrapKey("k", key.WrapKey("k", CountingKey(5), random))->bytes(), Counting(32, 5));
  EXPECT_TRUE(absl::IsDataLoss(key.UnwrapKey("k", key.Seal("k", "short", random)).status()));
}

}  // namespace
}  // namespace meridian::crypto
