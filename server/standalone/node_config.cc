#include "server/standalone/node_config.h"

#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/text_format.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "crypto/internal/file_util.h"

namespace meridian::server {
namespace {

namespace pb = ::meridian::internal::v1;

constexpr size_t kMaxFileBytes = 1 << 20;
constexpr size_t kMaxNameBytes = 63;
constexpr size_t kMaxDataFolders = 64;
constexpr uint32_t kDefaultBlockCacheMib = 128;
constexpr uint32_t kDefaultMemtablesMib = 128;
constexpr uint32_t kDefaultGrpcBuffersMib = 192;
constexpr uint32_t kDefaultThreads = 256;
constexpr uint32_t kDefaultScrubMibPerSecond = 8;
constexpr uint32_t kMaxScrubMibPerSecond = 1024;
constexpr uint32_t kDefaultRebuildAfterSeconds = 600;
constexpr uint32_t kMinRebuildAfterSeconds = 5;
constexpr uint32_t kMaxRebuildAfterSeconds = 86'400;
constexpr uint32_t kMinGrpcBuffersMib = 16;
constexpr uint32_t kDefaultRebuildMibPerSecond = 32;
constexpr uint32_t kMaxRebuildMibPerSecond = 1 << 20;
constexpr uint32_t kMinThreads = 16;

class Errors final : public google::protobuf::io::ErrorCollector {
 public:
  explicit Errors(const std::string& path) : path_(path) {}

  // From 0; protobuf says "no field named" of a field that it does not know.
  void AddError(int line, google::protobuf::io::ColumnNumber column,
                const std::string& message) override {
    absl::StrAppend(&text_, text_.empty() ? "" : "\n", path_, ":", line + 1, ":", column + 1, ": ",
                    message);
  }
  void AddWarning(int line, google::protobuf::io::ColumnNumber column,
                  const std::string& message) override {
    AddError(line, column, message);
  }

  absl::Status status() const {
    return absl::InvalidArgumentError(absl::StrCat(
        text_, "\nThe fields are described in docs/operations.md and node_config.proto."));
  }
  bool empty() const { return text_.empty(); }

 private:
  const std::string path_;
  std::string text_;
};

// Checks and completes a configuration. The first thing wrong is kept.
class Checker {
 public:
  Checker(pb::NodeConfig& config, const std::string& path)
      : config_(config), path_(path), folder_(std::filesystem::path(path).parent_path()) {}

  absl::Status Check() {
    CheckName("node_id", config_.node_id());
    CheckName("region", config_.region());
    CheckName("zone", config_.zone());
    CheckDataFolders();
    CheckListener("public", *config_.mutable_public_());
    CheckListener("internal", *config_.mutable_internal());
    CheckTls("tls", *config_.mutable_tls());
    CheckEtcd(*config_.mutable_etcd());
    CheckKms(*config_.mutable_kms());
    CheckMemory(*config_.mutable_memory());
    CheckScrub();
    if (!config_.metrics_listen().empty()) CheckAddress("metrics_listen", config_.metrics_listen());
    CheckRebuild();
    return error_;
  }

 private:
  void Wrong(const std::string& field, const std::string& what) {
    if (error_.ok()) {
      error_ = absl::InvalidArgumentError(absl::StrCat(path_, ": field ", field, " ", what));
    }
  }
  bool Require(const std::string& field, const std::string& value, const std::string& example) {
    if (!value.empty()) return true;
    Wrong(field, absl::StrCat("is missing: for example ", example));
    return false;
  }

  void CheckName(const std::string& field, const std::string& name) {
    if (!Require(field, name, absl::StrCat(field, ": \"east-1\""))) return;
    const bool valid = name.size() <= kMaxNameBytes && name[0] != '-' &&
                       std::all_of(name.begin(), name.end(), [](char c) {
                         return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
                       });
    if (!valid) {
      Wrong(field, absl::StrCat("is \"", name,
                                "\": it must be 1-63 characters of [a-z0-9-], not beginning with "
                                "'-'"));
    }
  }

  // Relative to the file's folder.
  void CheckPath(const std::string& field, std::string& path, const std::string& example) {
    if (!Require(field, path, absl::StrCat(field, ": \"", example, "\""))) return;
    path = (folder_ / path).lexically_normal().string();
    if (path.size() > 1 && path.ends_with('/')) path.pop_back();
  }

  void CheckDataFolders() {
    if (config_.data_folders().empty()) {
      Wrong("data_folders",
            "is missing: one line a disk, for example data_folders: "
            "\"/srv/disk1/meridian\"");
    }
    if (static_cast<size_t>(config_.data_folders_size()) > kMaxDataFolders) {
      Wrong("data_folders", absl::StrCat("has more than ", kMaxDataFolders, " values"));
    }
    std::set<std::string> seen;
    for (std::string& folder : *config_.mutable_data_folders()) {
      CheckPath("data_folders", folder, "/srv/disk1/meridian");
      if (!seen.insert(folder).second) {
        Wrong("data_folders", absl::StrCat("has ", folder, " twice: a disk has one folder"));
      }
    }
  }

  void CheckAddress(const std::string& field, const std::string& address) {
    const size_t colon = address.rfind(':');
    int port = -1;
    if (colon == std::string::npos || colon == 0 ||
        !absl::SimpleAtoi(address.substr(colon + 1), &port) || port < 0 || port > 65535) {
      Wrong(field, absl::StrCat("is \"", address, "\": it must be HOST:PORT"));
    }
  }

  static bool IsAnyHost(const std::string& address) {
    return address.starts_with("0.0.0.0:") || address.starts_with("[::]:");
  }

  void CheckListener(const std::string& field, pb::Listener& listener) {
    const std::string listen = field + ".listen";
    if (!Require(listen, listener.listen(),
                 absl::StrCat(field, " { listen: \"10.0.0.1:7443\" }"))) {
      return;
    }
    CheckAddress(listen, listener.listen());
    if (!listener.advertise().empty()) {
      CheckAddress(field + ".advertise", listener.advertise());
      if (IsAnyHost(listener.advertise())) {
        Wrong(field + ".advertise", "must name one host, by which others reach this node");
      }
    } else if (IsAnyHost(listener.listen())) {
      Wrong(field + ".advertise",
            "is missing: others cannot connect to 0.0.0.0; give the HOST:PORT by which they reach "
            "this node");
    }
  }

  void CheckTls(const std::string& field, pb::TlsFiles& tls) {
    CheckPath(field + ".ca_certificate", *tls.mutable_ca_certificate(), "ca.crt");
    CheckPath(field + ".certificate", *tls.mutable_certificate(), "node.crt");
    CheckPath(field + ".private_key", *tls.mutable_private_key(), "node.key");
  }

  void CheckEtcd(pb::Etcd& etcd) {
    if (etcd.endpoints().empty()) {
      Wrong("etcd.endpoints",
            "is missing: one line a member, for example endpoints: \"10.0.0.1:2379\"");
    }
    for (const std::string& endpoint : etcd.endpoints()) CheckAddress("etcd.endpoints", endpoint);
    if (etcd.has_tls()) {
      CheckTls("etcd.tls", *etcd.mutable_tls());
    } else {
      *etcd.mutable_tls() = config_.tls();
    }
    const std::string& prefix = etcd.key_prefix();
    if (!Require("etcd.key_prefix", prefix, "key_prefix: \"/meridian/production/\"")) return;
    if (prefix.size() < 2 || !prefix.starts_with('/') || !prefix.ends_with('/')) {
      Wrong("etcd.key_prefix", absl::StrCat("is \"", prefix, "\": it must begin and end with '/'"));
    }
  }

  void CheckKms(pb::Kms& kms) {
    CheckPath("kms.keyring_file", *kms.mutable_keyring_file(), "keyring");
    if (kms.passphrase_file().empty() == kms.passphrase_environment().empty()) {
      Wrong("kms.passphrase_file",
            "or kms.passphrase_environment says what opens the keyring: give exactly one of them");
    }
    if (!kms.passphrase_file().empty()) {
      CheckPath("kms.passphrase_file", *kms.mutable_passphrase_file(), "keyring.passphrase");
    }
  }

  void CheckScrub() {
    if (config_.scrub_mib_per_second() == 0) {
      config_.set_scrub_mib_per_second(kDefaultScrubMibPerSecond);
    }
    if (config_.scrub_mib_per_second() > kMaxScrubMibPerSecond) {
      Wrong("scrub_mib_per_second", absl::StrCat("must be 1-", kMaxScrubMibPerSecond));
    }
  }

  void CheckRebuild() {
    if (config_.rebuild_after_seconds() == 0) {
      config_.set_rebuild_after_seconds(kDefaultRebuildAfterSeconds);
    }
    if (config_.rebuild_after_seconds() < kMinRebuildAfterSeconds ||
        config_.rebuild_after_seconds() > kMaxRebuildAfterSeconds) {
      Wrong("rebuild_after_seconds",
            absl::StrCat("must be ", kMinRebuildAfterSeconds, "-", kMaxRebuildAfterSeconds));
    }
    if (config_.rebuild_mib_per_second() == 0) {
      config_.set_rebuild_mib_per_second(kDefaultRebuildMibPerSecond);
    }
    if (config_.rebuild_mib_per_second() > kMaxRebuildMibPerSecond) {
      Wrong("rebuild_mib_per_second", absl::StrCat("must be at most ", kMaxRebuildMibPerSecond));
    }
  }

  void CheckMemory(pb::Memory& memory) {
    const auto fill = [](uint32_t given, uint32_t otherwise) {
      return given == 0 ? otherwise : given;
    };
    memory.set_block_cache_mib(fill(memory.block_cache_mib(), kDefaultBlockCacheMib));
    memory.set_memtables_mib(fill(memory.memtables_mib(), kDefaultMemtablesMib));
    memory.set_grpc_buffers_mib(fill(memory.grpc_buffers_mib(), kDefaultGrpcBuffersMib));
    memory.set_max_threads(fill(memory.max_threads(), kDefaultThreads));
    if (memory.grpc_buffers_mib() < kMinGrpcBuffersMib) {
      Wrong("memory.grpc_buffers_mib", absl::StrCat("must be at least ", kMinGrpcBuffersMib));
    }
    if (memory.max_threads() < kMinThreads || memory.max_threads() > INT32_MAX) {
      Wrong("memory.max_threads", absl::StrCat("must be at least ", kMinThreads));
    }
  }

  pb::NodeConfig& config_;
  const std::string path_;
  const std::filesystem::path folder_;
  absl::Status error_;
};

}  // namespace

absl::StatusOr<pb::NodeConfig> ParseNodeConfig(std::string_view text, const std::string& path) {
  Errors errors(path);
  google::protobuf::TextFormat::Parser parser;
  parser.RecordErrorsTo(&errors);
  pb::NodeConfig config;
  if (!parser.ParseFromString(std::string(text), &config) || !errors.empty()) {
    return errors.status();
  }
  RETURN_IF_ERROR(Checker(config, path).Check());
  return config;
}

absl::StatusOr<pb::NodeConfig> ReadNodeConfig(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, crypto::ReadSmallFile(path, kMaxFileBytes));
  return ParseNodeConfig(text, path);
}

}  // namespace meridian::server
