// One request to etcd, tried at one member after another until it is answered or its time is up.
#pragma once

#include <grpcpp/client_context.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/executor.h"
#include "coordination/etcd/call_gate.h"
#include "coordination/etcd/identity_guard.h"
#include "coordination/etcd/members.h"
#include "etcd/rpc.grpc.pb.h"

namespace meridian::coordination {

// What calls share; everything in it outlives them.
struct CallEnvironment {
  Executor& strand;
  CallGate& gate;
  IdentityGuard& guard;
  Members& members;
  absl::Duration timeout;
};

struct CallKind {
  // Once a member may have received it, it goes to no other.
  bool once = false;
  // Answered after all that was answered before it was sent; else maybe from a member's late state.
  bool linearizable = true;
};

// Confined to the strand. Keeps itself alive until it has finished; one that has not when the store
// closes is dropped.
class CallBase : public std::enable_shared_from_this<CallBase> {
 public:
  virtual ~CallBase() = default;
  void Begin();

 protected:
  CallBase(CallEnvironment& environment, CallKind kind) : environment_(environment), kind_(kind) {}

  virtual void Send(EtcdMember& member, grpc::ClientContext* context,
                    std::function<void(grpc::Status)> answered) = 0;
  virtual const etcdserverpb::ResponseHeader& header() const = 0;
  // The last call. OK: the response is there. UNAVAILABLE: no answer; if `once`, what became of the
  // request is unknown. Other codes are etcd's answer.
  virtual void Finish(absl::Status status) = 0;

 private:
  struct Attempt;

  absl::Duration Remaining() const { return deadline_ - environment_.strand.MonotonicNow(); }
  void Try();
  void Wait();
  void Answered(const Attempt& attempt, const grpc::Status& status);
  // Goes on elsewhere.
  void Failed(const Attempt& attempt, absl::Status why, bool may_have_been_received);

  CallEnvironment& environment_;
  const CallKind kind_;
  absl::Duration deadline_;
  absl::Status last_failure_;
};

// How a request is sent: Stub's method of etcd.
template <typename Request, typename Response>
using CallMethod = void (*)(EtcdMember&, grpc::ClientContext*, const Request*, Response*,
                            std::function<void(grpc::Status)>);

template <typename Request, typename Response>
class Call final : public CallBase {
 public:
  using Done = std::function<void(absl::StatusOr<Response>)>;

  Call(CallEnvironment& environment, CallKind kind, CallMethod<Request, Response> method,
       Request request, Done done)
      : CallBase(environment, kind),
        method_(method),
        request_(std::move(request)),
        done_(std::move(done)) {}

 private:
  void Send(EtcdMember& member, grpc::ClientContext* context,
            std::function<void(grpc::Status)> answered) override {
    response_.Clear();
    method_(member, context, &request_, &response_, std::move(answered));
  }
  const etcdserverpb::ResponseHeader& header() const override { return response_.header(); }
  void Finish(absl::Status status) override {
    const Done done = std::move(done_);
    if (status.ok()) {
      done(std::move(response_));
    } else {
      done(std::move(status));
    }
  }

  const CallMethod<Request, Response> method_;
  const Request request_;
  Response response_;
  Done done_;
};

// On the strand; `done` runs on it, later.
void CallRange(CallEnvironment& environment, etcdserverpb::RangeRequest request,
               Call<etcdserverpb::RangeRequest, etcdserverpb::RangeResponse>::Done done);
// Sent at most once.
void CallTxn(CallEnvironment& environment, etcdserverpb::TxnRequest request,
             Call<etcdserverpb::TxnRequest, etcdserverpb::TxnResponse>::Done done);
void CallPut(CallEnvironment& environment, etcdserverpb::PutRequest request,
             Call<etcdserverpb::PutRequest, etcdserverpb::PutResponse>::Done done);
void CallLeaseGrant(
    CallEnvironment& environment, etcdserverpb::LeaseGrantRequest request,
    Call<etcdserverpb::LeaseGrantRequest, etcdserverpb::LeaseGrantResponse>::Done done);
void CallLeaseRevoke(
    CallEnvironment& environment, etcdserverpb::LeaseRevokeRequest request,
    Call<etcdserverpb::LeaseRevokeRequest, etcdserverpb::LeaseRevokeResponse>::Done done);
void CallLeaseKeepAlive(
    CallEnvironment& environment, etcdserverpb::LeaseKeepAliveRequest request,
    Call<etcdserverpb::LeaseKeepAliveRequest, etcdserverpb::LeaseKeepAliveResponse>::Done done);

}  // namespace meridian::coordination
