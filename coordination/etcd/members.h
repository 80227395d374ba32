// The members of the etcd cluster: how to reach them, and which of them answer.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/executor.h"
#include "base/random.h"
#include "coordination/etcd/call_gate.h"
#include "coordination/etcd/etcd_store.h"
#include "coordination/etcd/identity_guard.h"
#include "etcd/rpc.grpc.pb.h"

namespace meridian::coordination {

struct EtcdMember {
  std::string endpoint;
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<etcdserverpb::KV::Stub> kv;
  std::unique_ptr<etcdserverpb::Lease::Stub> lease;
  std::unique_ptr<etcdserverpb::Watch::Stub> watch;

  // It has answered a linearizable read as the store that is expected (P11), and nothing has failed
  // since.
  bool usable = false;
  // Grows each time that it becomes usable; old failures do not count against a new life.
  uint64_t life = 0;
  absl::Duration usable_since;
  absl::Duration retry_delay;
  absl::Status why_down;
};

// For every call to a member: it answers at once, and without effect, while it knows of no leader.
void DemandLeader(grpc::ClientContext& context);

// Confined to the strand, apart from construction and destruction. A member that is not usable is
// asked again and again until it is.
class Members {
 public:
  // All outlive it.
  Members(const EtcdOptions& options, Executor& strand, CallGate& gate, IdentityGuard& guard);

  // `on_down` runs whenever a member is no longer usable.
  void Start(std::function<void(const EtcdMember&)> on_down);

  // The one to call now, the same as long as it is usable; nullptr: none is.
  EtcdMember* Pick();
  // A call to it, made in that life, failed.
  void MarkDown(EtcdMember& member, uint64_t life, absl::Status why);

  // Runs `usable` once, when a member has become usable, unless it is forgotten before.
  uint64_t Await(std::function<void()> usable);
  void Forget(uint64_t waiter);

  // UNAVAILABLE: what is wrong with each member.
  absl::Status WhyNone() const;

 private:
  struct Probe;

  void StartProbe(EtcdMember& member);
  void EndProbe(EtcdMember& member, const Probe& probe, const grpc::Status& status);
  void ProbeLater(EtcdMember& member);

  Executor& strand_;
  CallGate& gate_;
  IdentityGuard& guard_;
  const absl::Duration probe_timeout_;
  const std::string probe_key_;
  SystemRandom random_;
  std::function<void(const EtcdMember&)> on_down_;
  std::vector<std::unique_ptr<EtcdMember>> members_;
  size_t current_ = 0;
  std::map<uint64_t, std::function<void()>> waiters_;
  uint64_t last_waiter_ = 0;
};

}  // namespace meridian::coordination
