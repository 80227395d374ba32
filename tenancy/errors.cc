#include "tenancy/errors.h"

#include "absl/strings/cord.h"
#include "base/status.h"
#include "google/rpc/error_details.pb.h"
#include "meridian/v1/errors.pb.h"

namespace meridian::tenancy {
namespace {

void AddDetail(absl::Status& status, const google::protobuf::Message& detail) {
  status.SetPayload("type.googleapis.com/" + detail.GetDescriptor()->full_name(),
                    absl::Cord(detail.SerializeAsString()));
}

absl::Status WithReason(absl::Status status, v1::ErrorReason reason, std::string_view field = {}) {
  google::rpc::ErrorInfo info;
  info.set_reason(v1::ErrorReason_Name(reason));
  info.set_domain("meridian");
  if (!field.empty()) (*info.mutable_metadata())["field"] = std::string(field);
  AddDetail(status, info);
  return status;
}

v1::ResourceMissing::Kind KindOf(Resource resource) {
  switch (resource) {
    case Resource::kTenant:
      return v1::ResourceMissing::TENANT;
    case Resource::kAccessKey:
      return v1::ResourceMissing::ACCESS_KEY;
    case Resource::kContainer:
      return v1::ResourceMissing::CONTAINER;
  }
  return v1::ResourceMissing::KIND_UNSPECIFIED;
}

}  // namespace

absl::Status MissingError(Resource resource, std::string_view name) {
  absl::Status status =
      WithReason(absl::NotFoundError(std::string(name) + " does not exist"), v1::RESOURCE_MISSING);
  v1::ResourceMissing missing;
  missing.set_kind(KindOf(resource));
  missing.set_name(std::string(name));
  AddDetail(status, missing);
  return status;
}

absl::Status ExistsError(std::string_view name) {
  return WithReason(absl::AlreadyExistsError(std::string(name) + " exists already"),
                    v1::RESOURCE_EXISTS);
}

absl::Status NotEmptyError(std::string_view message) {
  return WithReason(absl::FailedPreconditionError(ToAbsl(message)), v1::NOT_EMPTY);
}

absl::Status ConversionUnderWayError(std::string_view message) {
  return WithReason(absl::FailedPreconditionError(ToAbsl(message)), v1::CONVERSION_UNDER_WAY);
}

absl::Status NoConversionError(std::string_view message) {
  return WithReason(absl::FailedPreconditionError(ToAbsl(message)), v1::NO_CONVERSION);
}

absl::Status RedundancyUnchangedError(std::string_view message) {
  return WithReason(absl::FailedPreconditionError(ToAbsl(message)), v1::REDUNDANCY_UNCHANGED);
}

absl::Status InvalidNameError(std::string_view field, std::string_view message) {
  return WithReason(absl::InvalidArgumentError(ToAbsl(message)), v1::INVALID_NAME, field);
}

absl::Status InvalidFieldError(std::string_view field, std::string_view message) {
  return WithReason(absl::InvalidArgumentError(ToAbsl(message)), v1::INVALID_FIELD, field);
}

absl::Status InvalidPageTokenError() {
  return WithReason(absl::InvalidArgumentError("the page token is not of this list: start without"),
                    v1::INVALID_PAGE_TOKEN);
}

absl::Status StoreFullError(const absl::Status& status) {
  return WithReason(status, v1::DISK_FULL);
}

absl::Status InvalidAccessKeyError() {
  return WithReason(absl::UnauthenticatedError("no valid access key"), v1::INVALID_ACCESS_KEY);
}

absl::Status AdministratorOnlyError() {
  return WithReason(absl::PermissionDeniedError("only an administrator's key may do this"),
                    v1::ADMINISTRATOR_ONLY);
}

absl::Status TenantOnlyError() {
  return WithReason(
      absl::PermissionDeniedError("administrators see no objects: use a key of the tenant"),
      v1::TENANT_ONLY);
}

std::string TenantResourceName(std::string_view tenant) { return "tenants/" + std::string(tenant); }

std::string ContainerResourceName(std::string_view tenant, std::string_view container) {
  return TenantResourceName(tenant) + "/containers/" + std::string(container);
}

std::string AccessKeyResourceName(std::string_view tenant, std::string_view key) {
  return TenantResourceName(tenant) + "/accessKeys/" + std::string(key);
}

}  // namespace meridian::tenancy
