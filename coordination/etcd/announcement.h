// A key that exists while this process does, by an etcd lease.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "coordination/etcd/call.h"

namespace meridian::coordination {

// Counts the announcements that etcd may still hold. Thread-safe.
class AnnouncementCount {
 public:
  void Add() ABSL_LOCKS_EXCLUDED(mutex_);
  void Remove() ABSL_LOCKS_EXCLUDED(mutex_);
  // Until there is none, but not longer.
  void AwaitNone(absl::Duration timeout) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  absl::Mutex mutex_;
  int count_ ABSL_GUARDED_BY(mutex_) = 0;
};

// Grants a lease, writes the key under it, renews it; begins again whenever the lease was lost.
// Confined to the strand; keeps itself alive until it has ended.
class Announcement : public std::enable_shared_from_this<Announcement> {
 public:
  // `environment` and `count`, which counts it, outlive it.
  Announcement(CallEnvironment& environment, AnnouncementCount& count, std::string key,
               std::string value, absl::Duration ttl);

  void Begin() { Step(); }
  // Takes it back; once.
  void End();

 private:
  // What is to be done next, if no call is in flight.
  void Step();
  void Grant();
  void Write();
  void Renew();
  void Revoke();
  void Finish();
  void LoseLease();
  void Later(absl::Duration delay, void (Announcement::*what)());

  CallEnvironment& environment_;
  AnnouncementCount& count_;
  const std::string key_;
  const std::string value_;
  const int64_t ttl_seconds_;
  bool ended_ = false;
  bool busy_ = false;  // a call is in flight
  Executor::TimerId timer_ = 0;
  int64_t lease_ = 0;  // 0: none
  absl::Duration renewal_interval_;
  bool written_ = false;  // under lease_
};

}  // namespace meridian::coordination
