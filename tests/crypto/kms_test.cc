// Every Kms passes the conformance test (tests/tenancy/shared_kms_test.cc has another one); the
// local keyring also survives what happens to files.
#include "crypto/kms.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>

#include "absl/strings/escaping.h"
#include "crypto/keyring_file.h"
#include "crypto/local_keyring.h"
#include "tests/crypto/kms_conformance.h"
#include "tests/crypto/memory_kms.h"
#include "tests/crypto/testing.h"
#include "tests/temp_folder.h"

namespace meridian::crypto {
namespace {

constexpr uint64_t kFastScryptN = 1024;
constexpr std::string_view kPassphrase = "correct horse";

std::string ReadFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream bytes;
  bytes << in.rdbuf();
  return bytes.str();
}

void WriteFile(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

int PermissionsOf(const std::string& path) {
  struct stat info;
  return stat(path.c_str(), &info) == 0 ? info.st_mode & 0777 : -1;
}

INSTANTIATE_TEST_SUITE_P(
    All, KmsConformance,
    ::testing::Values(Provider{"Memory",
                               [](const std::string&, Random& random) -> std::shared_ptr<Kms> {
                                 return std::make_shared<MemoryKms>(random);
                               }},
                      Provider{
                          "LocalKeyring",
                          [](const std::string& folder, Random& random) -> std::shared_ptr<Kms> {
                            const std::string path = folder + "/keyring";
                            EXPECT_TRUE(
                                LocalKeyring::Create(path, kPassphrase, random, kFastScryptN).ok());
                            return *LocalKeyring::Open(path, kPassphrase, random);
                          }}),
    [](const auto& info) { return info.param.name; });

class LocalKeyringTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(LocalKeyring::Create(path_, kPassphrase, random_, kFastScryptN).ok());
  }
  absl::StatusOr<std::unique_ptr<Kms>> Open(std::string_view passphrase = kPassphrase) {
    return LocalKeyring::Open(path_, passphrase, random_);
  }

  TempFolder folder_;
  SystemRandom random_;
  const std::string path_ = folder_.path() + "/keyring";
};

TEST_F(LocalKeyringTest, KeysAndDestructionsAreThereAfterARestart) {
  std::string wrapped, gone;
  {
    const auto kms = *Open();
    ASSERT_TRUE(kms->CreateKey("a").ok());
    ASSERT_TRUE(kms->CreateKey("b").ok());
    wrapped = *kms->Wrap("a", "c", CountingKey());
    gone = *kms->Wrap("b", "c", CountingKey());
    ASSERT_TRUE(kms->DestroyKey("b").ok());
  }
  const auto kms = *Open();
  EXPECT_EQ(kms->Unwrap("a", "c", wrapped)->bytes(), Counting(32));
  EXPECT_TRUE(absl::IsNotFound(kms->Unwrap("b", "c", gone).status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(kms->CreateKey("b")));
}

TEST_F(LocalKeyringTest, AWrongPassphraseIsToldFromDamage) {
  for (const char* wrong : {"Correct horse", "", "correct horse\n"}) {
    EXPECT_TRUE(absl::IsPermissionDenied(Open(wrong).status())) << Open(wrong).status();
  }
}

TEST_F(LocalKeyringTest, EveryFlippedByteIsNoticed) {
  ASSERT_TRUE((*Open())->CreateKey("a").ok());
  const std::string good = ReadFile(path_);
  // Each step costs a derivation; the first bytes and the seal's are all tried.
  for (size_t i = 0; i < good.size(); ++i) {
    WriteFile(path_, Flipped(good, i));
    EXPECT_TRUE(absl::IsDataLoss(Open().status())) << i << " " << Open().status();
  }
  WriteFile(path_, good);
  EXPECT_TRUE(Open().ok());
}

TEST_F(LocalKeyringTest, ATruncatedOrEmptyFileIsDamagedAndAMissingOneMissing) {
  const std::string good = ReadFile(path_);
  for (const size_t size : {size_t{0}, size_t{1}, size_t{50}, good.size() - 1}) {
    WriteFile(path_, good.substr(0, size));
    EXPECT_TRUE(absl::IsDataLoss(Open().status())) << size;
  }
  std::filesystem::remove(path_);
  EXPECT_TRUE(absl::IsNotFound(Open().status()));
}

TEST_F(LocalKeyringTest, IsNeverOverwrittenByANewOne) {
  ASSERT_TRUE((*Open())->CreateKey("a").ok());
  EXPECT_TRUE(absl::IsAlreadyExists(
      LocalKeyring::Create(path_, "another passphrase", random_, kFastScryptN)));
  EXPECT_TRUE(absl::IsAlreadyExists((*Open())->CreateKey("a")));
}

TEST_F(LocalKeyringTest, AKeyThatCouldNotBeMadeDurableDoesNotExist) {
  const auto kms = *Open();
  // No file replaces a folder.
  std::filesystem::remove(path_);
  ASSERT_TRUE(std::filesystem::create_directories(path_ + "/x"));
  EXPECT_FALSE(kms->CreateKey("a").ok());
  EXPECT_TRUE(absl::IsNotFound(kms->Wrap("a", "c", CountingKey()).status()));
  std::filesystem::remove_all(path_);
  EXPECT_TRUE(kms->CreateKey("a").ok());
}

TEST_F(LocalKeyringTest, OnlyItsOwnerCanReadIt) {
  EXPECT_EQ(PermissionsOf(path_), 0600);
  ASSERT_TRUE((*Open())->CreateKey("a").ok());
  EXPECT_EQ(PermissionsOf(path_), 0600);
}

TEST(KeyringFile, RefusesCostsThatAreNoneOfScrypts) {
  for (const uint64_t n : {uint64_t{0}, uint64_t{512}, uint64_t{1025}, uint64_t{1} << 21}) {
    EXPECT_TRUE(absl::IsInvalidArgument(DerivePassphraseKeys("p", "salt", n).status())) << n;
  }
}

// The file of version 1, as every later version must read it: made by EncodeKeyringFile with salt
// and nonce 0, 1, 2, ... and checked by an implementation in another language.
TEST(KeyringFile, TheGoldenFileIsReadAndWritten) {
  CountingRandom random;
  const PassphraseKeys keys = *DerivePassphraseKeys(kPassphrase, Counting(32), kFastScryptN);
  KeyringHeader header{kFastScryptN, Counting(32), keys.check};
  KeyringEntries entries;
  entries.emplace("cluster", KeyringEntry{false, CountingKey()});
  entries.emplace("tenant/1", KeyringEntry{true, SecretKey::Zero()});
  const std::string file = EncodeKeyringFile(header, SealingKey(keys.sealing_key), entries, random);
  const std::string golden =
      "4d52444e4b455953000000010000000000000400000102030405060708090a0b0c0d0e0f101112131415"
      "161718191a1b1c1d1e1f848dc7bea5d38a44d5767fb1af8a4eb1d820b70a01000102030405060708090a"
      "0b0c0d0e0f1011121314151617cb3147aaf77f8ea817ad239d7a12f9e526a7b91bb171b5784218b03345"
      "b7aa0b7fcd022283a993d8a723c08908682fc98d95e63169d67d014e67eae4c314ce20d698f1f3f18ae1"
      "25a79dab9bbd4b516a5cb7509540861fc30e8f1ca24fa5ea61a13382";
  EXPECT_EQ(Hex(file), golden);

  TempFolder folder;
  const std::string path = folder.path() + "/keyring";
  WriteFile(path, absl::HexStringToBytes(golden));
  const auto kms = LocalKeyring::Open(path, kPassphrase, random);
  ASSERT_TRUE(kms.ok()) << kms.status();
  EXPECT_TRUE(absl::IsAlreadyExists((*kms)->CreateKey("cluster")));
  EXPECT_TRUE(absl::IsFailedPrecondition((*kms)->CreateKey("tenant/1")));
}

TEST(Passphrase, IsReadFromAFileOfItsOwner) {
  TempFolder folder;
  SystemRandom random;
  const std::string path = folder.path() + "/passphrase";
  ASSERT_TRUE(WriteNewPassphraseFile(path, random).ok());
  EXPECT_EQ(PassphraseFromFile(path)->size(), 64u);
  EXPECT_EQ(PermissionsOf(path), 0600);
  EXPECT_TRUE(absl::IsAlreadyExists(WriteNewPassphraseFile(path, random)));
  ASSERT_EQ(chmod(path.c_str(), 0640), 0);
  EXPECT_TRUE(absl::IsInvalidArgument(PassphraseFromFile(path).status()));
  EXPECT_TRUE(absl::IsNotFound(PassphraseFromFile(folder.path() + "/missing").status()));
  WriteFile(path, "\n");
  ASSERT_EQ(chmod(path.c_str(), 0600), 0);
  EXPECT_TRUE(absl::IsInvalidArgument(PassphraseFromFile(path).status())) << "empty";
  WriteFile(path, "a passphrase \n\n");
  EXPECT_EQ(*PassphraseFromFile(path), "a passphrase \n") << "one newline is dropped, no more";
}

TEST(Passphrase, IsReadFromTheEnvironment) {
  ASSERT_EQ(setenv("MERIDIAN_TEST_PASSPHRASE", "secret", 1), 0);
  EXPECT_EQ(*PassphraseFromEnvironment("MERIDIAN_TEST_PASSPHRASE"), "secret");
  ASSERT_EQ(setenv("MERIDIAN_TEST_PASSPHRASE", "", 1), 0);
  EXPECT_TRUE(
      absl::IsInvalidArgument(PassphraseFromEnvironment("MERIDIAN_TEST_PASSPHRASE").status()));
  ASSERT_EQ(unsetenv("MERIDIAN_TEST_PASSPHRASE"), 0);
  EXPECT_TRUE(absl::IsNotFound(PassphraseFromEnvironment("MERIDIAN_TEST_PASSPHRASE").status()));
}

}  // namespace
}  // namespace meridian::crypto
