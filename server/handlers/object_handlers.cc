#include "server/handlers/object_handlers.h"

#include <string>

#include "server/errors.h"
#include "server/handlers/bodies.h"
#include "server/handlers/call.h"
#include "server/handlers/passing.h"
#include "server/ops/objects.h"
#include "server/ops/uploads.h"
#include "server/telemetry/call_record.h"

namespace meridian::server {
namespace {

using grpc::ServerContext;
using Intent = ObjectGateway::Intent;
using Target = ObjectGateway::Target;
using Leader = Proxy::Leader;
using Objects = v1::ObjectService::Stub;
using Uploads = v1::UploadService::Stub;

// An upload's resource name begins with its container's.
Target UploadTarget(const std::string& upload, Intent intent = Intent::kOther,
                    bool repeatable = true) {
  return {upload.substr(0, upload.rfind("/uploads/")), ops::ObjectOfUpload(upload), intent,
          repeatable};
}

absl::Status BadStream(const std::string& message) {
  return Error(absl::StatusCode::kInvalidArgument, v1::INVALID_STREAM, message);
}

}  // namespace

grpc::Status ObjectHandlers::PutObject(ServerContext* context, const v1::PutObjectRequest* request,
                                       v1::Object* response) {
  const v1::WriteSpec& spec = request->spec();
  return HandleObject(
      api_, proxy_, *context, {spec.container(), spec.name(), Intent::kNewData},
      [&](const ops::Context& opened) {
        if (request->data().size() > kMaxPieceBytes) {
          return InvalidField("data", "at most 1 MiB; use WriteObject");
        }
        WholeSource source(request->data());
        const absl::Status written = Take(ops::WriteObject(opened, spec, source), response);
        // Once, however often and wherever it is tried.
        CallRecord* const call = CallRecord::Current();
        if (written.ok() && call != nullptr) call->Received(request->data().size());
        return written;
      },
      PassUnary(&Leader::objects, &Objects::PutObject, *request, response));
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
  return HandleObjectOf(
      api_, proxy_, *principal, *context,
      {spec.container(), spec.name(), Intent::kNewData, /*repeatable=*/false},
      [&](const ops::Context& opened) {
        WriteObjectSource source(stream, *reader);
        return Take(ops::WriteObject(opened, spec, source), response);
      },
      PassStreamIn(&Leader::objects, &Objects::WriteObject, stream, first, *reader, response));
}

grpc::Status ObjectHandlers::ReadObject(ServerContext* context,
                                        const v1::ReadObjectRequest* request,
                                        grpc::ServerWriter<v1::ReadObjectResponse>* writer) {
  Stream stream(api_, watchdog_, *context);
  return HandleObject(
      api_, proxy_, *context, {request->container(), request->name()},
      [&](const ops::Context& opened) {
        ReadObjectSink sink(stream, *writer);
        return ops::ReadObject(opened, *request, sink);
      },
      PassStreamOut(&Leader::objects, &Objects::ReadObject, stream, *request, *writer));
}

grpc::Status ObjectHandlers::GetObject(ServerContext* context, const v1::GetObjectRequest* request,
                                       v1::Object* response) {
  return HandleObject(
      api_, proxy_, *context, {request->container(), request->name()},
      [&](const ops::Context& opened) { return Take(ops::GetObject(opened, *request), response); },
      PassUnary(&Leader::objects, &Objects::GetObject, *request, response));
}

grpc::Status ObjectHandlers::UpdateObject(ServerContext* context,
                                          const v1::UpdateObjectRequest* request,
                                          v1::Object* response) {
  const v1::Object& object = request->object();
  return HandleObject(
      api_, proxy_, *context, {object.container(), object.name()},
      [&](const ops::Context& opened) {
        return Take(ops::UpdateObject(opened, *request), response);
      },
      PassUnary(&Leader::objects, &Objects::UpdateObject, *request, response));
}

grpc::Status ObjectHandlers::DeleteObject(ServerContext* context,
                                          const v1::DeleteObjectRequest* request,
                                          v1::DeleteObjectResponse* response) {
  return HandleObject(
      api_, proxy_, *context, {request->container(), request->name()},
      [&](const ops::Context& opened) {
        return Take(ops::DeleteObject(opened, *request), response);
      },
      PassUnary(&Leader::objects, &Objects::DeleteObject, *request, response));
}

grpc::Status ObjectHandlers::ListObjects(ServerContext* context,
                                         const v1::ListObjectsRequest* request,
                                         v1::ListObjectsResponse* response) {
  return HandleObject(
      api_, proxy_, *context, {request->container(), ops::PlaceOf(*request)},
      [&](const ops::Context& opened) {
        return Take(ops::ListObjects(opened, *request), response);
      },
      PassUnary(&Leader::objects, &Objects::ListObjects, *request, response));
}

grpc::Status ObjectHandlers::ListObjectVersions(ServerContext* context,
                                                const v1::ListObjectVersionsRequest* request,
                                                v1::ListObjectVersionsResponse* response) {
  return HandleObject(
      api_, proxy_, *context, {request->container(), ops::PlaceOf(*request)},
      [&](const ops::Context& opened) {
        return Take(ops::ListObjectVersions(opened, *request), response);
      },
      PassUnary(&Leader::objects, &Objects::ListObjectVersions, *request, response));
}

grpc::Status ObjectHandlers::RestoreObjectVersion(ServerContext* context,
                                                  const v1::RestoreObjectVersionRequest* request,
                                                  v1::Object* response) {
  return HandleObject(
      api_, proxy_, *context, {request->container(), request->name()},
      [&](const ops::Context& opened) {
        return Take(ops::RestoreObjectVersion(opened, *request), response);
      },
      PassUnary(&Leader::objects, &Objects::RestoreObjectVersion, *request, response));
}

grpc::Status UploadHandlers::StartUpload(ServerContext* context,
                                         const v1::StartUploadRequest* request,
                                         v1::Upload* response) {
  const v1::WriteSpec& spec = request->spec();
  return HandleObject(
      api_, proxy_, *context, {spec.container(), spec.name(), Intent::kNewData},
      [&](const ops::Context& opened) {
        return Take(ops::StartUpload(opened, *request), response);
      },
      PassUnary(&Leader::uploads, &Uploads::StartUpload, *request, response));
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
  return HandleObjectOf(
      api_, proxy_, *principal, *context,
      UploadTarget(start.upload(), Intent::kNewData, /*repeatable=*/false),
      [&](const ops::Context& opened) {
        WriteUploadSource source(stream, *reader);
        return Take(ops::WriteUpload(opened, start, source), response);
      },
      PassStreamIn(&Leader::uploads, &Uploads::WriteUpload, stream, first, *reader, response));
}

grpc::Status UploadHandlers::GetUpload(ServerContext* context, const v1::GetUploadRequest* request,
                                       v1::Upload* response) {
  return HandleObject(
      api_, proxy_, *context, UploadTarget(request->name()),
      [&](const ops::Context& opened) { return Take(ops::GetUpload(opened, *request), response); },
      PassUnary(&Leader::uploads, &Uploads::GetUpload, *request, response));
}

grpc::Status UploadHandlers::FinishUpload(ServerContext* context,
                                          const v1::FinishUploadRequest* request,
                                          v1::Object* response) {
  return HandleObject(
      api_, proxy_, *context, UploadTarget(request->name()),
      [&](const ops::Context& opened) {
        return Take(ops::FinishUpload(opened, *request), response);
      },
      PassUnary(&Leader::uploads, &Uploads::FinishUpload, *request, response));
}

grpc::Status UploadHandlers::AbortUpload(ServerContext* context,
                                         const v1::AbortUploadRequest* request,
                                         google::protobuf::Empty* response) {
  return HandleObject(
      api_, proxy_, *context, UploadTarget(request->name()),
      [&](const ops::Context& opened) { return ops::AbortUpload(opened, *request); },
      PassUnary(&Leader::uploads, &Uploads::AbortUpload, *request, response));
}

grpc::Status UploadHandlers::ListUploads(ServerContext* context,
                                         const v1::ListUploadsRequest* request,
                                         v1::ListUploadsResponse* response) {
  return HandleObject(
      api_, proxy_, *context, {request->container(), ops::PlaceOf(*request)},
      [&](const ops::Context& opened) {
        return Take(ops::ListUploads(opened, *request), response);
      },
      PassUnary(&Leader::uploads, &Uploads::ListUploads, *request, response));
}

}  // namespace meridian::server
