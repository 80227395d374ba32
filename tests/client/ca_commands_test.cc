// `meridian ca` and `meridian keyring`: files for the nodes of a cluster.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

#include "base/random.h"
#include "client/cli/commands.h"
#include "client/cli/exit_code.h"
#include "crypto/certificate_authority.h"
#include "crypto/local_keyring.h"
#include "tests/temp_folder.h"

namespace meridian::cli {
namespace {

namespace fs = std::filesystem;

class CaCommandsTest : public testing::Test {
 protected:
  std::string Path(const std::string& name) const { return folder_.path() + "/" + name; }

  int Run(const std::vector<std::string>& arguments) {
    std::vector<const char*> argv = {"meridian"};
    for (const std::string& argument : arguments) argv.push_back(argument.c_str());
    std::ostringstream out;
    std::ostringstream err;
    const int code = Main(static_cast<int>(argv.size()), argv.data(), out, err);
    out_ = out.str();
    err_ = err.str();
    return code;
  }
  std::string ReadFile(const std::string& name) const {
    std::ifstream file(Path(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  int PermissionsOf(const std::string& name) const {
    struct stat info;
    return stat(Path(name).c_str(), &info) == 0 ? info.st_mode & 0777 : -1;
  }

  TempFolder folder_;
  std::string out_;
  std::string err_;
};

TEST_F(CaCommandsTest, ANodesCertificateNamesItAndItsHosts) {
  ASSERT_EQ(Run({"ca", "init", Path("ca")}), kOk) << err_;
  ASSERT_EQ(Run({"ca", "issue", "east-1a", "--ca", Path("ca"), "--out", Path("a"), "--host",
                 "a.example", "--host", "10.0.0.1"}),
            kOk)
      << err_;
  const auto names = crypto::SubjectAltDnsNames(ReadFile("a.crt"));
  ASSERT_TRUE(names.ok()) << names.status();
  EXPECT_EQ(crypto::NodeOfCertificate(*names), "east-1a");
  EXPECT_NE(std::find(names->begin(), names->end(), "a.example"), names->end());
  EXPECT_EQ(PermissionsOf("a.key"), 0600);
  EXPECT_EQ(PermissionsOf("ca/ca.key"), 0600);
}

TEST_F(CaCommandsTest, NothingIsOverwritten) {
  ASSERT_EQ(Run({"ca", "init", Path("ca")}), kOk) << err_;
  const std::string key = ReadFile("ca/ca.key");
  EXPECT_NE(Run({"ca", "init", Path("ca")}), kOk);
  EXPECT_NE(err_.find("exists"), std::string::npos) << err_;
  EXPECT_EQ(ReadFile("ca/ca.key"), key);

  std::ofstream(Path("a.key")) << "another";
  EXPECT_NE(Run({"ca", "issue", "a", "--ca", Path("ca"), "--out", Path("a")}), kOk);
  EXPECT_EQ(ReadFile("a.key"), "another");
  EXPECT_FALSE(fs::exists(Path("a.crt")));
}

TEST_F(CaCommandsTest, WhatCannotWorkIsExplained) {
  EXPECT_NE(Run({"ca", "issue", "a", "--ca", Path("none"), "--out", Path("a")}), kOk);
  EXPECT_NE(err_.find("meridian ca init"), std::string::npos) << err_;
  ASSERT_EQ(Run({"ca", "init", Path("ca")}), kOk) << err_;
  EXPECT_NE(Run({"ca", "issue", "Not A Node", "--ca", Path("ca"), "--out", Path("b")}), kOk)
      << err_;
  EXPECT_NE(Run({"ca", "issue", "b", "--ca", Path("ca"), "--out", Path("no/folder/b")}), kOk);
  std::ofstream(Path("ca/ca.key")) << "damaged";
  EXPECT_NE(Run({"ca", "issue", "c", "--ca", Path("ca"), "--out", Path("c")}), kOk);
  EXPECT_FALSE(fs::exists(Path("c.crt")));
}

TEST_F(CaCommandsTest, AKeyringHasARootAndAPassphraseFile) {
  ASSERT_EQ(Run({"keyring", "init", Path("k"), "--passphrase-file", Path("p")}), kOk) << err_;
  EXPECT_EQ(PermissionsOf("k"), 0600);
  EXPECT_EQ(PermissionsOf("p"), 0600);
  SystemRandom random;
  const auto passphrase = crypto::PassphraseFromFile(Path("p"));
  ASSERT_TRUE(passphrase.ok()) << passphrase.status();
  const auto keyring = crypto::LocalKeyring::Open(Path("k"), *passphrase, random);
  ASSERT_TRUE(keyring.ok()) << keyring.status();
  EXPECT_TRUE(absl::IsAlreadyExists((*keyring)->CreateKey("root")));

  const std::string before = ReadFile("k");
  EXPECT_NE(Run({"keyring", "init", Path("k"), "--passphrase-file", Path("p")}), kOk);
  EXPECT_EQ(ReadFile("k"), before);
  // A passphrase that is there is used.
  ASSERT_EQ(Run({"keyring", "init", Path("k2"), "--passphrase-file", Path("p")}), kOk) << err_;
  EXPECT_TRUE(crypto::LocalKeyring::Open(Path("k2"), *passphrase, random).ok());
}

}  // namespace
}  // namespace meridian::cli
