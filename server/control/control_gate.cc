#include "server/control/control_gate.h"

#include "server/errors.h"

namespace meridian::server {
namespace {

absl::Status TooMany() {
  return Error(absl::StatusCode::kResourceExhausted, v1::OVERLOADED,
               "too many calls of this kind at a time; try again later");
}

}  // namespace

ControlGate::Call::~Call() {
  absl::MutexLock lock(&gate_.mutex_);
  if (entered_) --gate_.calls_;
  if (tenant_.is_nil()) return;
  const auto it = gate_.of_tenants_.find(tenant_);
  if (--it->second == 0) gate_.of_tenants_.erase(it);
}

absl::Status ControlGate::Call::Enter() {
  absl::MutexLock lock(&gate_.mutex_);
  if (gate_.calls_ >= kMaxCalls) return TooMany();
  ++gate_.calls_;
  entered_ = true;
  return absl::OkStatus();
}

absl::Status ControlGate::Call::EnterAs(TenantId tenant) {
  if (tenant.is_nil()) return absl::OkStatus();
  absl::MutexLock lock(&gate_.mutex_);
  int& calls = gate_.of_tenants_[tenant];
  if (calls >= kMaxCallsOfTenant) return TooMany();
  ++calls;
  tenant_ = tenant;
  return absl::OkStatus();
}

}  // namespace meridian::server
