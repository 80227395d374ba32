// The services of meridian.v1 that touch objects.
#pragma once

#include "meridian/v1/objects.grpc.pb.h"
#include "meridian/v1/uploads.grpc.pb.h"
#include "server/api.h"
#include "server/handlers/proxy.h"
#include "server/handlers/stream_watchdog.h"

namespace meridian::server {

class ObjectHandlers final : public v1::ObjectService::Service {
 public:
  // All outlive the handlers.
  ObjectHandlers(Api& api, StreamWatchdog& watchdog, Proxy& proxy)
      : api_(api), watchdog_(watchdog), proxy_(proxy) {}
  grpc::Status PutObject(grpc::ServerContext* context, const v1::PutObjectRequest* request,
                         v1::Object* response) override;
  grpc::Status WriteObject(grpc::ServerContext* context,
                           grpc::ServerReader<v1::WriteObjectRequest>* reader,
                           v1::Object* response) override;
  grpc::Status ReadObject(grpc::ServerContext* context, const v1::ReadObjectRequest* request,
                          grpc::ServerWriter<v1::ReadObjectResponse>* writer) override;
  grpc::Status GetObject(grpc::ServerContext* context, const v1::GetObjectRequest* request,
                         v1::Object* response) override;
  grpc::Status UpdateObject(grpc::ServerContext* context, const v1::UpdateObjectRequest* request,
                            v1::Object* response) override;
  grpc::Status DeleteObject(grpc::ServerContext* context, const v1::DeleteObjectRequest* request,
                            v1::DeleteObjectResponse* response) override;
  grpc::Status ListObjects(grpc::ServerContext* context, const v1::ListObjectsRequest* request,
                           v1::ListObjectsResponse* response) override;
  grpc::Status ListObjectVersions(grpc::ServerContext* context,
                                  const v1::ListObjectVersionsRequest* request,
                                  v1::ListObjectVersionsResponse* response) override;
  grpc::Status RestoreObjectVersion(grpc::ServerContext* context,
                                    const v1::RestoreObjectVersionRequest* request,
                                    v1::Object* response) override;

 private:
  Api& api_;
  StreamWatchdog& watchdog_;
  Proxy& proxy_;
};

class UploadHandlers final : public v1::UploadService::Service {
 public:
  // All outlive the handlers.
  UploadHandlers(Api& api, StreamWatchdog& watchdog, Proxy& proxy)
      : api_(api), watchdog_(watchdog), proxy_(proxy) {}
  grpc::Status StartUpload(grpc::ServerContext* context, const v1::StartUploadRequest* request,
                           v1::Upload* response) override;
  grpc::Status WriteUpload(grpc::ServerContext* context,
                           grpc::ServerReader<v1::WriteUploadRequest>* reader,
                           v1::WriteUploadResponse* response) override;
  grpc::Status GetUpload(grpc::ServerContext* context, const v1::GetUploadRequest* request,
                         v1::Upload* response) override;
  grpc::Status FinishUpload(grpc::ServerContext* context, const v1::FinishUploadRequest* request,
                            v1::Object* response) override;
  grpc::Status AbortUpload(grpc::ServerContext* context, const v1::AbortUploadRequest* request,
                           google::protobuf::Empty* response) override;
  grpc::Status ListUploads(grpc::ServerContext* context, const v1::ListUploadsRequest* request,
                           v1::ListUploadsResponse* response) override;

 private:
  Api& api_;
  StreamWatchdog& watchdog_;
  Proxy& proxy_;
};

}  // namespace meridian::server
