#include "coordination/etcd/list_pages.h"

#include <utility>

#include "base/status.h"
#include "coordination/etcd/kv_codec.h"
#include "coordination/transaction.h"

namespace meridian::coordination {
namespace {

// A compaction takes the revision of a listing that lasts longer than etcd keeps history.
constexpr int kMaxRestarts = 3;

}  // namespace

ListPages::ListPages(CallEnvironment& environment, std::string key_prefix, std::string prefix,
                     int64_t page_rows, Done done)
    : environment_(environment),
      key_prefix_(std::move(key_prefix)),
      first_(key_prefix_ + prefix),
      end_(PrefixEnd(first_)),  // never empty: the key prefix ends with '/'
      page_rows_(page_rows),
      done_(std::move(done)) {}

void ListPages::Begin() {
  rows_.clear();
  next_ = first_;
  revision_ = 0;
  NextPage();
}

void ListPages::NextPage() {
  etcdserverpb::RangeRequest request;
  request.set_key(next_);
  request.set_range_end(end_);
  request.set_limit(page_rows_);
  request.set_revision(revision_);
  CallRange(environment_, std::move(request),
            [self = shared_from_this()](auto page) { self->OnPage(std::move(page)); });
}

void ListPages::OnPage(absl::StatusOr<etcdserverpb::RangeResponse> page) {
  if (absl::IsOutOfRange(page.status()) && ++restarts_ <= kMaxRestarts) {
    Begin();
    return;
  }
  const absl::Status taken = page.ok() ? Take(*page) : page.status();
  if (!taken.ok()) {
    done_(absl::IsDataLoss(taken) ? taken : absl::UnavailableError(taken.message()));
  } else if (page->more()) {
    NextPage();
  } else {
    done_(std::move(rows_));
  }
}

absl::Status ListPages::Take(const etcdserverpb::RangeResponse& page) {
  if (page.more() && page.kvs().empty()) {
    return absl::DataLossError("etcd answered with an empty page that is not the last");
  }
  for (const etcdserverpb::KeyValue& row : page.kvs()) {
    ASSIGN_OR_RETURN(KeyValue decoded, FromKeyValue(key_prefix_, row));
    rows_.push_back(std::move(decoded));
    next_ = row.key() + '\0';
  }
  if (revision_ == 0) revision_ = page.header().revision();
  return absl::OkStatus();
}

}  // namespace meridian::coordination
