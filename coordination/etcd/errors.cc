#include "coordination/etcd/errors.h"

#include <string_view>

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace meridian::coordination {
namespace {

// Texts that etcd's clients are documented to tell errors by; the codes alone are shared.
constexpr std::string_view kNoSpace = "etcdserver: mvcc: database space exceeded";
// To a request that demands a leader (the metadata "hasleader").
constexpr std::string_view kNoLeader = "etcdserver: no leader";
constexpr std::string_view kTooManyRequests = "etcdserver: too many requests";

}  // namespace

absl::Status FromGrpc(const std::string& member, const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()),
                      absl::StrCat("etcd at ", member, ": ", status.error_message()));
}

bool IsAnswer(const grpc::Status& status) {
  switch (status.error_code()) {
    case grpc::StatusCode::OK:
    case grpc::StatusCode::INVALID_ARGUMENT:
    case grpc::StatusCode::NOT_FOUND:
    case grpc::StatusCode::OUT_OF_RANGE:
      return true;
    case grpc::StatusCode::RESOURCE_EXHAUSTED:
      return status.error_message() == kNoSpace;
    default:
      return false;
  }
}

bool IsOutOfSpace(const absl::Status& status) {
  return status.code() == absl::StatusCode::kResourceExhausted &&
         FromAbsl(status.message()).ends_with(kNoSpace);
}

bool HadNoEffect(const grpc::Status& status) {
  return status.error_message() == kNoLeader || status.error_message() == kTooManyRequests;
}

}  // namespace meridian::coordination
