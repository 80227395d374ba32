// One end of the stream between two nodes: keeps one read and at most one write in flight, and ends
// itself in the order that gRPC's callback API demands.
#pragma once

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/support/byte_buffer.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "replication/transport/envelope.h"

namespace meridian::replication {

class Stream;

// Thread-safe; outlives its streams. A stream calls it without holding a lock.
class StreamOwner {
 public:
  virtual ~StreamOwner() = default;
  // Not OK ends the stream with that status.
  virtual absl::Status OnEnvelope(Stream& stream, DecodedEnvelope envelope) = 0;
  // What is to be sent now; nullopt if nothing is.
  virtual std::optional<grpc::ByteBuffer> NextEnvelope(Stream& stream) = 0;
  // The last call for this stream.
  virtual void OnStreamDone(Stream& stream, const absl::Status& why) = 0;
};

// Thread-safe. Owns itself until gRPC is done with it.
class Stream : public std::enable_shared_from_this<Stream> {
 public:
  Stream(StreamOwner& owner, bool dialled) : dialled_(dialled), owner_(owner) {}
  virtual ~Stream() = default;

  // Once, before anything else.
  virtual void Start() = 0;
  // This end opened it.
  bool dialled() const { return dialled_; }
  // NextEnvelope may have something.
  void Wake() ABSL_LOCKS_EXCLUDED(mutex_);
  // Ends the stream; the first reason counts.
  void End(absl::Status why) ABSL_LOCKS_EXCLUDED(mutex_);

 protected:
  virtual void DoRead(grpc::ByteBuffer* into) = 0;
  virtual void DoWrite(const grpc::ByteBuffer* bytes) = 0;
  // Makes what is in flight fail.
  virtual void DoCancel() = 0;
  // Nothing more will be started from outside gRPC's reactions.
  virtual void DoRelease(const absl::Status& why) = 0;

  // The reactions.
  void ReadNext() { DoRead(&in_); }
  void ReadDone(bool ok);
  void WriteDone(bool ok);
  // The remote status counts unless this end had a reason of its own.
  void Done(const absl::Status& remote);
  // Keeps the object until Done.
  void OwnSelf() { self_ = shared_from_this(); }

 private:
  // Requires writing_, which makes this the only writer.
  void Pump();
  bool TakeRelease() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void MaybeRelease() ABSL_LOCKS_EXCLUDED(mutex_);
  bool ended() ABSL_LOCKS_EXCLUDED(mutex_);

  const bool dialled_;
  StreamOwner& owner_;
  std::shared_ptr<Stream> self_;
  grpc::ByteBuffer in_;   // of the read in flight
  grpc::ByteBuffer out_;  // of the writer
  absl::Mutex mutex_;
  // Someone prepares a write, or one is in flight.
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool wake_again_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  // DoRelease has been or is being called: only once ended, with no write and no cancel under way.
  bool released_ ABSL_GUARDED_BY(mutex_) = false;
  int cancelling_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Status why_ ABSL_GUARDED_BY(mutex_);
};

// Start opens the stream on the channel; OnStreamDone comes even if the peer cannot be reached.
std::shared_ptr<Stream> DialStream(StreamOwner& owner, std::shared_ptr<grpc::Channel> channel);

using RawServerReactor = grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>;

// The stream and the reactor that gRPC is to be given for it. `context` lives until Done.
std::pair<std::shared_ptr<Stream>, RawServerReactor*> AcceptStream(
    StreamOwner& owner, grpc::CallbackServerContext* context);

}  // namespace meridian::replication
