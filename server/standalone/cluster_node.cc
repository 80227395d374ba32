#include "server/standalone/cluster_node.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "crypto/cluster_key.h"
#include "server/api.h"
#include "server/node.h"
#include "server/public_server.h"
#include "server/standalone/cluster_connection.h"
#include "server/telemetry/metrics_builder.h"
#include "server/telemetry/metrics_server.h"
#include "storage/rocks/rocks_kv.h"
#include "tenancy/bootstrap.h"

namespace meridian::server {
namespace {

namespace pb = ::meridian::internal::v1;

constexpr size_t kMib = 1 << 20;

NodeOptions OptionsOf(const pb::NodeConfig& config, const TlsMaterial& tls) {
  NodeOptions options;
  options.id = config.node_id();
  options.region = config.region();
  options.zone = config.zone();
  for (const std::string& folder : config.data_folders()) {
    options.disks.push_back({folder + "/node.key", folder + "/store"});
  }
  options.tls = tls;
  options.public_address = config.public_().listen();
  options.internal_address = config.internal().listen();
  options.advertised_public_address = config.public_().advertise();
  options.advertised_internal_address = config.internal().advertise();
  options.disk.scrub.bytes_per_second = config.scrub_mib_per_second() * kMib;
  options.rebuild_rate = uint64_t{config.rebuild_mib_per_second()} * kMib;
  if (config.has_slow_request_ms()) {
    options.slow_request = absl::Milliseconds(config.slow_request_ms());
  }
  options.placement.patience = absl::Seconds(config.rebuild_after_seconds());
  const pb::Memory& memory = config.memory();
  options.server_resources =
      MakeServerResources(static_cast<int>(memory.max_threads()), memory.grpc_buffers_mib() * kMib);
  options.rocks_memory =
      storage::MakeRocksMemory(memory.block_cache_mib() * kMib, memory.memtables_mib() * kMib);
  return options;
}

class EtcdClusterNode final : public ClusterNode {
 public:
  EtcdClusterNode(Clock& clock, Random& random) : clock_(clock), random_(random) {}

  absl::Status Start(const pb::NodeConfig& config) {
    ASSIGN_OR_RETURN(connection_, ClusterConnection::Open(config, random_));
    const absl::StatusOr<tenancy::Cluster> cluster = connection_->AwaitCluster();
    if (absl::IsNotFound(cluster.status())) {
      return absl::FailedPreconditionError(
          absl::StrCat("there is no cluster under ", config.etcd().key_prefix(),
                       " in etcd: run `meridiand init --config FILE --profile OUT` once, on one "
                       "node, or mend etcd.key_prefix"));
    }
    RETURN_IF_ERROR(cluster.status());
    cluster_key_ = std::make_unique<crypto::ClusterKey>(cluster->key);
    platform_.reset(new Platform{cluster->id, clock_, random_, connection_->kms(), *cluster_key_,
                                 connection_->store(), /*dev=*/nullptr});
    ASSIGN_OR_RETURN(node_, Node::Start(*platform_, OptionsOf(config, connection_->tls())));
    return StartMetrics(config.metrics_listen());
  }

  const std::string& endpoint() const override { return node_->public_endpoint(); }
  void Drain(absl::Time deadline) override { node_->Drain(deadline); }

 private:
  absl::Status StartMetrics(const std::string& listen_address) {
    if (listen_address.empty()) return absl::OkStatus();
    ASSIGN_OR_RETURN(metrics_, MetricsServer::Start(listen_address, connection_->tls(), [this] {
                       MetricsBuilder page;
                       node_->CollectMetrics(page);
                       return page.Text();
                     }));
    return absl::OkStatus();
  }

  Clock& clock_;
  Random& random_;
  // In the order of dependence.
  std::unique_ptr<ClusterConnection> connection_;
  std::unique_ptr<crypto::ClusterKey> cluster_key_;
  std::unique_ptr<Platform> platform_;
  std::unique_ptr<Node> node_;
  std::unique_ptr<MetricsServer> metrics_;  // null: not asked for
};

}  // namespace

absl::StatusOr<std::unique_ptr<ClusterNode>> ClusterNode::Start(const pb::NodeConfig& config,
                                                                Clock& clock, Random& random) {
  auto node = std::make_unique<EtcdClusterNode>(clock, random);
  RETURN_IF_ERROR(node->Start(config));
  return node;
}

}  // namespace meridian::server
