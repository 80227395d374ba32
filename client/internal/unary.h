// Unary calls as Client and Admin make them.
#pragma once

#include <google/protobuf/repeated_ptr_field.h>

#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "client/internal/attempts.h"
#include "client/options.h"

namespace meridian::client_internal {

// A copy of the request that has a request id, so that it may be repeated.
template <typename Request>
Request WithRequestId(Session& session, const Request& request) {
  Request copy = request;
  if (!copy.has_request_id()) *copy.mutable_request_id() = session.DrawRequestId();
  return copy;
}

// `what` and `name` are for messages: "delete object", "photos/cat.jpg".
inline CallPlan Plan(const char* what, const std::string& name, Subject subject,
                     const CallOptions& options) {
  return {.what = name.empty() ? what : std::string(what) + " " + name,
          .subject = std::move(subject),
          .timeout = options.timeout,
          .repeatable = true,
          .attempt_timeout = absl::ZeroDuration()};
}

// CallUnary with the response as its result.
template <typename Stub, typename Request, typename Response>
absl::StatusOr<Response> Call(Session& session, const CallPlan& plan,
                              const std::unique_ptr<Stub> Stubs::*service,
                              grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                           Response*),
                              const Request& request) {
  Response response;
  absl::Status status = CallUnary(session, plan, service, method, request, &response);
  if (!status.ok()) return status;
  return response;
}

// The items of a response's page.
template <typename Item>
std::vector<Item> TakeAll(google::protobuf::RepeatedPtrField<Item>& items) {
  return {std::make_move_iterator(items.begin()), std::make_move_iterator(items.end())};
}

}  // namespace meridian::client_internal
