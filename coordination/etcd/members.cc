#include "coordination/etcd/members.h"

#include <grpcpp/grpcpp.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_certificate_verifier.h>
#include <grpcpp/security/tls_credentials_options.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "coordination/etcd/errors.h"

namespace meridian::coordination {
namespace {

constexpr absl::Duration kMinRetryDelay = absl::Milliseconds(20);
constexpr absl::Duration kMaxRetryDelay = absl::Seconds(1);
// After so long without trouble a member's next trouble is taken for the first.
constexpr absl::Duration kForgiven = absl::Seconds(5);
// etcd refuses clients that ping more often than every 5 s.
constexpr int kKeepaliveTimeMs = 10'000;
constexpr int kKeepaliveTimeoutMs = 5'000;
constexpr int kMaxReconnectBackoffMs = 1'000;
// etcd refuses values above 1.5 MiB by default; a page of List has options.page_rows of them.
constexpr int64_t kMaxRowBytes = 2 << 20;

std::shared_ptr<grpc::ChannelCredentials> CredentialsOf(const EtcdTls& tls) {
  if (tls.renewed == nullptr) {
    grpc::SslCredentialsOptions options;
    options.pem_root_certs = tls.ca_certificate;
    options.pem_cert_chain = tls.certificate;
    options.pem_private_key = tls.private_key;
    return grpc::SslCredentials(options);
  }
  grpc::experimental::TlsChannelCredentialsOptions options;
  options.set_certificate_provider(tls.renewed);
  options.watch_root_certs();
  if (!tls.certificate.empty()) options.watch_identity_key_cert_pairs();
  options.set_certificate_verifier(
      std::make_shared<grpc::experimental::HostNameCertificateVerifier>());
  return grpc::experimental::TlsCredentials(options);
}

std::shared_ptr<grpc::Channel> MakeChannel(const EtcdOptions& options,
                                           const std::string& endpoint) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(
      static_cast<int>(std::min<int64_t>(options.page_rows * kMaxRowBytes, 1 << 30)));
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 50);
  // Also the time limit of a connection attempt.
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kMaxReconnectBackoffMs);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kMaxReconnectBackoffMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveTimeMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetInt(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
  if (!options.tls.has_value()) {
    return grpc::CreateCustomChannel(endpoint, grpc::InsecureChannelCredentials(), arguments);
  }
  return grpc::CreateCustomChannel(endpoint, CredentialsOf(*options.tls), arguments);
}

}  // namespace

void DemandLeader(grpc::ClientContext& context) { context.AddMetadata("hasleader", "true"); }

struct Members::Probe {
  const std::shared_ptr<grpc::ClientContext> context = std::make_shared<grpc::ClientContext>();
  etcdserverpb::RangeRequest request;
  etcdserverpb::RangeResponse response;
  int64_t floor = 0;
};

Members::Members(const EtcdOptions& options, Executor& strand, CallGate& gate, IdentityGuard& guard)
    : strand_(strand),
      gate_(gate),
      guard_(guard),
      probe_timeout_(options.call_timeout / 3),
      probe_key_(options.key_prefix) {
  for (const std::string& endpoint : options.endpoints) {
    auto member = std::make_unique<EtcdMember>();
    member->endpoint = endpoint;
    member->channel = MakeChannel(options, endpoint);
    member->kv = etcdserverpb::KV::NewStub(member->channel);
    member->lease = etcdserverpb::Lease::NewStub(member->channel);
    member->watch = etcdserverpb::Watch::NewStub(member->channel);
    member->retry_delay = kMinRetryDelay;
    member->why_down = absl::UnavailableError("not reached yet");
    members_.push_back(std::move(member));
  }
  // Spreads the nodes of a system over the members.
  current_ = random_.Uniform(members_.size());
}

void Members::Start(std::function<void(const EtcdMember&)> on_down) {
  on_down_ = std::move(on_down);
  for (const auto& member : members_) StartProbe(*member);
}

EtcdMember* Members::Pick() {
  for (size_t i = 0; i < members_.size(); ++i) {
    const size_t candidate = (current_ + i) % members_.size();
    EtcdMember& member = *members_[candidate];
    if (!member.usable) continue;
    // Noticed here, a lost connection costs no call, and no Commit its outcome.
    if (member.channel->GetState(/*try_to_connect=*/false) != GRPC_CHANNEL_READY) {
      MarkDown(member, member.life, absl::UnavailableError("the connection was lost"));
      continue;
    }
    current_ = candidate;
    return &member;
  }
  return nullptr;
}

void Members::MarkDown(EtcdMember& member, uint64_t life, absl::Status why) {
  if (!member.usable || member.life != life) return;
  member.usable = false;
  member.why_down = std::move(why);
  if (strand_.MonotonicNow() - member.usable_since > kForgiven) {
    member.retry_delay = kMinRetryDelay;
  }
  ProbeLater(member);
  on_down_(member);
}

uint64_t Members::Await(std::function<void()> usable) {
  waiters_.emplace(++last_waiter_, std::move(usable));
  return last_waiter_;
}

void Members::Forget(uint64_t waiter) { waiters_.erase(waiter); }

absl::Status Members::WhyNone() const {
  std::string why = "etcd cannot be reached";
  for (const auto& member : members_) {
    if (member->usable) continue;
    absl::StrAppend(&why, "; ", member->endpoint, ": ",
                    std::string(FromAbsl(member->why_down.message())));
  }
  return absl::UnavailableError(why);
}

void Members::StartProbe(EtcdMember& member) {
  auto probe = std::make_shared<Probe>();
  probe->context->set_deadline(absl::ToChronoTime(absl::Now() + probe_timeout_));
  DemandLeader(*probe->context);
  probe->request.set_key(probe_key_);
  probe->request.set_count_only(true);
  probe->floor = guard_.seen().revision;
  if (!gate_.Enter(probe->context)) return;
  member.kv->async()->Range(probe->context.get(), &probe->request, &probe->response,
                            // What it holds goes with the task, as in Call.
                            [this, &member, probe](const grpc::Status& status) mutable {
                              CallGate& gate = gate_;
                              const grpc::ClientContext* const call = probe->context.get();
                              strand_.Post([this, &member, probe = std::move(probe), status] {
                                EndProbe(member, *probe, status);
                              });
                              gate.Leave(call);
                            });
}

void Members::EndProbe(EtcdMember& member, const Probe& probe, const grpc::Status& status) {
  const absl::Status result =
      status.ok() ? guard_.Check(member.endpoint, probe.response.header(), probe.floor)
                  : FromGrpc(member.endpoint, status);
  if (!result.ok()) {
    member.why_down = result;
    ProbeLater(member);
    return;
  }
  member.usable = true;
  ++member.life;
  member.usable_since = strand_.MonotonicNow();
  for (auto& [id, usable] : std::exchange(waiters_, {})) usable();
}

void Members::ProbeLater(EtcdMember& member) {
  const auto micros = static_cast<uint64_t>(absl::ToInt64Microseconds(member.retry_delay));
  const absl::Duration delay =
      absl::Microseconds(static_cast<int64_t>(micros / 2 + random_.Uniform(micros / 2 + 1)));
  member.retry_delay = std::min(member.retry_delay * 2, kMaxRetryDelay);
  strand_.PostAfter(delay, [this, &member] { StartProbe(member); });
}

}  // namespace meridian::coordination
