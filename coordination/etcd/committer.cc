#include "coordination/etcd/committer.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "coordination/etcd/errors.h"
#include "coordination/etcd/kv_codec.h"
#include "coordination/transaction.h"

namespace meridian::coordination {
namespace {

// etcd's default is 1.5 MiB with what its members add.
constexpr size_t kMaxTxnBytes = (1536 << 10) - 1024;

absl::Status Unknown(const absl::Status& why) {
  return absl::UnavailableError(
      absl::StrCat("the outcome of a commit is unknown: ", std::string(FromAbsl(why.message()))));
}

}  // namespace

Committer::Committer(CallEnvironment& environment, std::string key_prefix, Transaction transaction,
                     Done done)
    : environment_(environment),
      key_prefix_(std::move(key_prefix)),
      transaction_(std::move(transaction)),
      done_(std::move(done)) {}

void Committer::Begin() {
  if (const absl::Status valid = Validate(transaction_); !valid.ok()) {
    done_(valid);
    return;
  }
  revision_before_ = environment_.guard.seen().revision;
  etcdserverpb::TxnRequest txn = ToTxn(key_prefix_, transaction_);
  if (const size_t size_bytes = txn.ByteSizeLong(); size_bytes > kMaxTxnBytes) {
    done_(
        absl::InvalidArgumentError(absl::StrCat("a coordination transaction has ", size_bytes,
                                                " bytes, more than the limit of ", kMaxTxnBytes)));
    return;
  }
  CallTxn(environment_, std::move(txn),
          [self = shared_from_this()](auto answer) { self->OnAnswer(std::move(answer)); });
}

void Committer::OnAnswer(absl::StatusOr<etcdserverpb::TxnResponse> answer) {
  if (answer.ok()) {
    done_(CommitResult{.succeeded = answer->succeeded(), .revision = answer->header().revision()});
  } else if (IsOutOfSpace(answer.status())) {
    FindOut(answer.status());
  } else if (absl::IsInvalidArgument(answer.status())) {
    done_(answer.status());  // beyond a limit of etcd's; refused before anything was done
  } else {
    done_(Unknown(answer.status()));
  }
}

void Committer::FindOut(absl::Status refusal) {
  // A row that is there, as it was before the transaction was sent, was not written by it. One that
  // is absent tells nothing: it may have been written, and deleted by another since. So a row that
  // the transaction found, as a compare says, is the best to ask about.
  const auto was_found = [this](const Write& write) {
    return std::any_of(transaction_.compares.begin(), transaction_.compares.end(),
                       [&](const Compare& compare) {
                         return compare.key == write.key && compare.mod_revision != 0;
                       });
  };
  auto write = std::find_if(transaction_.writes.begin(), transaction_.writes.end(), was_found);
  if (write == transaction_.writes.end()) write = transaction_.writes.begin();
  if (write == transaction_.writes.end() || revision_before_ == 0) {
    done_(Unknown(refusal));
    return;
  }
  etcdserverpb::RangeRequest request;
  request.set_key(key_prefix_ + write->key);
  request.set_keys_only(true);
  CallRange(environment_, std::move(request),
            [self = shared_from_this(), refusal = std::move(refusal)](auto row) {
              const bool untouched = row.ok() && !row->kvs().empty() &&
                                     row->kvs(0).mod_revision() <= self->revision_before_;
              self->done_(untouched ? refusal : Unknown(refusal));
            });
}

}  // namespace meridian::coordination
