// The C++ client library: objects and containers of a tenant. See docs/api.md, and
// docs/examples/put_get.cc for a whole program.
//
// Every call finds the leader of the object's partition, whichever of a container's partitions that
// is by now, waits within its timeout, and retries what
// may be retried with backoff and under one request id, so that it takes effect at most once. While
// a quorum is up, the loss of a node or a zone costs a call seconds, not an error. Errors come back
// with the server's code and message; see client/errors.h for the reason.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/byte_stream.h"
#include "client/options.h"
#include "client/page_iterator.h"
#include "client/profile.h"
#include "meridian/v1/containers.pb.h"
#include "meridian/v1/objects.pb.h"
#include "meridian/v1/uploads.pb.h"

namespace meridian {

namespace client_internal {
class Session;
}

// One line of a listing: an object, or the common prefix of several.
struct ObjectEntry {
  // The object's name or the prefix.
  std::string name;
  // nullopt: a prefix.
  std::optional<v1::Object> object;
};

// Thread-safe; every call blocks its thread. Connections are made when first needed and shared by
// all calls. Resource names are as in the API: `tenants/{tenant}/containers/{container}`.
class Client {
 public:
  explicit Client(const Profile& profile, const ClientOptions& options = {});
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // -- Containers

  absl::StatusOr<v1::Container> CreateContainer(const v1::CreateContainerRequest& request,
                                                const CallOptions& options = {});
  absl::StatusOr<v1::Container> GetContainer(const std::string& name,
                                             const CallOptions& options = {});
  absl::StatusOr<v1::Container> UpdateContainer(const v1::UpdateContainerRequest& request,
                                                const CallOptions& options = {});
  absl::Status DeleteContainer(const std::string& name, const CallOptions& options = {});
  // See meridian/v1/containers.proto; GetContainer tells how far a conversion is.
  absl::StatusOr<v1::Container> ConvertContainer(const std::string& name, v1::Redundancy redundancy,
                                                 const CallOptions& options = {});
  absl::StatusOr<v1::Container> PauseConversion(const std::string& name,
                                                const CallOptions& options = {});
  absl::StatusOr<v1::Container> ResumeConversion(const std::string& name,
                                                 const CallOptions& options = {});
  absl::StatusOr<v1::Container> CancelConversion(const std::string& name,
                                                 const CallOptions& options = {});
  PageIterator<v1::Container> ListContainers(const std::string& tenant,
                                             const CallOptions& options = {});

  // -- Objects

  // Writes the whole of `body`. Sizes and checksums are sent along and verified by the server. Up
  // to 1 MiB goes in one message; what a seekable source holds up to 16 MiB as one stream that is
  // repeated if it breaks; everything else as a resumable upload, which costs up to 32 MiB of
  // memory if the source is not seekable. spec.request_id is drawn if not set. spec.size_bytes and
  // spec.crc32c, if set, must hold of the body.
  absl::StatusOr<v1::Object> WriteObject(const v1::WriteSpec& spec, ByteSource& body,
                                         const CallOptions& options = {});
  absl::StatusOr<v1::Object> WriteObject(const v1::WriteSpec& spec, std::string_view body,
                                         const CallOptions& options = {});

  // Reads into `sink` what `request` asks for, in order, and returns the version's metadata. A
  // broken stream is resumed within the same version. Reads of the whole object are verified
  // against its CRC-32C: DATA_LOSS if they differ, and what the sink got is not to be used. If the
  // version was replaced when a broken stream is to be resumed, the read begins again with the newer
  // one; ABORTED if the sink has bytes that it cannot take back (ByteSink::Restart): start again.
  absl::StatusOr<v1::Object> ReadObject(const v1::ReadObjectRequest& request, ByteSink& sink,
                                        const CallOptions& options = {});

  absl::StatusOr<v1::Object> GetObject(const v1::GetObjectRequest& request,
                                       const CallOptions& options = {});
  absl::StatusOr<v1::Object> UpdateObject(const v1::UpdateObjectRequest& request,
                                          const CallOptions& options = {});
  absl::StatusOr<v1::DeleteObjectResponse> DeleteObject(const v1::DeleteObjectRequest& request,
                                                        const CallOptions& options = {});
  absl::StatusOr<v1::Object> RestoreObjectVersion(const v1::RestoreObjectVersionRequest& request,
                                                  const CallOptions& options = {});

  // Objects and prefixes together in byte order.
  PageIterator<ObjectEntry> ListObjects(const v1::ListObjectsRequest& request,
                                        const CallOptions& options = {});
  PageIterator<v1::Object> ListObjectVersions(const v1::ListObjectVersionsRequest& request,
                                              const CallOptions& options = {});

  // -- Uploads in progress, for instance those of a program that died

  PageIterator<v1::Upload> ListUploads(const std::string& container,
                                       const CallOptions& options = {});
  absl::Status AbortUpload(const std::string& upload, const CallOptions& options = {});

 private:
  const std::unique_ptr<client_internal::Session> session_;
};

}  // namespace meridian
