#include "server/standalone/cluster_connection.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/status.h"
#include "coordination/etcd/etcd_store.h"
#include "crypto/certificate_authority.h"
#include "crypto/internal/file_util.h"
#include "crypto/local_keyring.h"
#include "server/log.h"
#include "tenancy/shared_kms.h"

namespace meridian::server {
namespace {

namespace pb = ::meridian::internal::v1;

constexpr size_t kMaxPemBytes = 1 << 20;
constexpr absl::Duration kPause = absl::Seconds(1);

absl::StatusOr<TlsMaterial> ReadTls(const char* field, const pb::TlsFiles& files) {
  const auto read = [](const std::string& path) {
    return crypto::ReadSmallFile(path, kMaxPemBytes);
  };
  const auto read_all = [&]() -> absl::StatusOr<TlsMaterial> {
    TlsMaterial tls;
    ASSIGN_OR_RETURN(tls.ca_certificate, read(files.ca_certificate()));
    ASSIGN_OR_RETURN(tls.certificate, read(files.certificate()));
    ASSIGN_OR_RETURN(tls.private_key, read(files.private_key()));
    ASSIGN_OR_RETURN(const bool readable_by_others,
                     crypto::IsReadableByOthers(files.private_key()));
    if (readable_by_others) {
      return absl::InvalidArgumentError(absl::StrCat("others than its owner may read ",
                                                     files.private_key(), ": run chmod 600 on it"));
    }
    return tls;
  };
  absl::StatusOr<TlsMaterial> tls = read_all();
  if (!tls.ok()) return Annotate(tls.status(), absl::StrCat("field ", field));
  return tls;
}

absl::Status CheckCertificate(const pb::NodeConfig& config, const TlsMaterial& tls) {
  const std::string& file = config.tls().certificate();
  const auto names = crypto::SubjectAltDnsNames(tls.certificate);
  if (!names.ok()) return Annotate(names.status(), file);
  const NodeId issued_to = crypto::NodeOfCertificate(*names);
  if (issued_to == config.node_id()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      file, " was issued to \"", issued_to, "\", and this is node \"", config.node_id(),
      "\": give the node's own, made by `meridian ca ", "issue ", config.node_id(), "`"));
}

absl::StatusOr<std::unique_ptr<crypto::Kms>> OpenKeyring(const pb::Kms& config, Random& random) {
  ASSIGN_OR_RETURN(const std::string passphrase,
                   config.passphrase_file().empty()
                       ? crypto::PassphraseFromEnvironment(config.passphrase_environment().c_str())
                       : crypto::PassphraseFromFile(config.passphrase_file()));
  return crypto::LocalKeyring::Open(config.keyring_file(), passphrase, random);
}

absl::StatusOr<std::unique_ptr<coordination::CoordinationStore>> OpenStore(const pb::Etcd& config) {
  ASSIGN_OR_RETURN(TlsMaterial tls, ReadTls("etcd.tls", config.tls()));
  coordination::EtcdOptions options;
  options.endpoints.assign(config.endpoints().begin(), config.endpoints().end());
  options.tls = coordination::EtcdTls{std::move(tls.ca_certificate), std::move(tls.certificate),
                                      std::move(tls.private_key)};
  options.key_prefix = config.key_prefix();
  auto store = coordination::OpenEtcdStore(std::move(options));
  if (!store.ok()) return Annotate(store.status(), "field etcd");
  return *std::move(store);
}

}  // namespace

absl::StatusOr<std::unique_ptr<ClusterConnection>> ClusterConnection::Open(
    const pb::NodeConfig& config, Random& random) {
  std::unique_ptr<ClusterConnection> connection(new ClusterConnection);
  ASSIGN_OR_RETURN(connection->tls_, ReadTls("tls", config.tls()));
  RETURN_IF_ERROR(CheckCertificate(config, connection->tls_));
  auto keyring = OpenKeyring(config.kms(), random);
  if (!keyring.ok()) return Annotate(keyring.status(), "field kms");
  connection->keyring_ = *std::move(keyring);
  ASSIGN_OR_RETURN(connection->store_, OpenStore(config.etcd()));
  connection->kms_ = tenancy::MakeSharedKms(*connection->keyring_, *connection->store_, random);
  return connection;
}

absl::StatusOr<tenancy::Cluster> ClusterConnection::AwaitCluster() const {
  const absl::Time end = absl::Now() + kWait;
  auto cluster = tenancy::OpenCluster(*store_, *kms_);
  while (absl::IsUnavailable(cluster.status()) && absl::Now() < end) {
    Log(LogLevel::kWarning, "coordination", "waits for the coordination store",
        {{"error", cluster.status()}});
    absl::SleepFor(kPause);
    cluster = tenancy::OpenCluster(*store_, *kms_);
  }
  if (!cluster.ok()) return Annotate(cluster.status(), "reading the cluster's record");
  return cluster;
}

}  // namespace meridian::server
