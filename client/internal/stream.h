// Client-side streams whose every step has a bound: gRPC's own deadline covers a call as a whole,
// which does not suit a body of unknown length.
#pragma once

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/check.h"
#include "client/internal/session.h"

namespace meridian::client_internal {

// Waits for the steps of one call, one at a time. Not thread-safe.
class StepWaiter {
 public:
  explicit StepWaiter(grpc::ClientContext& context) : context_(context) {}
  // No step may be outstanding.
  ~StepWaiter() {
    queue_.Shutdown();
    void* tag;
    bool ok;
    while (queue_.Next(&tag, &ok)) {
    }
  }

  grpc::CompletionQueue* queue() { return &queue_; }

  // Waits for the step just begun. False: it failed, or took too long and the call was cancelled.
  bool Await(absl::Duration timeout) {
    void* tag;
    bool ok = false;
    const auto deadline = std::chrono::system_clock::now() + absl::ToChronoMicroseconds(timeout);
    if (queue_.AsyncNext(&tag, &ok, deadline) == grpc::CompletionQueue::TIMEOUT) {
      timed_out_ = true;
      context_.TryCancel();
      CHECK_INVARIANT(queue_.Next(&tag, &ok), "a cancelled step completes");
      return false;
    }
    return ok;
  }

  // What to report, given how the call ended.
  absl::Status Outcome(const grpc::Status& status) const {
    if (timed_out_ && !status.ok()) {
      return absl::DeadlineExceededError("the server stopped answering");
    }
    return FromGrpc(status, context_);
  }

 private:
  grpc::ClientContext& context_;
  grpc::CompletionQueue queue_;
  bool timed_out_ = false;
};

// Sends messages, gets one answer. Not thread-safe. Finish must be called once, last.
template <typename Request, typename Response>
class SendStream {
 public:
  // `prepare(context, response, queue)` is a stub's PrepareAsync method. `step_timeout` bounds
  // each message, the first of which waits for the connection, and the answer.
  template <typename Prepare>
  SendStream(Session& session, Prepare prepare, absl::Duration step_timeout)
      : context_(session.NewContext(absl::InfiniteDuration())),
        waiter_(*context_),
        step_timeout_(step_timeout) {
    context_->set_initial_metadata_corked(true);
    writer_ = prepare(context_.get(), &response_, waiter_.queue());
    // Corked: begins with the first message, and completes with it.
    writer_->StartCall(nullptr);
  }

  // Begins to send; `message` may be changed at once. False: the stream is broken or the server has
  // answered already; Finish says which.
  bool Send(const Request& message, bool last = false) {
    if (!Settle()) return false;
    if (last) {
      writer_->WriteLast(message, grpc::WriteOptions(), nullptr);
    } else {
      writer_->Write(message, nullptr);
    }
    sending_ = true;
    return true;
  }

  // Without the last message sent, the call is given up.
  absl::Status Finish(bool complete, Response* response) {
    Settle();
    if (open_ && !complete) context_->TryCancel();
    grpc::Status status;
    writer_->Finish(&status, nullptr);
    waiter_.Await(step_timeout_);
    *response = std::move(response_);
    return waiter_.Outcome(status);
  }

 private:
  // Waits for the message on its way.
  bool Settle() {
    if (sending_) {
      open_ = waiter_.Await(step_timeout_) && open_;
      sending_ = false;
    }
    return open_;
  }

  Response response_;
  const std::unique_ptr<grpc::ClientContext> context_;
  StepWaiter waiter_;
  const absl::Duration step_timeout_;
  std::unique_ptr<grpc::ClientAsyncWriter<Request>> writer_;
  bool open_ = true;
  bool sending_ = false;
};

// Gets messages. Not thread-safe. Finish must be called once, last.
template <typename Response>
class ReceiveStream {
 public:
  // `prepare(context, queue)` is a stub's PrepareAsync method with its request.
  template <typename Prepare>
  ReceiveStream(Session& session, Prepare prepare, absl::Duration step_timeout)
      : context_(session.NewContext(absl::InfiniteDuration())),
        waiter_(*context_),
        step_timeout_(step_timeout) {
    reader_ = prepare(context_.get(), waiter_.queue());
    reader_->StartCall(nullptr);
    open_ = waiter_.Await(step_timeout_);
  }

  // False: the stream has ended; Finish says how.
  bool Receive(Response* message) {
    if (!open_) return false;
    reader_->Read(message, nullptr);
    open_ = waiter_.Await(step_timeout_);
    return open_;
  }

  // Before the stream's end: the rest is given up.
  absl::Status Finish() {
    if (open_) context_->TryCancel();
    grpc::Status status;
    reader_->Finish(&status, nullptr);
    waiter_.Await(step_timeout_);
    return waiter_.Outcome(status);
  }

 private:
  const std::unique_ptr<grpc::ClientContext> context_;
  StepWaiter waiter_;
  const absl::Duration step_timeout_;
  std::unique_ptr<grpc::ClientAsyncReader<Response>> reader_;
  bool open_ = false;
};

}  // namespace meridian::client_internal
