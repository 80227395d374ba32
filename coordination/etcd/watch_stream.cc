#include "coordination/etcd/watch_stream.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "coordination/etcd/errors.h"
#include "coordination/transaction.h"

namespace meridian::coordination {
namespace {

namespace pb = ::etcdserverpb;

constexpr absl::Duration kMinRetryDelay = absl::Milliseconds(20);
constexpr absl::Duration kMaxRetryDelay = absl::Seconds(1);

}  // namespace

// One read is in flight, or its response is on the strand's queue: what arrives faster waits at
// etcd. Keeps itself alive until gRPC is done with it.
class WatchStream::Stream final
    : public grpc::ClientBidiReactor<pb::WatchRequest, pb::WatchResponse>,
      public std::enable_shared_from_this<Stream> {
 public:
  Stream(WatchStream& owner, EtcdMember& member)
      : owner_(owner), gate_(owner.environment_.gate), member_(member), life_(member.life) {}

  // False: the store closes.
  bool Start(const std::string& key_prefix) {
    if (!gate_.Enter(context_)) return false;
    self_ = shared_from_this();
    pb::WatchCreateRequest& create = *request_.mutable_create_request();
    create.set_key(key_prefix);
    create.set_range_end(PrefixEnd(key_prefix));
    create.set_fragment(true);
    // etcd ends the stream once its member has lost the leader, instead of being silent on it.
    DemandLeader(*context_);
    member_.watch->async()->Watch(context_.get(), this);
    AddHold();  // reads start outside reactions; until the last has failed
    StartWrite(&request_);
    StartRead(&response_);
    StartCall();
    return true;
  }

  // What the last read brought; valid until ReadNext.
  const pb::WatchResponse& response() const { return response_; }
  EtcdMember& member() const { return member_; }
  uint64_t life() const { return life_; }

  // After a response was handled: either of them.
  void ReadNext() { StartRead(&response_); }
  void End(absl::Status why) {
    why_ = std::move(why);
    context_->TryCancel();
    RemoveHold();
  }
  // Any time: makes the read in flight, or the next one, fail.
  void Cancel() { context_->TryCancel(); }

  void OnReadDone(bool ok) override {
    if (!ok) {
      RemoveHold();
      return;
    }
    owner_.environment_.strand.Post(
        [self = shared_from_this()] { self->owner_.OnResponse(*self); });
  }

  void OnDone(const grpc::Status& status) override {
    // It goes with the task, as what Call holds does.
    std::shared_ptr<Stream> self = std::move(self_);
    const grpc::ClientContext* const call = context_.get();
    CallGate& gate = gate_;
    Executor& strand = owner_.environment_.strand;
    strand.Post([self = std::move(self), status] { self->owner_.OnEnd(*self, status); });
    gate.Leave(call);
  }

  // Why this end ended it; OK if it did not.
  const absl::Status& why() const { return why_; }

 private:
  WatchStream& owner_;
  CallGate& gate_;
  EtcdMember& member_;
  const uint64_t life_;
  const std::shared_ptr<grpc::ClientContext> context_ = std::make_shared<grpc::ClientContext>();
  pb::WatchRequest request_;
  pb::WatchResponse response_;
  absl::Status why_;
  std::shared_ptr<Stream> self_;
};

WatchStream::WatchStream(CallEnvironment& environment, std::string key_prefix,
                         WatchRegistry& registry)
    : environment_(environment),
      key_prefix_(std::move(key_prefix)),
      registry_(registry),
      retry_delay_(kMinRetryDelay) {}

WatchStream::~WatchStream() = default;

void WatchStream::Start() {
  if (!std::exchange(started_, true)) Open();
}

void WatchStream::Open() {
  EtcdMember* const member = environment_.members.Pick();
  if (member == nullptr) {
    environment_.members.Await([this] { Open(); });
    return;
  }
  stream_ = std::make_shared<Stream>(*this, *member);
  if (!stream_->Start(key_prefix_)) stream_ = nullptr;
}

void WatchStream::OnMemberDown(const EtcdMember& member) {
  if (stream_ != nullptr && &stream_->member() == &member) stream_->Cancel();
}

void WatchStream::OnResponse(Stream& stream) {
  if (absl::Status taken = Take(stream); taken.ok()) {
    stream.ReadNext();
  } else {
    stream.End(std::move(taken));
  }
}

absl::Status WatchStream::Take(const Stream& stream) {
  const pb::WatchResponse& response = stream.response();
  // A member's own state, which may be late: its revision says nothing.
  RETURN_IF_ERROR(environment_.guard.Check(stream.member().endpoint, response.header(),
                                           /*floor=*/std::nullopt));
  if (response.canceled()) {
    return absl::UnavailableError(absl::StrCat("etcd at ", stream.member().endpoint,
                                               " ended the watch: ", response.cancel_reason()));
  }
  if (response.created()) {
    retry_delay_ = kMinRetryDelay;
    registry_.NotifyAll();
  }
  std::vector<Write> changed;
  for (const pb::Event& event : response.events()) {
    if (!event.kv().key().starts_with(key_prefix_)) continue;
    changed.push_back({.key = event.kv().key().substr(key_prefix_.size()), .value = std::nullopt});
  }
  if (!changed.empty()) registry_.Notify(changed);
  return absl::OkStatus();
}

void WatchStream::OnEnd(Stream& stream, const grpc::Status& status) {
  absl::Status why = stream.why().ok() ? FromGrpc(stream.member().endpoint, status) : stream.why();
  if (why.ok()) why = absl::UnavailableError("etcd ended the watch");
  // So that the next one is not opened at a member that could not serve it.
  environment_.members.MarkDown(stream.member(), stream.life(), std::move(why));
  stream_ = nullptr;
  environment_.strand.PostAfter(retry_delay_, [this] { Open(); });
  retry_delay_ = std::min(retry_delay_ * 2, kMaxRetryDelay);
}

}  // namespace meridian::coordination
