#include "client/errors.h"

#include "client/internal/error_details.h"
#include "meridian/v1/errors.pb.h"

namespace meridian {

std::string ErrorReasonOf(const absl::Status& status) { return client_internal::ReasonOf(status); }

std::string RequestIdOf(const absl::Status& status) {
  const auto id = status.GetPayload(client_internal::kRequestIdPayload);
  return id ? std::string(*id) : std::string();
}

std::optional<std::string> CurrentEtagOf(const absl::Status& status) {
  auto detail = client_internal::DetailOf<v1::PreconditionFailed>(status);
  if (!detail) return std::nullopt;
  return detail->current_etag();
}

}  // namespace meridian
