#include "server/standalone/node_config.h"

#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_replace.h"
#include "base/status.h"
#include "tests/temp_folder.h"

namespace meridian::server {
namespace {

constexpr char kMinimal[] = R"(node_id: "east-1a"
region: "east"
zone: "east-1"
data_folders: "/srv/disk1/meridian"
data_folders: "/srv/disk2/meridian/"
public { listen: "0.0.0.0:7443" advertise: "a.example:7443" }
internal { listen: "10.0.0.1:7444" }
tls { ca_certificate: "ca.crt" certificate: "node.crt" private_key: "/secret/node.key" }
etcd { endpoints: "10.0.0.1:2379" endpoints: "10.0.0.2:2379" key_prefix: "/meridian/test/" }
kms { keyring_file: "keyring" passphrase_file: "keyring.passphrase" }
)";

absl::StatusOr<internal::v1::NodeConfig> Parse(const std::string& text) {
  return ParseNodeConfig(text, "/etc/meridian/node.textproto");
}

// The error of kMinimal with one thing replaced.
std::string ErrorWith(const std::string& from, const std::string& to) {
  const std::string text = absl::StrReplaceAll(kMinimal, {{from, to}});
  EXPECT_NE(text, kMinimal) << from << " is not there";
  const auto config = Parse(text);
  EXPECT_TRUE(absl::IsInvalidArgument(config.status())) << to << ": " << config.status();
  return std::string(FromAbsl(config.status().message()));
}

TEST(NodeConfig, IsReadAndCompleted) {
  const auto config = Parse(kMinimal);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->node_id(), "east-1a");
  EXPECT_EQ(config->data_folders(0), "/srv/disk1/meridian");
  EXPECT_EQ(config->data_folders(1), "/srv/disk2/meridian");
  EXPECT_EQ(config->public_().advertise(), "a.example:7443");
  EXPECT_EQ(config->tls().ca_certificate(), "/etc/meridian/ca.crt") << "beside the file";
  EXPECT_EQ(config->tls().private_key(), "/secret/node.key");
  EXPECT_EQ(config->etcd().tls().certificate(), "/etc/meridian/node.crt") << "as the node's";
  EXPECT_EQ(config->kms().passphrase_file(), "/etc/meridian/keyring.passphrase");
  EXPECT_GT(config->memory().block_cache_mib(), 0u);
  EXPECT_EQ(config->rebuild_mib_per_second(), 32u);
  EXPECT_GT(config->memory().max_threads(), 0u);
  EXPECT_EQ(config->scrub_mib_per_second(), 8u);
  EXPECT_EQ(config->rebuild_after_seconds(), 600u);
}

TEST(NodeConfig, ThereAreNoMetricsUnlessAskedForAndEveryCallIsLoggedOnlyIfSo) {
  const auto without = Parse(kMinimal);
  ASSERT_TRUE(without.ok()) << without.status();
  EXPECT_TRUE(without->metrics_listen().empty());
  EXPECT_FALSE(without->has_slow_request_ms());
  const auto with =
      Parse(std::string(kMinimal) + "metrics_listen: \"10.0.0.1:7445\" slow_request_ms: 0");
  ASSERT_TRUE(with.ok()) << with.status();
  EXPECT_EQ(with->metrics_listen(), "10.0.0.1:7445");
  EXPECT_TRUE(with->has_slow_request_ms());
}

TEST(NodeConfig, AnUnknownFieldIsNamedWithItsLine) {
  const std::string error = ErrorWith("zone: \"east-1\"", "zone: \"east-1\"\nrack: \"r7\"");
  EXPECT_TRUE(absl::StrContains(error, "/etc/meridian/node.textproto:4:")) << error;
  EXPECT_TRUE(absl::StrContains(error, "rack")) << error;
  EXPECT_TRUE(absl::StrContains(error, "docs/operations.md")) << error;
}

TEST(NodeConfig, WhatCannotBeReadIsToldWithItsLine) {
  EXPECT_TRUE(absl::StrContains(ErrorWith("zone: \"east-1\"", "zone: east-1"), ":3:"));
  EXPECT_TRUE(absl::StrContains(ErrorWith("zone: \"east-1\"", "zone: \"a\" zone: \"b\""), ":3:"));
  EXPECT_TRUE(absl::StrContains(ErrorWith("kms {", "kms { keyring_file: 7"), ":10:"));
}

TEST(NodeConfig, EveryMissingFieldIsNamed) {
  EXPECT_TRUE(absl::StrContains(ErrorWith("node_id: \"east-1a\"", ""), "node_id is missing"));
  EXPECT_TRUE(absl::StrContains(ErrorWith("region: \"east\"", ""), "region is missing"));
  EXPECT_TRUE(absl::StrContains(ErrorWith("zone: \"east-1\"", ""), "zone is missing"));
  EXPECT_TRUE(absl::StrContains(ErrorWith("listen: \"10.0.0.1:7444\"", ""), "internal.listen"));
  EXPECT_TRUE(absl::StrContains(ErrorWith("certificate: \"node.crt\"", ""), "tls.certificate"));
  EXPECT_TRUE(
      absl::StrContains(ErrorWith("key_prefix: \"/meridian/test/\"", ""), "etcd.key_prefix"));
  EXPECT_TRUE(absl::StrContains(ErrorWith("keyring_file: \"keyring\"", ""), "kms.keyring_file"));
  EXPECT_TRUE(
      absl::StrContains(ErrorWith("passphrase_file: \"keyring.passphrase\"", ""), "exactly one"));
  EXPECT_TRUE(
      absl::StrContains(ErrorWith("endpoints: \"10.0.0.1:2379\" endpoints: \"10.0.0.2:2379\"", ""),
                        "etcd.endpoints is missing"));
}

TEST(NodeConfig, WhatCannotWorkIsRefused) {
  ErrorWith("east-1a", "East 1a");
  ErrorWith("east-1a", "a.example");
  ErrorWith("/srv/disk2/meridian/", "/srv/disk1/meridian");
  ErrorWith("advertise: \"a.example:7443\"", "");
  ErrorWith("a.example:7443", "0.0.0.0:7443");
  ErrorWith("10.0.0.1:7444", "10.0.0.1");
  ErrorWith("10.0.0.1:7444", "10.0.0.1:99999");
  ErrorWith("10.0.0.2:2379", ":2379");
  ErrorWith("/meridian/test/", "meridian");
  ErrorWith("passphrase_file:", "passphrase_environment: \"P\" passphrase_file:");
  ErrorWith("kms {", "memory { max_threads: 1 } kms {");
  ErrorWith("kms {", "metrics_listen: \"10.0.0.1\" kms {");
  ErrorWith("kms {", "rebuild_after_seconds: 4 kms {");
  ErrorWith("kms {", "rebuild_after_seconds: 86401 kms {");
}

TEST(NodeConfig, AFileThatIsNotThereIsNamed) {
  TempFolder folder;
  const std::string path = folder.path() + "/node.textproto";
  const auto missing = ReadNodeConfig(path);
  EXPECT_TRUE(absl::IsNotFound(missing.status())) << missing.status();
  EXPECT_TRUE(absl::StrContains(missing.status().message(), path));
  std::ofstream(path) << kMinimal;
  const auto config = ReadNodeConfig(path);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->tls().ca_certificate(), folder.path() + "/ca.crt");
}

}  // namespace
}  // namespace meridian::server
