#include "server/dev/dev_cluster.h"

#include <map>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "base/status.h"
#include "client/profile.h"
#include "coordination/embedded/embedded_store.h"
#include "crypto/cluster_key.h"
#include "crypto/node_key.h"
#include "server/api.h"
#include "server/dev/data_folder.h"
#include "server/errors.h"
#include "server/log.h"
#include "server/node.h"
#include "server/node_key_file.h"
#include "server/telemetry/call_observer.h"
#include "server/telemetry/metrics_builder.h"
#include "server/telemetry/metrics_server.h"
#include "storage/rocks/node_file_ciphers.h"
#include "storage/rocks/rocks_kv.h"
#include "tenancy/bootstrap.h"

namespace meridian::server {
namespace {

// Of all nodes together.
constexpr int kMaxThreads = 768;
constexpr size_t kGrpcBufferBytes = 96 << 20;
constexpr size_t kBlockCacheBytes = 48 << 20;
constexpr size_t kMemtableBytes = 48 << 20;
// The front's name in its certificate, and whose key the coordination store's files are under: no
// nodes of a topology, whose names hold no '.'.
constexpr char kFrontName[] = "front.meridian.dev";
constexpr char kCoordinationName[] = "coordination.meridian.dev";
constexpr char kAnyPort[] = "127.0.0.1:0";
constexpr absl::Duration kLeaderPoll = absl::Milliseconds(50);

absl::StatusOr<TlsMaterial> IssueTls(const crypto::CertificateAuthority& authority,
                                     const std::string& name,
                                     const std::vector<std::string>& more_hosts = {}) {
  ASSIGN_OR_RETURN(crypto::TlsIdentity identity, authority.IssueNode(name, more_hosts));
  return TlsMaterial{authority.certificate_pem(), std::move(identity.certificate_pem),
                     std::move(identity.private_key_pem)};
}

// The nodes, each running or stopped. Thread-safe: one node's starts and stops wait for one
// another.
class DevNodes final : public DevControl {
 public:
  // Both outlive it.
  DevNodes(const DataFolder& folder, const DevOptions& options)
      : folder_(folder),
        options_(options),
        resources_(MakeServerResources(kMaxThreads, kGrpcBufferBytes)),
        rocks_memory_(storage::MakeRocksMemory(kBlockCacheBytes, kMemtableBytes)) {
    for (const Topology::Node& node : folder.topology().nodes()) {
      slots_[node.id] = std::make_unique<Slot>();
    }
  }

  // Before any node is started.
  void SetPlatform(const Platform& platform) { platform_ = &platform; }
  const ServerResources& resources() const { return resources_; }

  absl::Status StartAll() { return StartMany(AllNodes()); }
  void StopAll() { StopMany(AllNodes()); }
  void DrainAll(absl::Time deadline) {
    InParallel(AllNodes(), [&](const NodeId&, Slot& slot) {
      absl::MutexLock lock(&slot.mutex);
      if (slot.node != nullptr) slot.node->Drain(deadline);
    });
  }

  // Of the nodes that run; those that start or stop just now are left out.
  void CollectMetrics(MetricsBuilder& out) {
    for (const auto& [node, slot] : slots_) CollectOne(*slot, out);
  }

  absl::Status StopNode(const NodeId& node) override {
    if (!slots_.contains(node)) return NodeOrZoneMissing(v1::ResourceMissing::NODE, node);
    StopMany({node});
    return absl::OkStatus();
  }
  absl::Status StartNode(const NodeId& node) override {
    if (!slots_.contains(node)) return NodeOrZoneMissing(v1::ResourceMissing::NODE, node);
    return StartMany({node});
  }
  absl::StatusOr<std::vector<NodeId>> StopZone(const std::string& zone) override {
    const Topology::Zone* found = folder_.topology().FindZone(zone);
    if (found == nullptr) return NodeOrZoneMissing(v1::ResourceMissing::ZONE, zone);
    StopMany(found->nodes);
    return found->nodes;
  }
  absl::StatusOr<std::vector<NodeId>> StartZone(const std::string& zone) override {
    const Topology::Zone* found = folder_.topology().FindZone(zone);
    if (found == nullptr) return NodeOrZoneMissing(v1::ResourceMissing::ZONE, zone);
    RETURN_IF_ERROR(StartMany(found->nodes));
    return found->nodes;
  }
  NodeState StateOf(const NodeId& node) const override {
    const Slot& slot = *slots_.at(node);
    absl::MutexLock lock(&slot.state_mutex);
    return slot.state;
  }

 private:
  struct Slot {
    absl::Mutex mutex;  // held while the node starts or stops; before state_mutex
    std::unique_ptr<Node> node ABSL_GUARDED_BY(mutex);
    mutable absl::Mutex state_mutex;
    NodeState state ABSL_GUARDED_BY(state_mutex) = NodeState::kStopped;

    void SetState(NodeState to) ABSL_LOCKS_EXCLUDED(state_mutex) {
      absl::MutexLock lock(&state_mutex);
      state = to;
    }
  };

  static void CollectOne(Slot& slot, MetricsBuilder& out) {
    if (!slot.mutex.TryLock()) return;
    if (slot.node != nullptr) slot.node->CollectMetrics(out);
    slot.mutex.Unlock();
  }

  std::vector<NodeId> AllNodes() const {
    std::vector<NodeId> nodes;
    for (const auto& [node, slot] : slots_) nodes.push_back(node);
    return nodes;
  }

  template <typename Action>
  void InParallel(const std::vector<NodeId>& nodes, const Action& action) {
    std::vector<std::thread> threads;
    for (const NodeId& node : nodes) {
      threads.emplace_back([this, &action, &node] { action(node, *slots_.at(node)); });
    }
    for (std::thread& thread : threads) thread.join();
  }

  void StopMany(const std::vector<NodeId>& nodes) {
    InParallel(nodes, [](const NodeId&, Slot& slot) {
      absl::MutexLock lock(&slot.mutex);
      slot.SetState(NodeState::kStopped);
      slot.node.reset();
    });
  }

  // All of them, even if some cannot be started; one of the errors.
  absl::Status StartMany(const std::vector<NodeId>& nodes) {
    absl::Mutex mutex;
    absl::Status result;
    InParallel(nodes, [&](const NodeId& id, Slot& slot) {
      const absl::Status status = StartOne(id, slot);
      absl::MutexLock lock(&mutex);
      if (result.ok()) result = status;
    });
    return result;
  }

  absl::Status StartOne(const NodeId& id, Slot& slot) {
    absl::MutexLock lock(&slot.mutex);
    if (slot.node != nullptr) return absl::OkStatus();
    slot.SetState(NodeState::kStarting);
    absl::StatusOr<std::unique_ptr<Node>> node = MakeNode(id);
    slot.SetState(node.ok() ? NodeState::kRunning : NodeState::kStopped);
    if (!node.ok()) {
      Log(LogLevel::kError, "node", "cannot start", {{"node", id}, {"error", node.status()}});
      return node.status();
    }
    slot.node = *std::move(node);
    return absl::OkStatus();
  }

  absl::StatusOr<std::unique_ptr<Node>> MakeNode(const NodeId& id) {
    NodeOptions options;
    const Topology::Node* place = folder_.topology().FindNode(id);
    options.id = id;
    options.region = place->region;
    options.zone = place->zone;
    options.disks = {{folder_.node_path(id) + "/node.key", folder_.node_path(id) + "/disk0"}};
    ASSIGN_OR_RETURN(options.tls, IssueTls(folder_.authority(), id));
    options.front = kFrontName;
    options.replica = options_.replica;
    options.placement = options_.placement;
    options.splits = options_.splits;
    options.conversions = options_.conversions;
    options.rebuild_rate = options_.rebuild_rate;
    options.disk = options_.disk;
    options.open_disk = options_.open_disk;
    options.server_resources = resources_;
    options.rocks_memory = rocks_memory_;
    options.slow_request = options_.slow_request;
    return Node::Start(*platform_, std::move(options));
  }

  const DataFolder& folder_;
  const DevOptions& options_;
  const ServerResources resources_;
  const std::shared_ptr<storage::RocksMemory> rocks_memory_;
  const Platform* platform_ = nullptr;
  std::map<NodeId, std::unique_ptr<Slot>> slots_;  // constant but for the slots' own fields
};

class EmbeddedDevCluster final : public DevCluster {
 public:
  EmbeddedDevCluster(const DevOptions& options, Clock& clock, Random& random)
      : options_(options),
        clock_(clock),
        random_(random),
        front_calls_(kFrontName, options.slow_request, random) {}
  ~EmbeddedDevCluster() override {
    metrics_.reset();
    front_.reset();
    if (nodes_ != nullptr) nodes_->StopAll();
    api_.reset();
  }

  absl::Status Start() {
    ASSIGN_OR_RETURN(folder_,
                     DataFolder::Open(options_.data_folder, options_.topology, clock_, random_));
    RETURN_IF_ERROR(OpenCoordination());
    ASSIGN_OR_RETURN(tenancy::Cluster cluster,
                     tenancy::OpenOrCreateCluster(*coordination_, folder_->kms(), clock_, random_));
    cluster_key_ = std::make_unique<crypto::ClusterKey>(cluster.key);
    nodes_ = std::make_unique<DevNodes>(*folder_, options_);
    platform_.reset(new Platform{cluster.id, clock_, random_, folder_->kms(), *cluster_key_,
                                 *coordination_, nodes_.get()});
    nodes_->SetPlatform(*platform_);
    RETURN_IF_ERROR(nodes_->StartAll());
    RETURN_IF_ERROR(StartFront());
    RETURN_IF_ERROR(StartMetrics());
    RETURN_IF_ERROR(WriteProfile(cluster.administrator_token));
    WaitForLeaders();
    front_->SetServing(true);
    return absl::OkStatus();
  }

  const std::string& endpoint() const override { return front_->endpoint(); }
  std::string metrics_endpoint() const override {
    return metrics_ == nullptr ? std::string() : metrics_->endpoint();
  }
  std::string profile_path() const override { return folder_->profile_path(); }

  void Drain(absl::Time deadline) override {
    front_->SetServing(false);
    // The nodes first: the front tells clients where to go while they still run.
    nodes_->DrainAll(deadline);
    front_->Shutdown(deadline);
  }

 private:
  absl::Status OpenCoordination() {
    ASSIGN_OR_RETURN(const crypto::SecretKey key,
                     OpenNodeKeyFile(folder_->coordination_key_path(), folder_->coordination_path(),
                                     kCoordinationName, folder_->kms(), random_));
    coordination_key_ = std::make_unique<crypto::NodeKey>(key);
    coordination_ciphers_ = std::make_unique<storage::NodeFileCiphers>(*coordination_key_, random_);
    ASSIGN_OR_RETURN(coordination_, coordination::OpenEmbeddedStore(folder_->coordination_path(),
                                                                    *coordination_ciphers_,
                                                                    options_.disk.rocks_env));
    if (options_.wrap_coordination) {
      coordination_ = options_.wrap_coordination(std::move(coordination_));
    }
    return absl::OkStatus();
  }

  absl::Status StartFront() {
    ApiPlace place;
    place.self = kFrontName;
    ASSIGN_OR_RETURN(const std::string last_endpoint, folder_->ReadEndpoint());
    const std::string wanted = options_.listen_address.value_or(
        last_endpoint.empty() ? std::string(kAnyPort) : last_endpoint);
    const std::string host = wanted.substr(0, wanted.rfind(':'));
    ASSIGN_OR_RETURN(front_tls_, IssueTls(folder_->authority(), kFrontName, {host}));
    place.tls = front_tls_;
    api_ = std::make_unique<Api>(*platform_, std::move(place));
    RETURN_IF_ERROR(api_->view.WaitUntilRead(options_.leader_wait));
    auto front = PublicServer::Start(*api_, front_calls_, front_tls_, wanted, nodes_->resources());
    if (!front.ok() && !options_.listen_address) {
      front = PublicServer::Start(*api_, front_calls_, front_tls_, kAnyPort, nodes_->resources());
    }
    RETURN_IF_ERROR(front.status());
    front_ = *std::move(front);
    return folder_->WriteEndpoint(front_->endpoint());
  }

  absl::Status StartMetrics() {
    if (!options_.metrics_listen_address) return absl::OkStatus();
    ASSIGN_OR_RETURN(metrics_,
                     MetricsServer::Start(*options_.metrics_listen_address, front_tls_, [this] {
                       MetricsBuilder page;
                       front_calls_.Collect({{"node", kFrontName}}, page);
                       nodes_->CollectMetrics(page);
                       return page.Text();
                     }));
    return absl::OkStatus();
  }

  // The administrator's key is shown once, in the profile; if that is lost, another is made.
  absl::Status WriteProfile(std::optional<std::string> administrator_token) {
    if (!administrator_token) {
      const absl::StatusOr<Profile> kept = LoadProfile(folder_->profile_path());
      if (kept.ok()) administrator_token = kept->access_key;
    }
    if (!administrator_token) {
      ASSIGN_OR_RETURN(const tenancy::CreatedAccessKey created,
                       api_->access_keys.CreateAdministrator("administrator"));
      administrator_token = created.token;
    }
    Profile profile;
    profile.endpoints = {front_->endpoint()};
    profile.ca_pem = folder_->authority().certificate_pem();
    profile.access_key = *administrator_token;
    return SaveProfile(profile, folder_->profile_path());
  }

  // After a start all groups are without one, since leadership does not survive its process (P1).
  void WaitForLeaders() {
    const absl::Time deadline = absl::Now() + options_.leader_wait;
    while (absl::Now() < deadline) {
      if (AllGroupsServe()) return;
      absl::SleepFor(kLeaderPoll);
    }
    Log(LogLevel::kWarning, "dev", "not every group has a leader yet; serving nevertheless");
  }

  bool AllGroupsServe() {
    std::map<std::string, bool> serving;  // by partition id
    for (const auto& [partition, group] : api_->view.groups()) {
      serving[std::string(partition.bytes())] = false;
    }
    if (serving.empty()) return true;
    std::vector<NodeId> nodes;
    for (const Topology::Node& node : folder_->topology().nodes()) nodes.push_back(node.id);
    for (const auto& [node, status] : api_->peers->GetNodeStatuses(nodes, {}, absl::Seconds(2))) {
      if (!status.ok()) continue;
      for (const auto& replica : status->replicas()) {
        if (replica.is_serving()) serving[replica.partition_id()] = true;
      }
    }
    for (const auto& [partition, serves] : serving) {
      if (!serves) return false;
    }
    return true;
  }

  const DevOptions options_;
  Clock& clock_;
  Random& random_;
  // In the order of dependence.
  CallObserver front_calls_;
  std::unique_ptr<DataFolder> folder_;
  std::unique_ptr<crypto::NodeKey> coordination_key_;
  std::unique_ptr<storage::NodeFileCiphers> coordination_ciphers_;
  std::unique_ptr<coordination::CoordinationStore> coordination_;
  std::unique_ptr<crypto::ClusterKey> cluster_key_;
  std::unique_ptr<DevNodes> nodes_;
  std::unique_ptr<Platform> platform_;
  std::unique_ptr<Api> api_;
  TlsMaterial front_tls_;
  std::unique_ptr<PublicServer> front_;
  std::unique_ptr<MetricsServer> metrics_;  // null: not asked for
};

}  // namespace

absl::StatusOr<std::unique_ptr<DevCluster>> DevCluster::Start(const DevOptions& options,
                                                              Clock& clock, Random& random) {
  auto cluster = std::make_unique<EmbeddedDevCluster>(options, clock, random);
  RETURN_IF_ERROR(cluster->Start());
  return cluster;
}

}  // namespace meridian::server
