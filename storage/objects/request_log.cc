#include "storage/objects/request_log.h"

#include <algorithm>
#include <string>

#include "storage/objects/expiry.h"
#include "storage/objects/keys.h"
#include "storage/objects/split.h"

namespace meridian::objects {
namespace {

bool IsFinal(pb::Outcome::Code code) {
  switch (code) {
    case pb::Outcome::OK:
    case pb::Outcome::PRECONDITION_FAILED:
    case pb::Outcome::OBJECT_NOT_FOUND:
    case pb::Outcome::VERSION_NOT_FOUND:
    case pb::Outcome::UPLOAD_NOT_FOUND:
    case pb::Outcome::IS_DELETE_MARKER:
      return true;
    default:
      return false;
  }
}

// Whether an outcome of this age may have been forgotten already, or come to be before its time.
bool IsOutsideOfMemory(const ApplyContext& context, int64_t create_time_us) {
  const int64_t now = context.now_us();
  return create_time_us <= now - absl::ToInt64Microseconds(context.limits.retention) ||
         create_time_us > now + absl::ToInt64Microseconds(context.limits.max_request_ahead) ||
         create_time_us <= context.meta.request_floor_us();
}

}  // namespace

absl::StatusOr<std::optional<pb::Outcome>> AnswerWithoutEffect(ApplyContext& context) {
  if (!context.command.has_request()) return std::optional<pb::Outcome>();
  const pb::RequestStamp& stamp = context.command.request();
  ASSIGN_OR_RETURN(const RequestId request, DecodeId<RequestId>(stamp.id()));
  // By age first: a row that is still there after its time would make the answer depend on how much
  // has been cleaned up.
  if (IsOutsideOfMemory(context, stamp.create_time_us())) {
    return std::optional(MakeOutcome(pb::Outcome::REQUEST_ID_EXPIRED));
  }
  ASSIGN_OR_RETURN(const std::optional<pb::RequestRecord> known,
                   context.state.GetRecord<pb::RequestRecord>(RequestKey(request)));
  // Of a name that a split took away: when that row goes differs between replicas.
  if (known.has_value() && context.OwnsRequest(known->name())) {
    if (known->digest() != stamp.digest()) {
      return std::optional(MakeOutcome(pb::Outcome::REQUEST_ID_REUSED));
    }
    return std::optional(known->outcome());
  }
  if (context.meta.request_count() >= context.limits.max_requests) {
    ASSIGN_OR_RETURN(const bool forgotten, ForgetOldestRequest(context));
    if (!forgotten) return std::optional(MakeOutcome(pb::Outcome::REQUESTS_EXHAUSTED));
    // The floor may have passed this very id.
    if (IsOutsideOfMemory(context, stamp.create_time_us())) {
      return std::optional(MakeOutcome(pb::Outcome::REQUEST_ID_EXPIRED));
    }
  }
  return std::optional<pb::Outcome>();
}

absl::Status RememberOutcome(ApplyContext& context, const pb::Outcome& outcome) {
  if (!context.command.has_request() || !IsFinal(outcome.code())) return absl::OkStatus();
  const pb::RequestStamp& stamp = context.command.request();
  ASSIGN_OR_RETURN(const RequestId request, DecodeId<RequestId>(stamp.id()));
  pb::RequestRecord record;
  record.set_digest(stamp.digest());
  *record.mutable_outcome() = outcome;
  // An id from the future is refused as too old only when the retention after its own time is over.
  record.set_base_time_us(std::max(context.now_us(), stamp.create_time_us()));
  record.set_name(context.object_name);
  RETURN_IF_ERROR(KeepMovedRequest(context, request));
  const int64_t expiry =
      record.base_time_us() + absl::ToInt64Microseconds(context.limits.retention);
  // There already: of the same id for a name that has moved.
  ASSIGN_OR_RETURN(const std::optional<std::string> queued,
                   context.state.Get(EncodeExpiryKey(Queue::kRequest, expiry, request.bytes())));
  if (!queued.has_value()) context.meta.set_request_count(context.meta.request_count() + 1);
  AddExpiry(context, Queue::kRequest, expiry, request.bytes());
  context.state.Put(RequestKey(request), EncodeRecord(std::move(record)));
  return absl::OkStatus();
}

}  // namespace meridian::objects
