#include "storage/objects/expiry.h"

#include <algorithm>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "storage/objects/runs.h"
#include "storage/objects/upload_state.h"

namespace meridian::objects {
namespace {

// After the last row of a queue, until one is added.
constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

int64_t QueueStart(const pb::PartitionMeta& meta, Queue queue) {
  switch (queue) {
    case Queue::kRequest:
      return meta.request_queue_start_us();
    case Queue::kUpload:
      return meta.upload_queue_start_us();
    case Queue::kAbortedRun:
      return meta.aborted_run_queue_start_us();
  }
  return 0;
}

void SetQueueStart(pb::PartitionMeta& meta, Queue queue, int64_t start_us) {
  switch (queue) {
    case Queue::kRequest:
      meta.set_request_queue_start_us(start_us);
      break;
    case Queue::kUpload:
      meta.set_upload_queue_start_us(start_us);
      break;
    case Queue::kAbortedRun:
      meta.set_aborted_run_queue_start_us(start_us);
      break;
  }
}

// The first rows of a queue that expire by `until_us`, at most `limit`. Moves the queue's start to
// the first row that it does not return.
absl::StatusOr<std::vector<ExpiryKey>> TakeExpired(ApplyContext& context, Queue queue,
                                                   int64_t until_us, int limit) {
  std::vector<ExpiryKey> expired;
  const int64_t start = QueueStart(context.meta, queue);
  if (start > until_us) return expired;
  const std::string lower = ExpiryFrom(queue, start);
  const std::unique_ptr<storage::KvIterator> it =
      context.state.base().NewIterator(lower, ExpiryEnd(queue));
  int64_t next_start = kNever;
  for (it->Seek(lower); it->Valid(); it->Next()) {
    ASSIGN_OR_RETURN(ExpiryKey key, DecodeExpiryKey(it->key()));
    // The iterator does not see what this command has taken before.
    ASSIGN_OR_RETURN(const std::optional<std::string> present,
                     context.state.Get(std::string(it->key())));
    if (!present.has_value()) continue;
    if (key.expire_time_us > until_us || expired.size() == static_cast<size_t>(limit)) {
      next_start = key.expire_time_us;
      break;
    }
    expired.push_back(std::move(key));
  }
  RETURN_IF_ERROR(it->status());
  SetQueueStart(context.meta, queue, next_start);
  for (const ExpiryKey& key : expired) {
    context.state.Delete(EncodeExpiryKey(queue, key.expire_time_us, key.id));
  }
  return expired;
}

// `expired`: the request's row in the queue, which has been taken out.
absl::Status ForgetRequest(ApplyContext& context, const ExpiryKey& expired) {
  ASSIGN_OR_RETURN(const RequestId request, DecodeId<RequestId>(expired.id));
  ASSIGN_OR_RETURN(const std::optional<pb::RequestRecord> record,
                   context.state.GetRecord<pb::RequestRecord>(RequestKey(request)));
  // One that moved in a split stays for the child's replicas; one of another time is another
  // request's, of a name that has stayed.
  if (record.has_value() && context.OwnsRequest(record->name()) &&
      record->base_time_us() + absl::ToInt64Microseconds(context.limits.retention) ==
          expired.expire_time_us) {
    context.state.Delete(RequestKey(request));
  }
  if (context.meta.request_count() == 0) {
    return absl::DataLossError("object state: more request rows than are counted");
  }
  context.meta.set_request_count(context.meta.request_count() - 1);
  return absl::OkStatus();
}

}  // namespace

void AddExpiry(ApplyContext& context, Queue queue, int64_t expire_time_us, std::string_view id) {
  context.state.Put(EncodeExpiryKey(queue, expire_time_us, id), std::string(kPresent));
  SetQueueStart(context.meta, queue, std::min(QueueStart(context.meta, queue), expire_time_us));
}

void RemoveExpiry(ApplyContext& context, Queue queue, int64_t expire_time_us, std::string_view id) {
  context.state.Delete(EncodeExpiryKey(queue, expire_time_us, id));
}

absl::Status ForgetExpired(ApplyContext& context) {
  const int64_t now = context.now_us();
  ASSIGN_OR_RETURN(const std::vector<ExpiryKey> requests,
                   TakeExpired(context, Queue::kRequest, now, kMaxExpiredRequests));
  for (const ExpiryKey& key : requests) RETURN_IF_ERROR(ForgetRequest(context, key));

  ASSIGN_OR_RETURN(const std::vector<ExpiryKey> aborted,
                   TakeExpired(context, Queue::kAbortedRun, now, kMaxExpiredAbortedRuns));
  for (const ExpiryKey& key : aborted) {
    ASSIGN_OR_RETURN(const RunId run, DecodeId<RunId>(key.id));
    context.state.Delete(AbortedRunKey(run));
  }

  ASSIGN_OR_RETURN(const std::vector<ExpiryKey> uploads,
                   TakeExpired(context, Queue::kUpload, now, kMaxExpiredUploads));
  for (const ExpiryKey& key : uploads) {
    ASSIGN_OR_RETURN(const UploadId upload, DecodeId<UploadId>(key.id));
    RETURN_IF_ERROR(DiscardUpload(context, upload));
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> ForgetOldestRequest(ApplyContext& context) {
  // A row expires `retention` after its base time.
  const int64_t retention = absl::ToInt64Microseconds(context.limits.retention);
  const int64_t youngest_base =
      context.now_us() - absl::ToInt64Microseconds(context.limits.min_retention);
  ASSIGN_OR_RETURN(const std::vector<ExpiryKey> oldest,
                   TakeExpired(context, Queue::kRequest, youngest_base + retention, 1));
  if (oldest.empty()) return false;
  const int64_t base = oldest.front().expire_time_us - retention;
  RETURN_IF_ERROR(ForgetRequest(context, oldest.front()));
  context.meta.set_request_floor_us(std::max(context.meta.request_floor_us(), base));
  return true;
}

}  // namespace meridian::objects
