#include "server/handlers/object_handlers.h"

#include "server/errors.h"
#include "server/handlers/bodies.h"
#include "server/handlers/call.h"
#include "server/ops/objects.h"
#include "server/ops/uploads.h"

namespace meridian::server {
namespace {

using grpc::ServerContext;
using Intent = ObjectGateway::Intent;

// An upload's resource name begins with its container's.
std::string ContainerOfUpload(const std::string& upload) {
  return upload.substr(0, upload.rfind("/uploads/"));
}

absl::Status BadStream(const std::string& message) {
  return Error(absl::StatusCode::kInvalidArgument, v1::INVALID_STREAM, message);
}

}  // namespace

grpc::Status ObjectHandlers::PutObject(ServerContext* context, const v1::PutObjectRequest* request,
                                       v1::Object* response) {
  const v1::WriteSpec& spec = request->spec();
  return HandleObject(api_, *context, spec.container(), spec.name(), Intent::kNewData,
                      [&](const ops::Context& opened) {
                        if (request->data().size() > kMaxPieceBytes) {
                          return InvalidField("data", "at most 1 MiB; use WriteObject");
                        }
                        WholeSource source(request->data());
                        return Take(ops::WriteObject(opened, spec, source), response);
                      });
}

grpc::Status ObjectHandlers::WriteObject(ServerContext* context,
                                         grpc::ServerReader<v1::WriteObjectRequest>* reader,
                                         v1::Object* response) {
  // Before the first Read, which may wait for long: strangers get no thread.
  const absl::StatusOr<tenancy::Principal> principal = Authenticate(api_, *context);
  if (!principal.ok()) return ToGrpcStatus(principal.status());
  Stream stream(api_, watchdog_, *context);
  v1::WriteObjectRequest first;
  if (!stream.Wait([&] { return reader->Read(&first); }) || !first.has_spec()) {
    return ToGrpcStatus(
        BadStream("the first message must hold spec, and its strings must be UTF-8"));
  }
  if (const absl::Status key = stream.CheckKey(); !key.ok()) return ToGrpcStatus(key);
  const v1::WriteSpec& spec = first.spec();
  return HandleObjectOf(api_, *principal, *context, spec.container(), spec.name(), Intent::kNewData,
                        [&](const ops::Context& opened) {
                          WriteObjectSource source(stream, *reader);
                          return Take(ops::WriteObject(opened, spec, source), response);
                        });
}

grpc::Status ObjectHandlers::ReadObject(ServerContext* context,
                                        const v1::ReadObjectRequest* request,
                                        grpc::ServerWriter<v1::ReadObjectResponse>* writer) {
  return HandleObject(api_, *context, request->container(), request->name(), Intent::kOther,
                      [&](const ops::Context& opened) {
                        Stream stream(api_, watchdog_, *context);
                        ReadObjectSink sink(stream, *writer);
                        return ops::ReadObject(opened, *request, sink);
                      });
}

grpc::Status ObjectHandlers::GetObject(ServerContext* context, const v1::GetObjectRequest* request,
                                       v1::Object* response) {
  return HandleObject(
      api_, *context, request->container(), request->name(), Intent::kOther,
      [&](const ops::Context& opened) { return Take(ops::GetObject(opened, *request), response); });
}

grpc::Status ObjectHandlers::UpdateObject(ServerContext* context,
                                          const v1::UpdateObjectRequest* request,
                                          v1::Object* response) {
  const v1::Object& object = request->object();
  return HandleObject(api_, *context, object.container(), object.name(), Intent::kOther,
                      [&](const ops::Context& opened) {
                        return Take(ops::UpdateObject(opened, *request), response);
                      });
}

grpc::Status ObjectHandlers::DeleteObject(ServerContext* context,
                                          const v1::DeleteObjectRequest* request,
                                          v1::DeleteObjectResponse* response) {
  return HandleObject(api_, *context, request->container(), request->name(), Intent::kOther,
                      [&](const ops::Context& opened) {
                        return Take(ops::DeleteObject(opened, *request), response);
                      });
}

grpc::Status ObjectHandlers::ListObjects(ServerContext* context,
                                         const v1::ListObjectsRequest* request,
                                         v1::ListObjectsResponse* response) {
  return HandleObject(api_, *context, request->container(), {}, Intent::kOther,
                      [&](const ops::Context& opened) {
                        return Take(ops::ListObjects(opened, *request), response);
                      });
}

grpc::Status ObjectHandlers::ListObjectVersions(ServerContext* context,
                                                const v1::ListObjectVersionsRequest* request,
                                                v1::ListObjectVersionsResponse* response) {
  return HandleObject(api_, *context, request->container(), {}, Intent::kOther,
                      [&](const ops::Context& opened) {
                        return Take(ops::ListObjectVersions(opened, *request), response);
                      });
}

grpc::Status ObjectHandlers::RestoreObjectVersion(ServerContext* context,
                                                  const v1::RestoreObjectVersionRequest* request,
                                                  v1::Object* response) {
  return HandleObject(api_, *context, request->container(), request->name(), Intent::kOther,
                      [&](const ops::Context& opened) {
                        return Take(ops::RestoreObjectVersion(opened, *request), response);
                      });
}

grpc::Status UploadHandlers::StartUpload(ServerContext* context,
                                         const v1::StartUploadRequest* request,
                                         v1::Upload* response) {
  const v1::WriteSpec& spec = request->spec();
  return HandleObject(api_, *context, spec.container(), spec.name(), Intent::kNewData,
                      [&](const ops::Context& opened) {
                        return Take(ops::StartUpload(opened, *request), response);
                      });
}

grpc::Status UploadHandlers::WriteUpload(ServerContext* context,
                                         grpc::ServerReader<v1::WriteUploadRequest>* reader,
                                         v1::WriteUploadResponse* response) {
  // As in WriteObject.
  const absl::StatusOr<tenancy::Principal> principal = Authenticate(api_, *context);
  if (!principal.ok()) return ToGrpcStatus(principal.status());
  Stream stream(api_, watchdog_, *context);
  v1::WriteUploadRequest first;
  if (!stream.Wait([&] { return reader->Read(&first); }) || !first.has_start()) {
    return ToGrpcStatus(
        BadStream("the first message must hold start, and its strings must be UTF-8"));
  }
  if (const absl::Status key = stream.CheckKey(); !key.ok()) return ToGrpcStatus(key);
  const v1::WriteUploadStart& start = first.start();
  return HandleObjectOf(api_, *principal, *context, ContainerOfUpload(start.upload()), {},
                        Intent::kNewData, [&](const ops::Context& opened) {
                          WriteUploadSource source(stream, *reader);
                          return Take(ops::WriteUpload(opened, start, source), response);
                        });
}

grpc::Status UploadHandlers::GetUpload(ServerContext* context, const v1::GetUploadRequest* request,
                                       v1::Upload* response) {
  return HandleObject(
      api_, *context, ContainerOfUpload(request->name()), {}, Intent::kOther,
      [&](const ops::Context& opened) { return Take(ops::GetUpload(opened, *request), response); });
}

grpc::Status UploadHandlers::FinishUpload(ServerContext* context,
                                          const v1::FinishUploadRequest* request,
                                          v1::Object* response) {
  return HandleObject(api_, *context, ContainerOfUpload(request->name()), {}, Intent::kOther,
                      [&](const ops::Context& opened) {
                        return Take(ops::FinishUpload(opened, *request), response);
                      });
}

grpc::Status UploadHandlers::AbortUpload(ServerContext* context,
                                         const v1::AbortUploadRequest* request,
                                         google::protobuf::Empty*) {
  return HandleObject(
      api_, *context, ContainerOfUpload(request->name()), {}, Intent::kOther,
      [&](const ops::Context& opened) { return ops::AbortUpload(opened, *request); });
}

grpc::Status UploadHandlers::ListUploads(ServerContext* context,
                                         const v1::ListUploadsRequest* request,
                                         v1::ListUploadsResponse* response) {
  return HandleObject(api_, *context, request->container(), {}, Intent::kOther,
                      [&](const ops::Context& opened) {
                        return Take(ops::ListUploads(opened, *request), response);
                      });
}

}  // namespace meridian::server
