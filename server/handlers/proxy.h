// Passes calls on objects on to the partition's leader, for clients that do not go there by
// themselves.
#pragma once

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "meridian/v1/objects.grpc.pb.h"
#include "meridian/v1/uploads.grpc.pb.h"

namespace meridian::server {

// A call that is passed on carries what the client sent, its access key above all, by which the
// leader judges it as if the client had come there; its deadline and its end; and the mark of a
// client that follows NOT_LEADER itself, so that nobody passes it on once more. It keeps its
// request id. Answer, error details and trailers come back as they are. One call is one attempt.
// Messages are passed on one by one as both sides take them. Thread-safe.
class Proxy {
 public:
  // Of a call's metadata: the client goes where NOT_LEADER says, by itself.
  static constexpr char kRoutesKey[] = "meridian-routes";
  // At a time: each holds a thread here and one at the leader, who must have some left to lead.
  static constexpr int kMaxCalls = 64;

  // The services of one server.
  struct Leader {
    const std::unique_ptr<v1::ObjectService::Stub> objects;
    const std::unique_ptr<v1::UploadService::Stub> uploads;
  };
  // Makes the call at the leader; the context lives that long.
  using Call = std::function<grpc::Status(Leader& leader, grpc::ClientContext& context)>;

  // `credentials`: of a channel to any server.
  explicit Proxy(std::shared_ptr<grpc::ChannelCredentials> credentials)
      : credentials_(std::move(credentials)) {}

  // Whether the caller wants its call to be passed on.
  static bool IsWanted(const grpc::ServerContext& context);

  // UNAVAILABLE (OUTCOME_UNKNOWN): the connection broke. RESOURCE_EXHAUSTED (OVERLOADED): there are
  // kMaxCalls already.
  grpc::Status Pass(grpc::ServerContext& context, const std::string& endpoint, const Call& call);

 private:
  // More than a cluster has; beyond, all connections are made anew.
  static constexpr size_t kMaxLeaders = 256;

  std::shared_ptr<Leader> Find(const std::string& endpoint) ABSL_LOCKS_EXCLUDED(mutex_);

  const std::shared_ptr<grpc::ChannelCredentials> credentials_;
  std::atomic<int> calls_{0};
  absl::Mutex mutex_;
  std::map<std::string, std::shared_ptr<Leader>> leaders_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace meridian::server
