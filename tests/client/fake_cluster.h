// Servers of the public API over loopback TLS, with one object store in memory behind them and
// faults on demand: what the client library is tested against.
#pragma once

#include <grpcpp/grpcpp.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "base/clock.h"
#include "client/profile.h"
#include "crypto/certificate_authority.h"
#include "meridian/v1/errors.pb.h"
#include "meridian/v1/objects.pb.h"
#include "meridian/v1/uploads.pb.h"

namespace meridian {

// A status with its reason and, if given, one more typed detail, as servers send it.
grpc::Status FakeError(grpc::StatusCode code, v1::ErrorReason reason, const std::string& message,
                       const google::protobuf::Message* detail = nullptr);

// What all fake servers share. Thread-safe.
class FakeStore {
 public:
  // -- What to go wrong. Each fault is used up by the first call that it fits.

  // The next object or upload calls that reach the leader are answered so, doing nothing.
  void FailNext(grpc::Status status);
  // The next PutObject, WriteObject or FinishUpload takes effect, but answers UNAVAILABLE.
  void LoseNextAnswer();
  // The next call that reaches the leader does not answer until the client gives up.
  void HangNext();
  // The next ReadObject breaks after so many bytes of data; `then` is called before the client
  // knows.
  void BreakNextReadAfter(
      int64_t bytes, std::function<void()> then = [] {});
  // The next ReadObject flips a bit of its first data.
  void DamageNextRead();
  // The next WriteUpload breaks once so many of its bytes are durable.
  void BreakNextUploadAfter(int64_t bytes);

  // -- What happened

  int calls() const;
  // Objects made: a repeated request counts once.
  int effects() const;
  int64_t read_bytes() const;
  // Content; nullopt: no such object.
  std::optional<std::string> Content(const std::string& container, const std::string& name) const;
  bool HasUploads() const;

  // -- For the services

  // Takes the fault that is due for a call, if any. `hang`: to be answered when cancelled.
  grpc::Status BeginCall(bool* hang);
  grpc::Status Put(const v1::WriteSpec& spec, std::string data, v1::Object* object);
  grpc::Status Find(const std::string& container, const std::string& name,
                    const std::string& version_id, v1::Object* object, std::string* data) const;
  grpc::Status Delete(const v1::DeleteObjectRequest& request);
  // Up to the end of a partition, empty: of the names.
  void List(const v1::ListObjectsRequest& request, const std::string& end,
            v1::ListObjectsResponse* response) const;
  struct ReadFault {
    int64_t break_after = INT64_MAX;
    std::function<void()> then;
    bool damaged = false;
  };
  // What is to happen to the read that begins now.
  ReadFault BeginRead();
  void CountRead(size_t bytes);
  v1::Upload StartUpload(const v1::StartUploadRequest& request);
  grpc::Status GetUpload(const std::string& name, v1::Upload* upload) const;
  grpc::Status BeginUploadStream(const v1::WriteUploadStart& start, int64_t* break_after);
  int64_t AppendUpload(const std::string& name, const std::string& data);
  grpc::Status FinishUpload(const v1::FinishUploadRequest& request, v1::Object* object);
  void AbortUpload(const std::string& name);
  // The upload's object; empty if there is no such upload.
  std::string ObjectOf(const std::string& upload) const;

 private:
  struct Stored {
    v1::Object object;
    std::string data;
  };
  struct Uploading {
    v1::WriteSpec spec;
    std::string data;
  };
  using Key = std::pair<std::string, std::string>;

  grpc::Status PutLocked(const v1::WriteSpec& spec, std::string data, v1::Object* object)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  grpc::Status MaybeLoseAnswer() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable absl::Mutex mutex_;
  std::map<Key, Stored> objects_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, v1::Object> outcomes_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, Uploading> uploads_ ABSL_GUARDED_BY(mutex_);
  std::deque<grpc::Status> failures_ ABSL_GUARDED_BY(mutex_);
  bool lose_answer_ ABSL_GUARDED_BY(mutex_) = false;
  bool hang_ ABSL_GUARDED_BY(mutex_) = false;
  ReadFault read_fault_ ABSL_GUARDED_BY(mutex_);
  std::optional<int64_t> break_upload_after_ ABSL_GUARDED_BY(mutex_);
  int calls_ ABSL_GUARDED_BY(mutex_) = 0;
  int effects_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t read_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t next_id_ ABSL_GUARDED_BY(mutex_) = 1;
};

// Servers 0, 1, ...: the profile names server 0 only; server 0 leads at first. Thread-safe.
class FakeCluster {
 public:
  explicit FakeCluster(int servers);
  ~FakeCluster();

  // With the access key "mak1_test"; every other is refused.
  Profile profile() const;
  FakeStore& store() { return store_; }
  std::string endpoint(int server) const;
  // Also what GetRoute says, unless a route is forced.
  void SetLeader(int server);
  std::string leader_endpoint() const;
  // Divides the names of all containers: who leads from each of these names on; the first is "".
  // Each call makes a newer map. GetRoute says so, unless routes are frozen.
  void SetPartitions(std::map<std::string, int> leader_by_begin);
  void FreezeRoutes();
  // Who serves the name, as a server answers that does not.
  v1::NotLeader LeaderOf(const std::string& name) const;
  // The same, as GetRoute knows it.
  v1::NotLeader RouteOf(const std::string& name) const;
  // How often a server has said that another one leads.
  int redirects() const;
  void CountRedirect();
  // GetRoute names this endpoint whatever leads; empty string: names none.
  void ForceRoute(std::optional<std::string> endpoint);
  std::optional<std::string> forced_route() const;
  // Closes its socket and breaks its calls.
  void Stop(int server);

 private:
  struct Server;
  SystemClock clock_;
  FakeStore store_;
  std::unique_ptr<crypto::CertificateAuthority> authority_;
  std::vector<std::unique_ptr<Server>> servers_;
  mutable absl::Mutex mutex_;
  struct Map {
    uint64_t generation = 0;  // 0: servers say nothing of ranges
    std::map<std::string, int> leader_by_begin = {{"", 0}};
  };
  v1::NotLeader Find(const Map& map, const std::string& name) const;

  Map map_ ABSL_GUARDED_BY(mutex_);
  std::optional<Map> frozen_map_ ABSL_GUARDED_BY(mutex_);
  int redirects_ ABSL_GUARDED_BY(mutex_) = 0;
  std::optional<std::string> forced_route_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace meridian
