#include "server/peer_client.h"

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/mutex.h"
#include "base/status.h"
#include "meridian/internal/v1/cluster.grpc.pb.h"
#include "replication/transport/node_credentials.h"
#include "server/grpc_status.h"
#include "server/telemetry/call_record.h"

namespace meridian::server {
namespace {

namespace pb = ::meridian::internal::v1;
using Stub = pb::NodeService::Stub;

constexpr absl::Duration kProbeTimeout = absl::Seconds(1);

// The deadline, and whose request it is for.
void Prepare(grpc::ClientContext& context, absl::Time deadline) {
  context.set_deadline(absl::ToChronoTime(deadline));
  if (const CallRecord* const call = CallRecord::Current()) {
    context.AddMetadata(kTraceparent, call->trace().ToTraceparent());
  }
}

// Thread-safe.
class GrpcPeerClient final : public PeerClient {
 public:
  GrpcPeerClient(const ClusterView& view, TlsMaterial tls) : view_(view), tls_(std::move(tls)) {}

  std::map<NodeId, absl::StatusOr<pb::NodeStatus>> GetNodeStatuses(
      const std::vector<NodeId>& nodes, const pb::GetNodeStatusRequest& request,
      absl::Duration timeout) override {
    struct Call {
      std::shared_ptr<Stub> stub;
      grpc::ClientContext context;
      pb::NodeStatus response;
      grpc::Status status;
    };
    std::map<NodeId, absl::StatusOr<pb::NodeStatus>> answers;
    std::map<NodeId, Call> calls;
    for (const NodeId& node : nodes) {
      auto stub = StubOf(node);
      if (stub.ok()) {
        calls[node].stub = *std::move(stub);
      } else {
        answers.emplace(node, stub.status());
      }
    }
    const PhaseTimer timer(CallPhase::kNodes);
    absl::BlockingCounter pending(static_cast<int>(calls.size()));
    for (auto& [node, started] : calls) {
      Call* const call = &started;
      Prepare(call->context, absl::Now() + timeout);
      call->stub->async()->GetNodeStatus(&call->context, &request, &call->response,
                                         [&pending, call](grpc::Status status) {
                                           call->status = std::move(status);
                                           pending.DecrementCount();
                                         });
    }
    pending.Wait();
    for (auto& [node, call] : calls) {
      if (call.status.ok()) {
        answers.emplace(node, std::move(call.response));
      } else {
        answers.emplace(node, FromGrpcStatus(call.status));
      }
    }
    return answers;
  }

  bool Reachable(const NodeId& node) override {
    const absl::StatusOr<std::shared_ptr<Peer>> peer = PeerOf(node);
    if (!peer.ok()) return false;
    if ((*peer)->channel->GetState(/*try_to_connect=*/false) == GRPC_CHANNEL_READY) {
      (*peer)->reachable = true;
    } else {
      Probe(*peer);
    }
    return (*peer)->reachable;
  }

  absl::Status CheckEmpty(const tenancy::PartitionRange& range, absl::Time deadline) override {
    pb::ClosePartitionRequest request = RequestOf(range);
    request.set_check_only(true);
    pb::ClosePartitionResponse response;
    return AskLeader(range.partition, deadline, &Stub::ClosePartition, request, response);
  }

  absl::StatusOr<int64_t> ClosePartition(const tenancy::PartitionRange& range,
                                         absl::Time deadline) override {
    pb::ClosePartitionRequest request = RequestOf(range);
    pb::ClosePartitionResponse response;
    RETURN_IF_ERROR(AskLeader(range.partition, deadline, &Stub::ClosePartition, request, response));
    return response.group_revision();
  }

  absl::Status ReopenPartition(PartitionId partition, absl::Time deadline) override {
    pb::ReopenPartitionRequest request;
    pb::ReopenPartitionResponse response;
    return AskLeader(partition, deadline, &Stub::ReopenPartition, request, response);
  }

  absl::Status SetVersioning(PartitionId partition, bool keep_versions, uint64_t generation,
                             absl::Time deadline) override {
    pb::SetVersioningRequest request;
    request.set_keep_versions(keep_versions);
    request.set_generation(generation);
    pb::SetVersioningResponse response;
    return AskLeader(partition, deadline, &Stub::SetVersioning, request, response);
  }

 private:
  struct Peer {
    std::string endpoint;
    std::shared_ptr<grpc::Channel> channel;
    std::shared_ptr<Stub> stub;
    // As of the last probe, or of the channel's state.
    std::atomic<bool> reachable{true};
    std::atomic<bool> probing{false};
  };

  static pb::ClosePartitionRequest RequestOf(const tenancy::PartitionRange& range) {
    pb::ClosePartitionRequest request;
    request.set_begin_name(range.start);
    request.set_end_name(range.end);
    return request;
  }

  // Connects, by a call whose answer does not matter but for its coming.
  static void Probe(const std::shared_ptr<Peer>& peer) {
    if (peer->probing.exchange(true)) return;
    struct Call {
      std::shared_ptr<Peer> peer;
      grpc::ClientContext context;
      pb::GetNodeStatusRequest request;
      pb::NodeStatus response;
    };
    auto call = std::make_shared<Call>();
    call->peer = peer;
    call->request.add_partition_ids(std::string(PartitionId().bytes()));  // nobody's
    Prepare(call->context, absl::Now() + kProbeTimeout);
    peer->stub->async()->GetNodeStatus(&call->context, &call->request, &call->response,
                                       [call](const grpc::Status& status) {
                                         call->peer->reachable = status.ok();
                                         call->peer->probing = false;
                                       });
  }

  template <typename Request, typename Response>
  absl::Status AskLeader(PartitionId partition, absl::Time deadline,
                         grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                      Response*),
                         Request& request, Response& response) {
    const std::optional<ClusterView::Group> group = view_.FindGroup(partition);
    const replication::Member* leader = group ? ClusterView::LeaderOf(group->config) : nullptr;
    if (leader == nullptr) return absl::UnavailableError("the partition has no leader");
    ASSIGN_OR_RETURN(const std::shared_ptr<Stub> stub, StubOf(leader->node));
    request.set_partition_id(std::string(partition.bytes()));
    grpc::ClientContext context;
    Prepare(context, deadline);
    const PhaseTimer timer(CallPhase::kNodes);
    const grpc::Status status = ((*stub).*method)(&context, request, &response);
    if (status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) {
      return absl::UnavailableError("the partition's leader did not answer in time");
    }
    return FromGrpcStatus(status);
  }

  absl::StatusOr<std::shared_ptr<Stub>> StubOf(const NodeId& node) {
    ASSIGN_OR_RETURN(const std::shared_ptr<Peer> peer, PeerOf(node));
    return peer->stub;
  }

  absl::StatusOr<std::shared_ptr<Peer>> PeerOf(const NodeId& node) ABSL_LOCKS_EXCLUDED(mutex_) {
    const std::map<NodeId, NodeRecord> nodes = view_.nodes();
    const auto record = nodes.find(node);
    if (record == nodes.end()) {
      return absl::UnavailableError(absl::StrCat("node ", node, " has never started"));
    }
    const std::string& endpoint = record->second.internal_endpoint;
    absl::MutexLock lock(&mutex_);
    std::shared_ptr<Peer>& peer = peers_[node];
    if (peer == nullptr || peer->endpoint != endpoint) {
      grpc::ChannelArguments arguments;
      arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 50);
      arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
      peer = std::make_shared<Peer>();
      peer->endpoint = endpoint;
      peer->channel = grpc::CreateCustomChannel(
          endpoint,
          replication::NodeChannelCredentials(
              {tls_.ca_certificate, tls_.certificate, tls_.private_key, tls_.renewed}, node),
          arguments);
      peer->stub = pb::NodeService::NewStub(peer->channel);
    }
    return peer;
  }

  const ClusterView& view_;
  const TlsMaterial tls_;
  absl::Mutex mutex_;
  std::map<NodeId, std::shared_ptr<Peer>> peers_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

std::unique_ptr<PeerClient> MakePeerClient(const ClusterView& view, TlsMaterial tls) {
  return std::make_unique<GrpcPeerClient>(view, std::move(tls));
}

}  // namespace meridian::server
