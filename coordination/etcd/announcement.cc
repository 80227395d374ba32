#include "coordination/etcd/announcement.h"

#include <algorithm>
#include <utility>

namespace meridian::coordination {
namespace {

constexpr int64_t kMinTtlSeconds = 2;
// Two renewals may fail before a lease is lost.
constexpr int kRenewalsInTtl = 3;
constexpr absl::Duration kRetryDelay = absl::Milliseconds(200);

}  // namespace

void AnnouncementCount::Add() {
  absl::MutexLock lock(&mutex_);
  ++count_;
}

void AnnouncementCount::Remove() {
  absl::MutexLock lock(&mutex_);
  --count_;
}

void AnnouncementCount::AwaitNone(absl::Duration timeout) {
  absl::MutexLock lock(&mutex_);
  mutex_.AwaitWithTimeout(absl::Condition(
                              +[](int* count) { return *count == 0; }, &count_),
                          timeout);
}

Announcement::Announcement(CallEnvironment& environment, AnnouncementCount& count, std::string key,
                           std::string value, absl::Duration ttl)
    : environment_(environment),
      count_(count),
      key_(std::move(key)),
      value_(std::move(value)),
      ttl_seconds_(std::max(absl::ToInt64Seconds(ttl), kMinTtlSeconds)) {}

void Announcement::End() {
  ended_ = true;
  environment_.strand.Cancel(timer_);
  if (!busy_) Step();
}

void Announcement::Step() {
  if (ended_) {
    lease_ == 0 ? Finish() : Revoke();
  } else if (lease_ == 0) {
    Grant();
  } else if (!written_) {
    Write();
  } else {
    Later(renewal_interval_, &Announcement::Renew);
  }
}

void Announcement::Later(absl::Duration delay, void (Announcement::*what)()) {
  timer_ = environment_.strand.PostAfter(delay,
                                         [self = shared_from_this(), what] { ((*self).*what)(); });
}

void Announcement::Grant() {
  etcdserverpb::LeaseGrantRequest request;
  request.set_ttl(ttl_seconds_);
  busy_ = true;
  CallLeaseGrant(environment_, std::move(request), [self = shared_from_this()](auto granted) {
    self->busy_ = false;
    if (granted.ok() && granted->error().empty()) {
      self->lease_ = granted->id();
      self->renewal_interval_ = absl::Seconds(granted->ttl()) / kRenewalsInTtl;
      self->Step();
    } else {
      // A lease of which the answer was lost holds no key, and expires.
      self->ended_ ? self->Finish() : self->Later(kRetryDelay, &Announcement::Step);
    }
  });
}

void Announcement::Write() {
  etcdserverpb::PutRequest request;
  request.set_key(key_);
  request.set_value(value_);
  request.set_lease(lease_);
  busy_ = true;
  CallPut(environment_, std::move(request), [self = shared_from_this()](auto put) {
    self->busy_ = false;
    if (put.ok()) {
      self->written_ = true;
      self->Step();
      return;
    }
    if (absl::IsNotFound(put.status())) self->LoseLease();
    self->ended_ ? self->Step() : self->Later(kRetryDelay, &Announcement::Step);
  });
}

void Announcement::Renew() {
  etcdserverpb::LeaseKeepAliveRequest request;
  request.set_id(lease_);
  busy_ = true;
  CallLeaseKeepAlive(environment_, std::move(request), [self = shared_from_this()](auto renewed) {
    self->busy_ = false;
    if (renewed.ok() && renewed->ttl() <= 0) self->LoseLease();
    if (renewed.ok() || self->ended_) {
      self->Step();
    } else {
      self->Later(kRetryDelay, &Announcement::Renew);
    }
  });
}

void Announcement::Revoke() {
  etcdserverpb::LeaseRevokeRequest request;
  request.set_id(lease_);
  busy_ = true;
  // If that fails, the lease expires.
  CallLeaseRevoke(environment_, std::move(request),
                  [self = shared_from_this()](auto) { self->Finish(); });
}

void Announcement::Finish() { count_.Remove(); }

void Announcement::LoseLease() {
  lease_ = 0;
  written_ = false;
}

}  // namespace meridian::coordination
