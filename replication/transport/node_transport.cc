#include "replication/transport/node_transport.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "base/callback_queue.h"
#include "base/check.h"
#include "base/status.h"
#include "meridian/internal/v1/transport.grpc.pb.h"
#include "replication/transport/node_credentials.h"
#include "replication/transport/send_queue.h"
#include "replication/transport/stream.h"

namespace meridian::replication {
namespace {

namespace pb = ::meridian::internal::v1;

constexpr int kMaxStreamsOfAConnection = 4;
// Room for the envelope's header beside the messages.
constexpr size_t kMaxMessageBytes = kMaxEnvelopeBytes - 4096;
constexpr size_t kIncarnationBytes = 16;
constexpr int kKeepaliveMs = 10'000;

// The server's side of the service: hands every call to a function.
class Service final
    : public pb::NodeTransport::WithRawCallbackMethod_Stream<pb::NodeTransport::Service> {
 public:
  using Accept = std::function<RawServerReactor*(grpc::CallbackServerContext*)>;
  explicit Service(Accept accept) : accept_(std::move(accept)) {}
  RawServerReactor* Stream(grpc::CallbackServerContext* context) override {
    return accept_(context);
  }

 private:
  const Accept accept_;
};

class RefusedCall final : public RawServerReactor {
 public:
  explicit RefusedCall(const grpc::Status& why) { Finish(why); }
  void OnDone() override { delete this; }
};

// What connects this node with one other.
struct Link {
  Link(size_t max_queue_bytes) : queue(max_queue_bytes, kMaxMessageBytes) {}

  std::string address;                     // empty: not known
  std::shared_ptr<grpc::Channel> channel;  // to the address, if this node dials
  bool dialling = false;                   // a dialled stream exists, or its timer runs
  absl::Duration redial_delay;
  std::shared_ptr<Stream> stream;  // that messages go through; null: out of reach
  SendQueue queue;                 // empty without a stream
  PeerLinkStatus status;
};

// What is known of a stream.
struct StreamState {
  NodeId peer;              // empty until the first envelope of an accepted stream
  NodeId certified;         // by the certificate of an accepted stream's peer
  std::string incarnation;  // of the peer; empty until its first envelope
  bool hello_sent = false;
};

// Thread-safe: one mutex over all links; streams and the handler are called outside it.
class TransportCore final : public StreamOwner, public std::enable_shared_from_this<TransportCore> {
 public:
  TransportCore(NodeTransportOptions options, Executor& timers, Random& random,
                PeerMessageHandler handler)
      : options_(std::move(options)),
        timers_(timers),
        random_(random),
        handler_(std::move(handler)),
        incarnation_(kIncarnationBytes, '\0'),
        service_([this](grpc::CallbackServerContext* context) { return Accept(context); }) {
    random.Fill({reinterpret_cast<uint8_t*>(incarnation_.data()), incarnation_.size()});
  }

  absl::Status Listen();
  void Shutdown() ABSL_LOCKS_EXCLUDED(mutex_);
  void Send(const NodeId& to, PeerMessage message) ABSL_LOCKS_EXCLUDED(mutex_);
  void SetPeerAddress(const NodeId& peer, const std::string& address) ABSL_LOCKS_EXCLUDED(mutex_);
  PeerLinkStatus GetLinkStatus(const NodeId& peer) ABSL_LOCKS_EXCLUDED(mutex_);
  const std::string& listen_address() const { return listen_address_; }

  absl::Status OnEnvelope(Stream& stream, DecodedEnvelope envelope) override
      ABSL_LOCKS_EXCLUDED(mutex_);
  std::optional<grpc::ByteBuffer> NextEnvelope(Stream& stream) override ABSL_LOCKS_EXCLUDED(mutex_);
  void OnStreamDone(Stream& stream, const absl::Status& why) override ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  RawServerReactor* Accept(grpc::CallbackServerContext* context) ABSL_LOCKS_EXCLUDED(mutex_);
  void Dial(const NodeId& peer) ABSL_LOCKS_EXCLUDED(mutex_);
  // Takes effect after a random part of the link's delay, which doubles.
  void DialLater(const NodeId& peer, Link& link) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status CheckHeader(const Stream& stream, const StreamState& state,
                           const EnvelopeHeader& header) const;
  // Makes it the link's stream; returns the one that it replaces.
  std::shared_ptr<Stream> Attach(Stream& stream, StreamState& state, const EnvelopeHeader& header)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Link& LinkTo(const NodeId& peer) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool Dials(const NodeId& peer) const { return options_.self < peer; }
  std::shared_ptr<grpc::Channel> MakeChannel(const NodeId& peer, const std::string& address) const;
  NodeTls Tls() const {
    return {options_.ca_certificate, options_.certificate, options_.private_key, options_.renewed};
  }

  const NodeTransportOptions options_;
  Executor& timers_;
  Random& random_;
  const PeerMessageHandler handler_;
  std::string incarnation_;  // constant once constructed
  Service service_;
  std::string listen_address_;
  std::unique_ptr<grpc::Server> server_;

  absl::Mutex mutex_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::map<NodeId, std::unique_ptr<Link>> links_ ABSL_GUARDED_BY(mutex_);
  std::map<Stream*, StreamState> streams_ ABSL_GUARDED_BY(mutex_);
};

absl::Status TransportCore::Listen() {
  const size_t colon = options_.listen_address.rfind(':');
  if (colon == std::string::npos) {
    return absl::InvalidArgumentError(
        absl::StrCat("listen address without a port: ", options_.listen_address));
  }
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort(options_.listen_address,
                           NodeServerCredentials(Tls(), ClientCertificates::kRequired), &port);
  builder.RegisterService(&service_);
  for (grpc::Service* service : options_.services) builder.RegisterService(service);
  if (options_.interceptors) {
    builder.experimental().SetInterceptorCreators(options_.interceptors());
  }
  builder.SetSyncServerOption(grpc::ServerBuilder::NUM_CQS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::MIN_POLLERS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::MAX_POLLERS, 1);
  builder.SetMaxReceiveMessageSize(kMaxEnvelopeBytes);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMaxStreamsOfAConnection);
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                             kKeepaliveMs / 2);
  server_ = builder.BuildAndStart();
  if (server_ == nullptr || port == 0) {
    return absl::UnavailableError(
        absl::StrCat("node ", options_.self, " cannot listen on ", options_.listen_address));
  }
  listen_address_ = absl::StrCat(options_.listen_address.substr(0, colon), ":", port);
  return absl::OkStatus();
}

void TransportCore::Shutdown() {
  std::vector<std::shared_ptr<Stream>> live;
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    for (auto& [stream, state] : streams_) live.push_back(stream->shared_from_this());
  }
  for (const auto& stream : live) stream->End(absl::CancelledError("the node stops"));
  live.clear();
  if (server_ != nullptr) server_->Shutdown(std::chrono::system_clock::now());
  {
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(
        +[](std::map<Stream*, StreamState>* streams) { return streams->empty(); }, &streams_));
    links_.clear();
  }
  if (server_ != nullptr) server_->Wait();
  server_.reset();
}

Link& TransportCore::LinkTo(const NodeId& peer) {
  std::unique_ptr<Link>& link = links_[peer];
  if (link == nullptr) {
    link = std::make_unique<Link>(options_.max_queue_bytes);
    link->redial_delay = options_.min_redial_delay;
  }
  return *link;
}

void TransportCore::Send(const NodeId& to, PeerMessage message) {
  if (to == options_.self) {
    handler_(to, std::move(message));
    return;
  }
  const size_t size = EncodedSize(message);
  std::shared_ptr<Stream> stream;
  {
    absl::MutexLock lock(&mutex_);
    if (stopping_) return;
    Link& link = LinkTo(to);
    if (link.stream == nullptr || !link.queue.Push(std::move(message), size)) {
      ++link.status.dropped_messages;
      return;
    }
    stream = link.stream;
  }
  stream->Wake();
}

void TransportCore::SetPeerAddress(const NodeId& peer, const std::string& address) {
  std::shared_ptr<Stream> outdated;
  bool dial = false;
  {
    absl::MutexLock lock(&mutex_);
    if (stopping_ || peer == options_.self) return;
    Link& link = LinkTo(peer);
    if (link.address == address) return;
    link.address = address;
    if (!Dials(peer)) return;
    link.channel = MakeChannel(peer, address);
    link.redial_delay = options_.min_redial_delay;
    outdated = link.stream;
    dial = !std::exchange(link.dialling, true);
  }
  if (outdated != nullptr) outdated->End(absl::UnavailableError("the peer's address changed"));
  if (dial) Dial(peer);
}

PeerLinkStatus TransportCore::GetLinkStatus(const NodeId& peer) {
  absl::MutexLock lock(&mutex_);
  const auto link = links_.find(peer);
  return link == links_.end() ? PeerLinkStatus() : link->second->status;
}

std::shared_ptr<grpc::Channel> TransportCore::MakeChannel(const NodeId& peer,
                                                          const std::string& address) const {
  KeepCallbackQueue();
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMaxEnvelopeBytes);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 50);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 1000);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveMs / 2);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel(address, NodeChannelCredentials(Tls(), peer), arguments);
}

void TransportCore::Dial(const NodeId& peer) {
  std::shared_ptr<Stream> stream;
  {
    absl::MutexLock lock(&mutex_);
    if (stopping_) return;
    stream = DialStream(*this, LinkTo(peer).channel);
    streams_[stream.get()].peer = peer;
  }
  stream->Start();
}

void TransportCore::DialLater(const NodeId& peer, Link& link) {
  const auto micros = static_cast<uint64_t>(absl::ToInt64Microseconds(link.redial_delay));
  const absl::Duration delay =
      absl::Microseconds(static_cast<int64_t>(micros / 2 + random_.Uniform(micros / 2 + 1)));
  link.redial_delay = std::min(link.redial_delay * 2, options_.max_redial_delay);
  timers_.PostAfter(delay, [weak = weak_from_this(), peer] {
    if (const auto self = weak.lock()) self->Dial(peer);
  });
}

RawServerReactor* TransportCore::Accept(grpc::CallbackServerContext* context) {
  std::shared_ptr<Stream> stream;
  RawServerReactor* reactor = nullptr;
  {
    absl::MutexLock lock(&mutex_);
    if (stopping_) {
      return new RefusedCall(grpc::Status(grpc::StatusCode::UNAVAILABLE, "the node stops"));
    }
    std::tie(stream, reactor) = AcceptStream(*this, context);
    streams_[stream.get()].certified = NodeOfPeer(context->auth_context().get());
  }
  stream->Start();
  return reactor;
}

absl::Status TransportCore::CheckHeader(const Stream& stream, const StreamState& state,
                                        const EnvelopeHeader& header) const {
  if (header.cluster != options_.cluster) {
    return absl::PermissionDeniedError(absl::StrCat("cluster ", header.cluster.ToHex(),
                                                    " has no business with cluster ",
                                                    options_.cluster.ToHex()));
  }
  if (header.receiver != options_.self) {
    return absl::PermissionDeniedError(
        absl::StrCat("an envelope for ", header.receiver, " came to ", options_.self));
  }
  if (!state.peer.empty() && header.sender != state.peer) {
    return absl::PermissionDeniedError(
        absl::StrCat("an envelope of ", header.sender, " on a stream of ", state.peer));
  }
  if (!stream.dialled() && header.sender != state.certified) {
    return absl::PermissionDeniedError(
        absl::StrCat("the certificate of ", state.certified, " is not ", header.sender, "'s"));
  }
  if (!stream.dialled() && Dials(header.sender)) {
    return absl::PermissionDeniedError(
        absl::StrCat(options_.self, " dials ", header.sender, ", not the reverse"));
  }
  if (header.incarnation.size() != kIncarnationBytes ||
      (!state.incarnation.empty() && header.incarnation != state.incarnation)) {
    return absl::PermissionDeniedError(
        absl::StrCat(header.sender, " changed its incarnation within a stream"));
  }
  return absl::OkStatus();
}

std::shared_ptr<Stream> TransportCore::Attach(Stream& stream, StreamState& state,
                                              const EnvelopeHeader& header) {
  state.peer = header.sender;
  state.incarnation = header.incarnation;
  Link& link = LinkTo(state.peer);
  std::shared_ptr<Stream> replaced = std::exchange(link.stream, stream.shared_from_this());
  link.queue.Clear();
  link.redial_delay = options_.min_redial_delay;
  link.status.connected = true;
  return replaced;
}

absl::Status TransportCore::OnEnvelope(Stream& stream, DecodedEnvelope envelope) {
  std::shared_ptr<Stream> replaced;
  bool first = false;
  NodeId sender;
  {
    absl::MutexLock lock(&mutex_);
    StreamState& state = streams_.at(&stream);
    RETURN_IF_ERROR(CheckHeader(stream, state, envelope.header));
    if (stopping_) return absl::CancelledError("the node stops");
    first = state.incarnation.empty();
    if (first) replaced = Attach(stream, state, envelope.header);
    sender = state.peer;
    Link& link = LinkTo(sender);
    if (link.stream.get() != &stream) return absl::CancelledError("a newer stream took over");
    link.status.received_messages += envelope.messages.size();
  }
  if (replaced != nullptr) replaced->End(absl::CancelledError("a newer stream took over"));
  if (first) stream.Wake();
  for (PeerMessage& message : envelope.messages) handler_(sender, std::move(message));
  return absl::OkStatus();
}

std::optional<grpc::ByteBuffer> TransportCore::NextEnvelope(Stream& stream) {
  EnvelopeHeader header{options_.cluster, options_.self, {}, incarnation_};
  std::vector<PeerMessage> batch;
  {
    absl::MutexLock lock(&mutex_);
    StreamState& state = streams_.at(&stream);
    if (stopping_ || state.peer.empty()) return std::nullopt;
    Link& link = LinkTo(state.peer);
    if (link.stream.get() == &stream) batch = link.queue.TakeBatch(options_.max_batch_bytes);
    if (batch.empty() && state.hello_sent) return std::nullopt;
    state.hello_sent = true;
    link.status.sent_messages += batch.size();
    ++link.status.sent_envelopes;
    header.receiver = state.peer;
  }
  return EncodeEnvelope(header, std::move(batch));
}

void TransportCore::OnStreamDone(Stream& stream, const absl::Status& why) {
  const auto keep = shared_from_this();  // Shutdown may return before the lock is let go
  std::shared_ptr<Stream> self;
  absl::MutexLock lock(&mutex_);
  const auto state = streams_.find(&stream);
  CHECK_INVARIANT(state != streams_.end(), "a stream ends once");
  const NodeId peer = state->second.peer;
  streams_.erase(state);
  if (peer.empty() || stopping_) return;
  Link& link = LinkTo(peer);
  link.status.last_error = why.ToString();
  if (link.stream.get() == &stream) {
    self = std::move(link.stream);
    link.stream = nullptr;
    link.status.connected = false;
    link.status.dropped_messages += link.queue.count();
    link.queue.Clear();
  }
  if (stream.dialled()) DialLater(peer, link);
}

class GrpcNodeTransport final : public NodeTransport {
 public:
  explicit GrpcNodeTransport(std::shared_ptr<TransportCore> core) : core_(std::move(core)) {}
  ~GrpcNodeTransport() override { core_->Shutdown(); }

  void Send(const NodeId& to, PeerMessage message) override { core_->Send(to, std::move(message)); }
  std::string listen_address() const override { return core_->listen_address(); }
  void SetPeerAddress(const NodeId& peer, const std::string& address) override {
    core_->SetPeerAddress(peer, address);
  }
  PeerLinkStatus GetLinkStatus(const NodeId& peer) const override {
    return core_->GetLinkStatus(peer);
  }

 private:
  // Redial timers hold weak references, and find nothing once this is gone.
  const std::shared_ptr<TransportCore> core_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<NodeTransport>> StartNodeTransport(NodeTransportOptions options,
                                                                  Executor& timers, Random& random,
                                                                  PeerMessageHandler handler) {
  auto core =
      std::make_shared<TransportCore>(std::move(options), timers, random, std::move(handler));
  RETURN_IF_ERROR(core->Listen());
  return std::make_unique<GrpcNodeTransport>(std::move(core));
}

}  // namespace meridian::replication
