#include "coordination/etcd/call.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <optional>
#include <string>

#include "base/status.h"
#include "coordination/etcd/errors.h"

namespace meridian::coordination {
namespace {

// A member that does not answer may take this part of a call's time, so that others get theirs.
constexpr int kAttemptsInTimeout = 3;

}  // namespace

struct CallBase::Attempt {
  EtcdMember* member = nullptr;
  uint64_t life = 0;
  int64_t floor = 0;
  // It had the time that a healthy member needs.
  bool had_time = false;
};

void CallBase::Begin() {
  deadline_ = environment_.strand.MonotonicNow() + environment_.timeout;
  Try();
}

void CallBase::Try() {
  const absl::Duration remaining = Remaining();
  if (remaining <= absl::ZeroDuration()) {
    Finish(last_failure_.ok() ? environment_.members.WhyNone() : last_failure_);
    return;
  }
  EtcdMember* const member = environment_.members.Pick();
  if (member == nullptr) {
    Wait();
    return;
  }
  const absl::Duration share = environment_.timeout / kAttemptsInTimeout;
  const Attempt attempt = {.member = member,
                           .life = member->life,
                           .floor = environment_.guard.seen().revision,
                           .had_time = remaining >= share};
  const auto context = std::make_shared<grpc::ClientContext>();
  context->set_deadline(
      absl::ToChronoTime(absl::Now() + (kind_.once ? remaining : std::min(remaining, share))));
  DemandLeader(*context);
  if (!environment_.gate.Enter(context)) return;
  Send(*member, context.get(),
       // What it holds goes with the task: the last reference to a channel must not go on a thread
       // of gRPC's, and after Leave the store may be gone.
       [self = shared_from_this(), attempt, context](const grpc::Status& status) mutable {
         CallEnvironment& environment = self->environment_;
         const grpc::ClientContext* const call = context.get();
         environment.strand.Post([self = std::move(self), attempt, context = std::move(context),
                                  status] { self->Answered(attempt, status); });
         environment.gate.Leave(call);
       });
}

void CallBase::Wait() {
  const auto self = shared_from_this();
  const auto timer = std::make_shared<Executor::TimerId>(0);
  const uint64_t waiter = environment_.members.Await([self, timer] {
    self->environment_.strand.Cancel(*timer);
    self->Try();
  });
  *timer = environment_.strand.PostAfter(Remaining(), [self, waiter] {
    self->environment_.members.Forget(waiter);
    self->Finish(self->environment_.members.WhyNone());
  });
}

void CallBase::Answered(const Attempt& attempt, const grpc::Status& status) {
  const std::string& endpoint = attempt.member->endpoint;
  if (!status.ok()) {
    if (IsAnswer(status)) {
      Finish(FromGrpc(endpoint, status));
    } else {
      Failed(attempt, FromGrpc(endpoint, status), !HadNoEffect(status));
    }
    return;
  }
  const absl::Status trusted = environment_.guard.Check(
      endpoint, header(),
      kind_.linearizable ? std::optional<int64_t>(attempt.floor) : std::nullopt);
  if (trusted.ok()) {
    Finish(absl::OkStatus());
  } else {
    Failed(attempt, trusted, /*may_have_been_received=*/true);
  }
}

void CallBase::Failed(const Attempt& attempt, absl::Status why, bool may_have_been_received) {
  last_failure_ = absl::UnavailableError(why.message());
  if (attempt.had_time || !absl::IsDeadlineExceeded(why)) {
    environment_.members.MarkDown(*attempt.member, attempt.life, std::move(why));
  }
  if (kind_.once && may_have_been_received) {
    Finish(last_failure_);
  } else {
    Try();
  }
}

void CallRange(CallEnvironment& environment, etcdserverpb::RangeRequest request,
               Call<etcdserverpb::RangeRequest, etcdserverpb::RangeResponse>::Done done) {
  const auto send = [](EtcdMember& member, auto... arguments) {
    member.kv->async()->Range(arguments...);
  };
  std::make_shared<Call<etcdserverpb::RangeRequest, etcdserverpb::RangeResponse>>(
      environment, CallKind{}, send, std::move(request), std::move(done))
      ->Begin();
}

void CallTxn(CallEnvironment& environment, etcdserverpb::TxnRequest request,
             Call<etcdserverpb::TxnRequest, etcdserverpb::TxnResponse>::Done done) {
  const auto send = [](EtcdMember& member, auto... arguments) {
    member.kv->async()->Txn(arguments...);
  };
  std::make_shared<Call<etcdserverpb::TxnRequest, etcdserverpb::TxnResponse>>(
      environment, CallKind{.once = true}, send, std::move(request), std::move(done))
      ->Begin();
}

void CallPut(CallEnvironment& environment, etcdserverpb::PutRequest request,
             Call<etcdserverpb::PutRequest, etcdserverpb::PutResponse>::Done done) {
  const auto send = [](EtcdMember& member, auto... arguments) {
    member.kv->async()->Put(arguments...);
  };
  std::make_shared<Call<etcdserverpb::PutRequest, etcdserverpb::PutResponse>>(
      environment, CallKind{}, send, std::move(request), std::move(done))
      ->Begin();
}

void CallLeaseGrant(
    CallEnvironment& environment, etcdserverpb::LeaseGrantRequest request,
    Call<etcdserverpb::LeaseGrantRequest, etcdserverpb::LeaseGrantResponse>::Done done) {
  const auto send = [](EtcdMember& member, auto... arguments) {
    member.lease->async()->LeaseGrant(arguments...);
  };
  std::make_shared<Call<etcdserverpb::LeaseGrantRequest, etcdserverpb::LeaseGrantResponse>>(
      environment, CallKind{}, send, std::move(request), std::move(done))
      ->Begin();
}

void CallLeaseRevoke(
    CallEnvironment& environment, etcdserverpb::LeaseRevokeRequest request,
    Call<etcdserverpb::LeaseRevokeRequest, etcdserverpb::LeaseRevokeResponse>::Done done) {
  const auto send = [](EtcdMember& member, auto... arguments) {
    member.lease->async()->LeaseRevoke(arguments...);
  };
  std::make_shared<Call<etcdserverpb::LeaseRevokeRequest, etcdserverpb::LeaseRevokeResponse>>(
      environment, CallKind{}, send, std::move(request), std::move(done))
      ->Begin();
}

void CallLeaseKeepAlive(
    CallEnvironment& environment, etcdserverpb::LeaseKeepAliveRequest request,
    Call<etcdserverpb::LeaseKeepAliveRequest, etcdserverpb::LeaseKeepAliveResponse>::Done done) {
  const auto send = [](EtcdMember& member, auto... arguments) {
    member.lease->async()->LeaseKeepAlive(arguments...);
  };
  std::make_shared<Call<etcdserverpb::LeaseKeepAliveRequest, etcdserverpb::LeaseKeepAliveResponse>>(
      environment, CallKind{.linearizable = false}, send, std::move(request), std::move(done))
      ->Begin();
}

}  // namespace meridian::coordination
