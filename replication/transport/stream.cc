#include "replication/transport/stream.h"

#include <utility>

#include "base/status.h"

namespace meridian::replication {
namespace {

constexpr char kStreamMethod[] = "/meridian.internal.v1.NodeTransport/Stream";

absl::Status FromGrpc(const grpc::Status& status) {
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
}

grpc::Status ToGrpc(const absl::Status& status) {
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()),
                      std::string(FromAbsl(status.message())));
}

class DialledStream final : public Stream,
                            public grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  DialledStream(StreamOwner& owner, std::shared_ptr<grpc::Channel> channel)
      : Stream(owner, /*dialled=*/true), stub_(std::move(channel)) {}

  void Start() override {
    OwnSelf();
    stub_.PrepareBidiStreamingCall(&context_, kStreamMethod, grpc::StubOptions(), this);
    AddHold();  // writes start outside reactions; until DoRelease
    ReadNext();
    StartCall();
    Wake();
  }

  void OnReadDone(bool ok) override { ReadDone(ok); }
  void OnWriteDone(bool ok) override { WriteDone(ok); }
  void OnDone(const grpc::Status& status) override { Done(FromGrpc(status)); }

 private:
  void DoRead(grpc::ByteBuffer* into) override { StartRead(into); }
  void DoWrite(const grpc::ByteBuffer* bytes) override { StartWrite(bytes); }
  void DoCancel() override { context_.TryCancel(); }
  void DoRelease(const absl::Status&) override { RemoveHold(); }

  grpc::GenericStub stub_;
  grpc::ClientContext context_;
};

class AcceptedStream final : public Stream, public RawServerReactor {
 public:
  AcceptedStream(StreamOwner& owner, grpc::CallbackServerContext* context)
      : Stream(owner, /*dialled=*/false), context_(context) {}

  void Start() override {
    OwnSelf();
    ReadNext();
  }

  void OnReadDone(bool ok) override { ReadDone(ok); }
  void OnWriteDone(bool ok) override { WriteDone(ok); }
  void OnDone() override { Done(absl::CancelledError("the stream was closed")); }

 private:
  void DoRead(grpc::ByteBuffer* into) override { StartRead(into); }
  void DoWrite(const grpc::ByteBuffer* bytes) override { StartWrite(bytes); }
  void DoCancel() override { context_->TryCancel(); }
  void DoRelease(const absl::Status& why) override { Finish(ToGrpc(why)); }

  grpc::CallbackServerContext* const context_;
};

}  // namespace

void Stream::Wake() {
  {
    absl::MutexLock lock(&mutex_);
    if (ended_) return;
    if (writing_) {
      wake_again_ = true;
      return;
    }
    writing_ = true;
  }
  Pump();
}

void Stream::Pump() {
  while (true) {
    if (!ended()) {
      if (std::optional<grpc::ByteBuffer> next = owner_.NextEnvelope(*this)) {
        out_ = *std::move(next);
        DoWrite(&out_);
        return;  // writing_ stays until WriteDone
      }
    }
    absl::MutexLock lock(&mutex_);
    if (wake_again_ && !ended_) {
      wake_again_ = false;
      continue;
    }
    writing_ = false;
    break;
  }
  MaybeRelease();
}

void Stream::WriteDone(bool ok) {
  out_.Clear();  // drops the references to what has been sent
  if (!ok) End(absl::UnavailableError("the stream broke while sending"));
  Pump();
}

void Stream::ReadDone(bool ok) {
  if (!ok) {
    End(absl::OkStatus());
    return;
  }
  absl::StatusOr<DecodedEnvelope> envelope = DecodeEnvelope(in_);
  in_.Clear();
  const absl::Status status =
      envelope.ok() ? owner_.OnEnvelope(*this, *std::move(envelope)) : envelope.status();
  if (!status.ok()) {
    End(status);
  } else if (!ended()) {
    ReadNext();
  }
}

void Stream::End(absl::Status why) {
  bool cancel = false;
  {
    absl::MutexLock lock(&mutex_);
    if (ended_) return;
    ended_ = true;
    why_ = std::move(why);
    // Without a reason it is over anyway, and what is in flight fails by itself. An accepting end
    // with nothing in flight tells its reason to the peer instead of cancelling.
    cancel = !why_.ok() && (dialled_ || writing_);
    if (cancel) ++cancelling_;
  }
  if (cancel) {
    DoCancel();
    absl::MutexLock lock(&mutex_);
    --cancelling_;
  }
  MaybeRelease();
}

bool Stream::TakeRelease() {
  if (!ended_ || writing_ || cancelling_ > 0 || released_) return false;
  released_ = true;
  return true;
}

void Stream::MaybeRelease() {
  absl::Status why;
  {
    absl::MutexLock lock(&mutex_);
    if (!TakeRelease()) return;
    why = why_;
  }
  DoRelease(why);
}

bool Stream::ended() {
  absl::MutexLock lock(&mutex_);
  return ended_;
}

void Stream::Done(const absl::Status& remote) {
  const std::shared_ptr<Stream> self = std::move(self_);
  absl::Status why;
  {
    absl::MutexLock lock(&mutex_);
    ended_ = true;
    why = why_;
  }
  owner_.OnStreamDone(*this, why.ok() ? remote : why);
}

std::shared_ptr<Stream> DialStream(StreamOwner& owner, std::shared_ptr<grpc::Channel> channel) {
  return std::make_shared<DialledStream>(owner, std::move(channel));
}

std::pair<std::shared_ptr<Stream>, RawServerReactor*> AcceptStream(
    StreamOwner& owner, grpc::CallbackServerContext* context) {
  auto stream = std::make_shared<AcceptedStream>(owner, context);
  RawServerReactor* reactor = stream.get();
  return {std::move(stream), reactor};
}

}  // namespace meridian::replication
