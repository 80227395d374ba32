// Typed error details inside absl::Status: each is a payload, its URL the Any's type URL.
#pragma once

#include <optional>
#include <string>

#include "absl/status/status.h"

namespace meridian::client_internal {

inline constexpr char kTypeUrlPrefix[] = "type.googleapis.com/";

// `details`: the trailer grpc-status-details-bin, a google.rpc.Status. What cannot be parsed is
// left out: code and message stand on their own.
absl::Status WithDetails(absl::StatusCode code, const std::string& message,
                         const std::string& details);

// Payload of a call's failure: its request id, as the server gave it.
inline constexpr char kRequestIdPayload[] = "meridian/request-id";

// ErrorInfo.reason of domain "meridian"; empty if there is none.
std::string ReasonOf(const absl::Status& status);

// The detail of type Message; nullopt if there is none.
template <typename Message>
std::optional<Message> DetailOf(const absl::Status& status) {
  auto payload = status.GetPayload(kTypeUrlPrefix + Message::descriptor()->full_name());
  Message message;
  if (!payload || !message.ParseFromString(std::string(*payload))) return std::nullopt;
  return message;
}

}  // namespace meridian::client_internal
