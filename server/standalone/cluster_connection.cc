#include "server/standalone/cluster_connection.h"

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/status.h"
#include "coordination/etcd/etcd_store.h"
#include "crypto/certificate_authority.h"
#include "crypto/certificate_check.h"
#include "crypto/internal/file_util.h"
#include "crypto/local_keyring.h"
#include "replication/transport/renewing_certificates.h"
#include "server/log.h"
#include "tenancy/shared_kms.h"

namespace meridian::server {
namespace {

namespace pb = ::meridian::internal::v1;
using replication::CertificatePem;

constexpr size_t kMaxPemBytes = 1 << 20;
constexpr absl::Duration kPause = absl::Seconds(1);

// Of those that were read: whether they are what they have to be, where they are used.
using Check = std::function<absl::Status(const CertificatePem&)>;

absl::StatusOr<CertificatePem> ReadFiles(const pb::TlsFiles& files, const Check& check) {
  const auto read = [](const std::string& path) {
    return crypto::ReadSmallFile(path, kMaxPemBytes);
  };
  CertificatePem pem;
  ASSIGN_OR_RETURN(pem.ca_certificate, read(files.ca_certificate()));
  ASSIGN_OR_RETURN(pem.certificate, read(files.certificate()));
  ASSIGN_OR_RETURN(pem.private_key, read(files.private_key()));
  ASSIGN_OR_RETURN(const bool readable_by_others, crypto::IsReadableByOthers(files.private_key()));
  if (readable_by_others) {
    return absl::InvalidArgumentError(absl::StrCat("others than its owner may read ",
                                                   files.private_key(), ": run chmod 600 on it"));
  }
  // The key that is used is the first in both files.
  const std::string keys = absl::StrCat(pem.certificate, "\n", pem.private_key);
  RETURN_IF_ERROR(Annotate(
      crypto::CheckUsable(pem.ca_certificate, {pem.certificate, keys}),
      absl::StrCat(files.ca_certificate(), ", ", files.certificate(), ", ", files.private_key())));
  RETURN_IF_ERROR(check(pem));
  return pem;
}

// Reads the files now and again as long as what it returns is used; `renewal`: checks that a start
// does without, since a clock may be wrong then.
absl::StatusOr<TlsMaterial> OpenTls(const char* field, const pb::TlsFiles& files,
                                    const Check& check, const Check& renewal) {
  const absl::StatusOr<CertificatePem> first = ReadFiles(files, check);
  if (!first.ok()) return Annotate(first.status(), absl::StrCat("field ", field));
  replication::CertificateSource source;
  source.read = [files, check, renewal]() -> absl::StatusOr<CertificatePem> {
    ASSIGN_OR_RETURN(CertificatePem pem, ReadFiles(files, check));
    RETURN_IF_ERROR(Annotate(renewal(pem), files.certificate()));
    return pem;
  };
  source.told = [file = files.certificate()](const absl::Status& status) {
    if (status.ok()) {
      Log(LogLevel::kInfo, "tls", "renewed certificates are in use", {{"file", file}});
    } else {
      Log(LogLevel::kError, "tls", "certificates cannot be renewed, the last ones stay in use",
          {{"file", file}, {"error", status}});
    }
  };
  ASSIGN_OR_RETURN(auto renewed, replication::RenewCertificates(*first, std::move(source)));
  return TlsMaterial{first->ca_certificate, first->certificate, first->private_key,
                     std::move(renewed)};
}

absl::Status CheckIsOfNode(const pb::NodeConfig& config, const CertificatePem& pem) {
  const std::string& file = config.tls().certificate();
  const auto names = crypto::SubjectAltDnsNames(pem.certificate);
  if (!names.ok()) return Annotate(names.status(), file);
  const NodeId issued_to = crypto::NodeOfCertificate(*names);
  if (issued_to == config.node_id()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      file, " was issued to \"", issued_to, "\", and this is node \"", config.node_id(),
      "\": give the node's own, made by `meridian ca ", "issue ", config.node_id(), "`"));
}

// Every node of the cluster looks for the CA and for the time.
absl::StatusOr<TlsMaterial> OpenNodeTls(const pb::NodeConfig& config) {
  return OpenTls(
      "tls", config.tls(),
      [config](const CertificatePem& pem) { return CheckIsOfNode(config, pem); },
      [](const CertificatePem& pem) {
        return crypto::CheckIssued(pem.ca_certificate, pem.certificate, absl::Now());
      });
}

absl::StatusOr<std::unique_ptr<crypto::Kms>> OpenKeyring(const pb::Kms& config, Random& random) {
  ASSIGN_OR_RETURN(const std::string passphrase,
                   config.passphrase_file().empty()
                       ? crypto::PassphraseFromEnvironment(config.passphrase_environment().c_str())
                       : crypto::PassphraseFromFile(config.passphrase_file()));
  return crypto::LocalKeyring::Open(config.keyring_file(), passphrase, random);
}

absl::StatusOr<std::unique_ptr<coordination::CoordinationStore>> OpenStore(const pb::Etcd& config) {
  // What etcd accepts, it may have from another CA than its own certificate.
  const Check any = [](const CertificatePem&) { return absl::OkStatus(); };
  ASSIGN_OR_RETURN(TlsMaterial tls, OpenTls("etcd.tls", config.tls(), any, any));
  coordination::EtcdOptions options;
  options.endpoints.assign(config.endpoints().begin(), config.endpoints().end());
  options.tls = coordination::EtcdTls{std::move(tls.ca_certificate), std::move(tls.certificate),
                                      std::move(tls.private_key), std::move(tls.renewed)};
  options.key_prefix = config.key_prefix();
  auto store = coordination::OpenEtcdStore(std::move(options));
  if (!store.ok()) return Annotate(store.status(), "field etcd");
  return *std::move(store);
}

}  // namespace

absl::StatusOr<std::unique_ptr<ClusterConnection>> ClusterConnection::Open(
    const pb::NodeConfig& config, Random& random) {
  std::unique_ptr<ClusterConnection> connection(new ClusterConnection);
  ASSIGN_OR_RETURN(connection->tls_, OpenNodeTls(config));
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
