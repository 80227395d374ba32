#include "server/node.h"

#include <atomic>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "base/cluster_format.h"
#include "base/executor.h"
#include "base/status.h"
#include "replication/transport/node_transport.h"
#include "server/await.h"
#include "server/catalog_warmer.h"
#include "server/cluster_format.h"
#include "server/cluster_records.h"
#include "server/conversion_driver.h"
#include "server/disk_registry.h"
#include "server/group_scrubber.h"
#include "server/group_scrubs.h"
#include "server/log.h"
#include "server/node_publisher.h"
#include "server/node_service.h"
#include "server/ops/partition.h"
#include "server/partition_closer.h"
#include "server/periodic.h"
#include "server/replica_host.h"
#include "server/split_keeper.h"
#include "server/store_calls.h"
#include "server/telemetry/call_observer.h"
#include "server/telemetry/node_metrics.h"
#include "storage/objects/object_state_machine.h"
#include "storage/objects/records.h"

namespace meridian::server {
namespace {

// Of calls that are cancelled when they may not go on any longer.
constexpr absl::Duration kCancelTime = absl::Milliseconds(500);
constexpr absl::Duration kExpiryInterval = absl::Minutes(1);
// Between looks for what requests will need of the catalog.
constexpr absl::Duration kWarmInterval = absl::Seconds(2);
// The rows of groups are compared at this part of the rate at which a disk is verified: they are
// few beside the bodies, and pass through the caches that requests use.
constexpr uint64_t kStatesPartOfScrub = 8;
// Of a group; one without a quorum takes all of it.
constexpr absl::Duration kExpiryTimeout = absl::Seconds(2);
// A copy of a disk that is put back is recognised if it is older than the last recording but one.
constexpr absl::Duration kRecordDisksInterval = absl::Minutes(5);
constexpr absl::Duration kPublishRetry = absl::Seconds(1);
// After a node has died, new replicas are placed on it for no longer than this.
constexpr absl::Duration kPresenceTtl = absl::Seconds(10);
constexpr absl::Duration kViewTimeout = absl::Seconds(10);

// Members are destroyed by hand, in the order of Stop: the users of a thing before the thing.
class ServingNode final : public Node {
 public:
  ServingNode(const Platform& platform, NodeOptions options)
      : platform_(platform),
        options_(std::move(options)),
        calls_(options_.id, options_.slow_request, platform.random),
        closer_(platform.coordination) {}
  ~ServingNode() override { Stop(); }

  absl::Status Start() {
    strand_ = MakeThreadExecutor(options_.id);
    // Before anything is read that may be of a later version.
    RETURN_IF_ERROR(
        ReserveClusterFormat(platform_.coordination, options_.id, kNewestClusterFormat));
    rebuild_throttle_ =
        std::make_unique<replication::RebuildThrottle>(*strand_, options_.rebuild_rate);
    RETURN_IF_ERROR(OpenDisks());
    RETURN_IF_ERROR(StartTransport());
    StartReplicas();
    RETURN_IF_ERROR(StartServer());
    MakeWarmer();
    RETURN_IF_ERROR(Publish());
    published_ = true;
    // What has failed since Publish looked.
    Upkeep(absl::ZeroDuration(), [this] { PublishAgain(); });
    presence_ = platform_.coordination.Announce(AliveKeyOf(options_.id), "", kPresenceTtl);
    placement_ = std::make_unique<PlacementKeeper>(
        PlacementKeeper::Environment{options_.id, *host_, api_->view, platform_.coordination,
                                     platform_.clock, platform_.random, options_.placement});
    splits_ = std::make_unique<SplitKeeper>(SplitKeeper::Environment{
        options_.id, *host_, api_->view, platform_.coordination, api_->containers, platform_.clock,
        platform_.random, options_.splits});
    StartGroupScrubber();
    StartConversions();
    expiry_ = MakeThreadExecutor(options_.id + "-expiry");
    ScheduleExpiry(*expiry_);
    WarmCatalog();
    RecordDisks();
    server_->SetServing(true);
    return absl::OkStatus();
  }

  const std::string& public_endpoint() const override { return server_->endpoint(); }

  void CollectMetrics(MetricsBuilder& out) const override {
    std::vector<NodeId> peers;
    for (const auto& [node, record] : api_->view.nodes()) peers.push_back(node);
    CollectNodeMetrics({options_.id, options_.region, options_.zone, calls_, *disks_, *host_,
                        group_scrubs_, *transport_, std::move(peers), server_->endpoint()},
                       kMetricsTime, out);
  }

  void Drain(absl::Time deadline) override {
    presence_.reset();  // no replica is placed here any more
    // A handler that waits for a quorum or the coordination store outlasts its call: the checkpoint
    // does not wait for it.
    if (drainer_ == nullptr) drainer_ = MakeThreadExecutor(options_.id + "-drain");
    AwaitUntil<bool>(deadline + kCancelTime, [&](std::function<void(bool)> done) {
      drainer_->Post([this, deadline, done = std::move(done)] {
        server_->Shutdown(deadline);
        done(true);
      });
    });
    disks_->Checkpoint(absl::Now() + kCheckpointTime);
  }

 private:
  absl::Status OpenDisks();
  absl::Status StartTransport();
  void StartReplicas();
  absl::Status StartServer();
  void StartGroupScrubber();
  absl::Status Publish();
  void PublishAgain();
  // Runs it on a thread of the node's own, unless the node stops before.
  void Upkeep(absl::Duration delay, Task task) ABSL_LOCKS_EXCLUDED(upkeep_mutex_);
  void ScheduleExpiry(Executor& expiry);
  void ForgetExpired();
  void MakeWarmer();
  void WarmCatalog();
  void RecordDisks();
  void StartConversions();
  void Stop();

  const Platform& platform_;
  const NodeOptions options_;
  CallObserver calls_;
  const objects::ObjectStateMachine state_machine_;
  PartitionCloser closer_;
  GroupScrubs group_scrubs_;
  NodeServiceHandlers node_service_;
  std::unique_ptr<replication::RebuildThrottle> rebuild_throttle_;  // outlives the strand
  std::unique_ptr<ReplicaHost> host_;  // outlives the strand, whose tasks look replicas up in it
  std::unique_ptr<Executor> strand_;
  std::unique_ptr<NodeDisks> disks_;
  std::unique_ptr<replication::NodeTransport> transport_;
  std::unique_ptr<Api> api_;
  std::unique_ptr<PublicServer> server_;
  std::unique_ptr<Executor> drainer_;  // of Drain
  absl::Mutex upkeep_mutex_;
  // Publishes, records disks, and warms the catalog. Null once the node stops.
  std::unique_ptr<Executor> upkeep_ ABSL_GUARDED_BY(upkeep_mutex_) =
      MakeThreadExecutor(options_.id + "-upkeep");
  // Forgets what has expired, which groups without a quorum hold up.
  std::unique_ptr<Executor> expiry_;
  std::unique_ptr<NodePublisher> publisher_;  // used by Start, then on upkeep_
  std::atomic<bool> published_{false};        // once
  std::unique_ptr<CatalogWarmer> warmer_;     // used on upkeep_
  std::unique_ptr<coordination::CoordinationStore::Presence> presence_;
  std::unique_ptr<PlacementKeeper> placement_;
  std::unique_ptr<SplitKeeper> splits_;
  std::unique_ptr<GroupScrubber> group_scrubber_;  // null: the options say so
  std::unique_ptr<ConversionDriver> conversions_;
  std::unique_ptr<Periodic> conversion_rounds_;
};

absl::Status ServingNode::OpenDisks() {
  NodeDisks::Options disks;
  disks.folders = options_.disks;
  disks.store = options_.disk;
  disks.store.cluster = platform_.cluster;
  disks.store.node = options_.id;
  disks.store.strand = strand_.get();
  disks.store.clock = &platform_.clock;
  disks.store.random = &platform_.random;
  disks.store.memory = options_.rocks_memory;
  disks.store.record_opening = [this](const storage::DiskOpening& opening) {
    return RecordDiskOpening(platform_.coordination, options_.id, opening);
  };
  disks.open_disk = options_.open_disk;
  disks.on_out_of_service = [this] { Upkeep(absl::ZeroDuration(), [this] { PublishAgain(); }); };
  ASSIGN_OR_RETURN(disks_, NodeDisks::Open(std::move(disks), platform_.kms));
  std::vector<DiskId> opened;
  for (const storage::DiskStore* store : disks_->stores()) opened.push_back(store->disk_id());
  publisher_ =
      std::make_unique<NodePublisher>(platform_.coordination, options_.id, std::move(opened));
  return absl::OkStatus();
}

absl::Status ServingNode::StartTransport() {
  replication::NodeTransportOptions transport;
  transport.cluster = platform_.cluster;
  transport.self = options_.id;
  transport.ca_certificate = options_.tls.ca_certificate;
  transport.certificate = options_.tls.certificate;
  transport.private_key = options_.tls.private_key;
  transport.renewed = options_.tls.renewed;
  transport.listen_address = options_.internal_address;
  transport.services = {&node_service_};
  transport.interceptors = [this] {
    return calls_.Observe({internal::v1::NodeService::service_full_name()});
  };
  ASSIGN_OR_RETURN(transport_,
                   replication::StartNodeTransport(
                       std::move(transport), *strand_, platform_.random,
                       [this](const NodeId& from, replication::PeerMessage message) {
                         strand_->Post([this, from, message = std::move(message)]() mutable {
                           if (host_ == nullptr) return;
                           host_->OnMessage(from, std::move(message));
                         });
                       }));
  return absl::OkStatus();
}

void ServingNode::StartReplicas() {
  auto host = std::make_unique<ReplicaHost>(ReplicaHost::Environment{
      options_.id, *strand_, platform_.clock, platform_.random, *transport_, platform_.coordination,
      disks_->stores(), state_machine_, objects::EncodeAbortRun, options_.replica,
      options_.placement.keep_unnamed, objects::Limits().retention, rebuild_throttle_.get()});
  // The strand reads host_.
  AwaitUntil<bool>(absl::InfiniteFuture(), [&](std::function<void(bool)> done) {
    strand_->Post([this, &host, done = std::move(done)] {
      host_ = std::move(host);
      done(true);
    });
  });
  host_->Start();
  node_service_.Serve(*host_, closer_, group_scrubs_, disks_->Describe());
}

absl::Status ServingNode::StartServer() {
  ApiPlace place;
  place.self = options_.id;
  place.tls = options_.tls;
  place.host = host_.get();
  place.reachable = [this](const NodeId& node) {
    return transport_->GetLinkStatus(node).connected;
  };
  place.admit = [this](DiskId disk) { return disks_->AdmitNewData(disk); };
  place.nodes_changed = [this](const std::map<NodeId, NodeRecord>& nodes) {
    std::set<NodeId> callers{options_.id};
    if (!options_.front.empty()) callers.insert(options_.front);
    for (const auto& [node, record] : nodes) {
      transport_->SetPeerAddress(node, record.internal_endpoint);
      callers.insert(node);
    }
    node_service_.SetNodes(std::move(callers));
  };
  api_ = std::make_unique<Api>(platform_, std::move(place));
  RETURN_IF_ERROR(api_->view.WaitUntilRead(kViewTimeout));
  ASSIGN_OR_RETURN(server_,
                   PublicServer::Start(*api_, calls_, options_.tls, options_.public_address,
                                       options_.server_resources));
  return absl::OkStatus();
}

void ServingNode::StartGroupScrubber() {
  const storage::ScrubOptions& scrub = options_.disk.scrub;
  const uint64_t bytes_per_second = scrub.bytes_per_second / kStatesPartOfScrub;
  if (bytes_per_second == 0) return;
  group_scrubber_ = std::make_unique<GroupScrubber>(
      GroupScrubber::Environment{options_.id,
                                 *host_,
                                 platform_.clock,
                                 group_scrubs_,
                                 {bytes_per_second, scrub.pass_interval}});
}

absl::Status ServingNode::Publish() {
  const auto advertised = [](const std::string& configured, const std::string& own) {
    return configured.empty() ? own : configured;
  };
  const NodeRecord record{
      advertised(options_.advertised_public_address, server_->endpoint()),
      advertised(options_.advertised_internal_address, transport_->listen_address()),
      disks_->InService(),
      options_.region,
      options_.zone,
      kNewestClusterFormat};
  return publisher_->Publish(record);
}

void ServingNode::Upkeep(absl::Duration delay, Task task) {
  absl::MutexLock lock(&upkeep_mutex_);
  if (upkeep_ != nullptr) upkeep_->PostAfter(delay, std::move(task));
}

// The set of disks in service has changed.
void ServingNode::PublishAgain() {
  if (!published_) return;  // Start does
  const absl::Status status = Publish();
  if (status.ok()) return;
  if (!absl::IsUnavailable(status)) {
    Log(LogLevel::kWarning, "node", "cannot tell its disks",
        {{"node", options_.id}, {"error", status}});
    return;
  }
  Upkeep(kPublishRetry, [this] { PublishAgain(); });
}

void ServingNode::ScheduleExpiry(Executor& expiry) {
  expiry.PostAfter(kExpiryInterval, [this, &expiry] {
    ForgetExpired();
    ScheduleExpiry(expiry);
  });
}

void ServingNode::ForgetExpired() {
  for (const std::shared_ptr<HostedReplica>& replica : host_->List()) {
    const auto group = api_->view.FindGroup(replica->identity().partition);
    if (!group || group->config.leader != replica->identity().replica) continue;
    const absl::Status status =
        ops::ForgetExpired(*replica, platform_.clock.WallNow(), absl::Now() + kExpiryTimeout);
    // Else the leader has changed or has no quorum: then it is another's to do, or done later.
    if (!status.ok() && !absl::IsUnavailable(status) && !absl::IsDeadlineExceeded(status)) {
      Log(LogLevel::kWarning, "node", "cannot forget what has expired",
          {{"node", options_.id},
           {"group", replica->identity().partition.ToHex()},
           {"error", status}});
    }
  }
}

void ServingNode::MakeWarmer() {
  const auto partitions = [this] {
    std::map<PartitionId, PartitionRecord> here;
    for (const std::shared_ptr<HostedReplica>& replica : host_->List()) {
      const PartitionId partition = replica->identity().partition;
      if (auto record = api_->view.FindPartition(partition)) here[partition] = *std::move(record);
    }
    return here;
  };
  warmer_ = std::make_unique<CatalogWarmer>(CatalogWarmer::Environment{
      partitions, api_->store, api_->catalog_changes, api_->directory, api_->authenticator});
}

void ServingNode::WarmCatalog() {
  Upkeep(kWarmInterval, [this] {
    warmer_->Round();
    WarmCatalog();
  });
}

void ServingNode::RecordDisks() {
  Upkeep(kRecordDisksInterval, [this] {
    const absl::Status recorded = disks_->RecordOpenings();
    if (!recorded.ok()) {
      Log(LogLevel::kWarning, "disk", "cannot be recorded as open; tried again later",
          {{"error", recorded}});
    }
    RecordDisks();
  });
}

void ServingNode::StartConversions() {
  conversions_ = std::make_unique<ConversionDriver>(ConversionDriver::Environment{
      options_.id, api_->conversions, api_->containers, api_->store, api_->view, *api_->peers,
      platform_.clock, options_.conversions});
  conversion_rounds_ =
      std::make_unique<Periodic>(options_.id + "-conversions", options_.conversions.interval,
                                 [this] { conversions_->Round(); });
}

void ServingNode::Stop() {
  // Calls that wait for a replica are answered by its end, so that the server's handlers return.
  if (host_ != nullptr) host_->BeginStop();
  // And what waits for a disk by that one's, before anybody who does is waited for.
  if (disks_ != nullptr) disks_->BeginStop();
  presence_.reset();
  splits_.reset();
  placement_.reset();
  group_scrubber_.reset();
  if (conversions_ != nullptr) conversions_->BeginStop();
  conversion_rounds_.reset();
  conversions_.reset();
  std::unique_ptr<Executor> upkeep;
  {
    absl::MutexLock lock(&upkeep_mutex_);
    upkeep = std::move(upkeep_);
  }
  upkeep.reset();  // a task that runs comes to its end
  expiry_.reset();
  drainer_.reset();
  server_.reset();
  if (host_ != nullptr) host_->Stop();
  api_.reset();
  transport_.reset();
  disks_.reset();
  strand_.reset();
  host_.reset();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Node>> Node::Start(const Platform& platform, NodeOptions options) {
  const NodeId id = options.id;
  auto node = std::make_unique<ServingNode>(platform, std::move(options));
  const absl::Status status = node->Start();
  if (!status.ok()) return Annotate(status, absl::StrCat("node ", id));
  return node;
}

}  // namespace meridian::server
