#include "client/client.h"

#include <algorithm>
#include <utility>

#include "client/internal/object_reader.h"
#include "client/internal/object_writer.h"
#include "client/internal/session.h"
#include "client/internal/unary.h"

namespace meridian {
namespace {

using client_internal::Call;
using client_internal::CallPlan;
using client_internal::Plan;
using client_internal::Session;
using client_internal::Stubs;
using client_internal::Subject;
using client_internal::TakeAll;
using client_internal::WithRequestId;
using Containers = v1::ContainerService::Stub;
using Objects = v1::ObjectService::Stub;
using Uploads = v1::UploadService::Stub;

// Placing a partition takes an election.
constexpr absl::Duration kCreateContainerTimeout = absl::Seconds(15);

// Both lists are in byte order; the result is too.
std::vector<ObjectEntry> Merge(v1::ListObjectsResponse& response) {
  std::vector<ObjectEntry> entries;
  entries.reserve(static_cast<size_t>(response.objects_size() + response.prefixes_size()));
  for (v1::Object& object : *response.mutable_objects()) {
    std::string name = object.name();
    entries.push_back({std::move(name), std::move(object)});
  }
  const auto middle = static_cast<std::ptrdiff_t>(entries.size());
  for (std::string& prefix : *response.mutable_prefixes()) {
    entries.push_back({std::move(prefix), std::nullopt});
  }
  std::inplace_merge(entries.begin(), entries.begin() + middle, entries.end(),
                     [](const auto& a, const auto& b) { return a.name < b.name; });
  return entries;
}

// `tenants/t/containers/c/uploads/u` -> `tenants/t/containers/c`.
std::string ContainerOfUpload(const std::string& upload) {
  const size_t at = upload.rfind("/uploads/");
  return at == std::string::npos ? std::string() : upload.substr(0, at);
}

}  // namespace

Client::Client(const Profile& profile, const ClientOptions& options)
    : session_(std::make_unique<Session>(profile, options)) {}

Client::~Client() = default;

absl::StatusOr<v1::Container> Client::CreateContainer(const v1::CreateContainerRequest& request,
                                                      const CallOptions& options) {
  CallPlan plan = Plan("create container", request.container_id(), Subject(), options);
  plan.attempt_timeout = kCreateContainerTimeout;
  return Call(*session_, plan, &Stubs::containers, &Containers::CreateContainer,
              WithRequestId(*session_, request));
}

absl::StatusOr<v1::Container> Client::GetContainer(const std::string& name,
                                                   const CallOptions& options) {
  v1::GetContainerRequest request;
  request.set_name(name);
  return Call(*session_, Plan("get container", name, Subject(), options), &Stubs::containers,
              &Containers::GetContainer, request);
}

absl::StatusOr<v1::Container> Client::UpdateContainer(const v1::UpdateContainerRequest& request,
                                                      const CallOptions& options) {
  return Call(*session_, Plan("update container", request.container().name(), Subject(), options),
              &Stubs::containers, &Containers::UpdateContainer, WithRequestId(*session_, request));
}

absl::Status Client::DeleteContainer(const std::string& name, const CallOptions& options) {
  v1::DeleteContainerRequest request;
  request.set_name(name);
  return Call(*session_, Plan("delete container", name, Subject(), options), &Stubs::containers,
              &Containers::DeleteContainer, WithRequestId(*session_, request))
      .status();
}

absl::StatusOr<v1::Container> Client::ConvertContainer(const std::string& name,
                                                       v1::Redundancy redundancy,
                                                       const CallOptions& options) {
  v1::ConvertContainerRequest request;
  request.set_name(name);
  request.set_redundancy(redundancy);
  return Call(*session_, Plan("convert container", name, Subject(), options), &Stubs::containers,
              &Containers::ConvertContainer, WithRequestId(*session_, request));
}

absl::StatusOr<v1::Container> Client::PauseConversion(const std::string& name,
                                                      const CallOptions& options) {
  v1::PauseConversionRequest request;
  request.set_name(name);
  return Call(*session_, Plan("pause conversion of", name, Subject(), options), &Stubs::containers,
              &Containers::PauseConversion, request);
}

absl::StatusOr<v1::Container> Client::ResumeConversion(const std::string& name,
                                                       const CallOptions& options) {
  v1::ResumeConversionRequest request;
  request.set_name(name);
  return Call(*session_, Plan("resume conversion of", name, Subject(), options), &Stubs::containers,
              &Containers::ResumeConversion, request);
}

absl::StatusOr<v1::Container> Client::CancelConversion(const std::string& name,
                                                       const CallOptions& options) {
  v1::CancelConversionRequest request;
  request.set_name(name);
  return Call(*session_, Plan("cancel conversion of", name, Subject(), options), &Stubs::containers,
              &Containers::CancelConversion, request);
}

PageIterator<v1::Container> Client::ListContainers(const std::string& tenant,
                                                   const CallOptions& options) {
  return PageIterator<v1::Container>(
      [this, tenant, options](const std::string& token) -> absl::StatusOr<Page<v1::Container>> {
        v1::ListContainersRequest request;
        request.set_parent(tenant);
        request.set_page_token(token);
        auto response = Call(*session_, Plan("list containers of", tenant, Subject(), options),
                             &Stubs::containers, &Containers::ListContainers, request);
        if (!response.ok()) return response.status();
        return Page<v1::Container>{TakeAll(*response->mutable_containers()),
                                   response->next_page_token()};
      });
}

absl::StatusOr<v1::Object> Client::WriteObject(const v1::WriteSpec& spec, ByteSource& body,
                                               const CallOptions& options) {
  return client_internal::WriteWholeObject(*session_, spec, body, options);
}

absl::StatusOr<v1::Object> Client::WriteObject(const v1::WriteSpec& spec, std::string_view body,
                                               const CallOptions& options) {
  return WriteObject(spec, *MakeStringSource(body), options);
}

absl::StatusOr<v1::Object> Client::ReadObject(const v1::ReadObjectRequest& request, ByteSink& sink,
                                              const CallOptions& options) {
  return client_internal::ObjectReader(*session_, request, sink, options).Run();
}

absl::StatusOr<v1::Object> Client::GetObject(const v1::GetObjectRequest& request,
                                             const CallOptions& options) {
  return Call(*session_,
              Plan("stat object", request.name(), {request.container(), request.name()}, options),
              &Stubs::objects, &Objects::GetObject, request);
}

absl::StatusOr<v1::Object> Client::UpdateObject(const v1::UpdateObjectRequest& request,
                                                const CallOptions& options) {
  const v1::Object& object = request.object();
  return Call(*session_,
              Plan("update object", object.name(), {object.container(), object.name()}, options),
              &Stubs::objects, &Objects::UpdateObject, WithRequestId(*session_, request));
}

absl::StatusOr<v1::DeleteObjectResponse> Client::DeleteObject(
    const v1::DeleteObjectRequest& request, const CallOptions& options) {
  return Call(*session_,
              Plan("delete object", request.name(), {request.container(), request.name()}, options),
              &Stubs::objects, &Objects::DeleteObject, WithRequestId(*session_, request));
}

absl::StatusOr<v1::Object> Client::RestoreObjectVersion(
    const v1::RestoreObjectVersionRequest& request, const CallOptions& options) {
  return Call(
      *session_,
      Plan("restore object", request.name(), {request.container(), request.name()}, options),
      &Stubs::objects, &Objects::RestoreObjectVersion, WithRequestId(*session_, request));
}

PageIterator<ObjectEntry> Client::ListObjects(const v1::ListObjectsRequest& request,
                                              const CallOptions& options) {
  // `at`: where the list has come to, which decides who serves the next page.
  return PageIterator<ObjectEntry>(
      [this, request, options, at = std::max(request.prefix(), request.start_after())](
          const std::string& token) mutable -> absl::StatusOr<Page<ObjectEntry>> {
        v1::ListObjectsRequest page = request;
        if (!token.empty()) page.set_page_token(token);
        auto response = Call(
            *session_, Plan("list objects of", page.container(), {page.container(), at}, options),
            &Stubs::objects, &Objects::ListObjects, page);
        if (!response.ok()) return response.status();
        Page<ObjectEntry> entries{Merge(*response), response->next_page_token()};
        if (!entries.items.empty()) at = entries.items.back().name;
        return entries;
      });
}

PageIterator<v1::Object> Client::ListObjectVersions(const v1::ListObjectVersionsRequest& request,
                                                    const CallOptions& options) {
  return PageIterator<v1::Object>([this, request, options,
                                   at = std::max(request.prefix(), request.name())](
                                      const std::string& token) mutable
                                  -> absl::StatusOr<Page<v1::Object>> {
    v1::ListObjectVersionsRequest page = request;
    if (!token.empty()) page.set_page_token(token);
    auto response =
        Call(*session_, Plan("list versions in", page.container(), {page.container(), at}, options),
             &Stubs::objects, &Objects::ListObjectVersions, page);
    if (!response.ok()) return response.status();
    Page<v1::Object> versions{TakeAll(*response->mutable_versions()), response->next_page_token()};
    if (!versions.items.empty()) at = versions.items.back().name();
    return versions;
  });
}

PageIterator<v1::Upload> Client::ListUploads(const std::string& container,
                                             const CallOptions& options) {
  return PageIterator<v1::Upload>([this, container, options,
                                   at = std::string()](const std::string& token) mutable
                                  -> absl::StatusOr<Page<v1::Upload>> {
    v1::ListUploadsRequest request;
    request.set_container(container);
    request.set_page_token(token);
    auto response = Call(*session_, Plan("list uploads of", container, {container, at}, options),
                         &Stubs::uploads, &Uploads::ListUploads, request);
    if (!response.ok()) return response.status();
    Page<v1::Upload> uploads{TakeAll(*response->mutable_uploads()), response->next_page_token()};
    if (!uploads.items.empty()) at = uploads.items.back().object_name();
    return uploads;
  });
}

absl::Status Client::AbortUpload(const std::string& upload, const CallOptions& options) {
  v1::AbortUploadRequest request;
  request.set_name(upload);
  return Call(*session_, Plan("abort", upload, {ContainerOfUpload(upload), ""}, options),
              &Stubs::uploads, &Uploads::AbortUpload, WithRequestId(*session_, request))
      .status();
}

}  // namespace meridian
