// What etcd's errors mean.
#pragma once

#include <grpcpp/support/status.h>

#include <string>

#include "absl/status/status.h"

namespace meridian::coordination {

// Same code; the message names the member.
absl::Status FromGrpc(const std::string& member, const grpc::Status& status);

// The store's answer to the request, the same from every member; else trouble of this member or of
// the way to it.
bool IsAnswer(const grpc::Status& status);

// etcd's quota is used up. A transaction may have been applied all the same: the one that crosses
// the quota is applied and refused.
bool IsOutOfSpace(const absl::Status& status);

// The request was refused before it was proposed to the other members: it has had, and will have,
// no effect.
bool HadNoEffect(const grpc::Status& status);

}  // namespace meridian::coordination
