#include "client/internal/session.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/escaping.h"
#include "client/internal/error_details.h"
#include "meridian/v1/errors.pb.h"

namespace meridian::client_internal {
namespace {

// A route lookup is cheap: a server that takes longer is left for another.
constexpr absl::Duration kRouteTimeout = absl::Seconds(2);
// For routes whose server does not say how long they hold.
constexpr absl::Duration kDefaultRouteTtl = absl::Minutes(1);
constexpr absl::Duration kMaxRouteTtl = absl::Hours(1);

// Of every answer: see docs/api.md.
constexpr char kRequestIdMetadata[] = "x-request-id";

absl::Duration RouteTtl(const v1::Route& route) {
  const absl::Duration ttl =
      absl::Seconds(route.ttl().seconds()) + absl::Nanoseconds(route.ttl().nanos());
  return ttl > absl::ZeroDuration() ? std::min(ttl, kMaxRouteTtl) : kDefaultRouteTtl;
}

}  // namespace

absl::Status FromGrpc(const grpc::Status& status, const grpc::ClientContext& call) {
  if (status.ok()) return absl::OkStatus();
  absl::Status failure = WithDetails(static_cast<absl::StatusCode>(status.error_code()),
                                     status.error_message(), status.error_details());
  const auto& trailing = call.GetServerTrailingMetadata();
  if (const auto id = trailing.find(kRequestIdMetadata); id != trailing.end()) {
    failure.SetPayload(kRequestIdPayload, absl::Cord({id->second.data(), id->second.size()}));
  }
  return failure;
}

std::unique_ptr<grpc::ClientContext> Session::NewContext(absl::Duration timeout) const {
  auto context = std::make_unique<grpc::ClientContext>();
  context->AddMetadata("authorization", "Bearer " + profile_.access_key);
  // Follows NOT_LEADER: no server needs to pass its calls on.
  context->AddMetadata("meridian-routes", "1");
  if (timeout != absl::InfiniteDuration()) {
    context->set_deadline(std::chrono::system_clock::now() + absl::ToChronoMicroseconds(timeout));
  }
  return context;
}

std::shared_ptr<Endpoint> Session::Front() {
  const size_t index = front_.load(std::memory_order_relaxed) % profile_.endpoints.size();
  return endpoints_.Get(profile_.endpoints[index]);
}

std::shared_ptr<Endpoint> Session::FindServer(const Subject& subject,
                                              const std::string& unreachable) {
  std::shared_ptr<Endpoint> front = Front();
  if (subject.container.empty()) return front;
  const absl::Duration now = clock_.MonotonicNow();
  auto known = routes_.Find(subject.container, subject.object, now);
  if (known && *known != unreachable) return endpoints_.Get(*known);
  v1::GetRouteRequest request;
  request.set_container(subject.container);
  request.set_object_name(subject.object);
  v1::Route route;
  const grpc::Status status = front->stubs().cluster->GetRoute(
      NewContext(std::min(kRouteTimeout, options_.attempt_timeout)).get(), request, &route);
  if (!status.ok()) {
    // The call itself goes to the front and brings back the error, if it is one for the caller. A
    // server that cannot tell, whatever its reason, is left for one that may know more.
    if (status.error_code() == grpc::StatusCode::UNAVAILABLE ||
        status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) {
      LeaveFront(*front);
    }
    return Front();
  }
  if (route.leader_endpoint().empty() || route.leader_endpoint() == unreachable) return front;
  routes_.Store(subject.container, {.begin = route.begin_name(),
                                    .end = route.end_name(),
                                    .map_generation = route.map_generation(),
                                    .leader = route.leader_endpoint(),
                                    .epoch = route.epoch(),
                                    .expires_at = now + RouteTtl(route)});
  return endpoints_.Get(route.leader_endpoint());
}

void Session::Learn(Subject& subject, const Endpoint& server, const absl::Status& failure) {
  if (!subject.container.empty()) {
    auto leader = DetailOf<v1::NotLeader>(failure);
    if (leader && !leader->endpoint().empty()) {
      const v1::NameRange& range = leader->range();
      RouteCache::Route route{.begin = range.begin_name(),
                              .end = range.end_name(),
                              .map_generation = range.map_generation(),
                              .leader = leader->endpoint(),
                              .epoch = leader->epoch(),
                              .expires_at = clock_.MonotonicNow() + kDefaultRouteTtl};
      if (!leader->has_range()) {
        routes_.Redirect(subject.container, subject.object, server.address(), std::move(route));
        return;
      }
      if (!route.Holds(subject.object)) subject.object = route.begin;
      routes_.RedirectRange(subject.container, subject.object, server.address(), std::move(route));
      return;
    }
    routes_.Forget(subject.container, subject.object, server.address());
  }
  // A server that answered with a reason is alive; only one that did not is left.
  if (ReasonOf(failure).empty()) LeaveFront(server);
}

void Session::LeaveFront(const Endpoint& server) {
  size_t index = front_.load(std::memory_order_relaxed);
  if (profile_.endpoints[index % profile_.endpoints.size()] == server.address()) {
    front_.compare_exchange_strong(index, index + 1, std::memory_order_relaxed);
  }
}

v1::RequestId Session::DrawRequestId() {
  v1::RequestId id;
  std::string bytes(16, '\0');
  random_.Fill({reinterpret_cast<uint8_t*>(bytes.data()), bytes.size()});
  id.set_id(absl::BytesToHexString(bytes));
  const int64_t now_ns = absl::ToUnixNanos(clock_.WallNow());
  id.mutable_create_time()->set_seconds(now_ns / 1'000'000'000);
  id.mutable_create_time()->set_nanos(static_cast<int32_t>(now_ns % 1'000'000'000));
  return id;
}

}  // namespace meridian::client_internal
