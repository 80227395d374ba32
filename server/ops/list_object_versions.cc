#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <utility>

#include "base/status.h"
#include "server/errors.h"
#include "server/ops/checks.h"
#include "server/ops/objects.h"
#include "server/ops/page_token.h"
#include "server/ops/replica_calls.h"
#include "server/ops/version_codec.h"

namespace meridian::ops {
namespace {

constexpr size_t kMaxPageSize = 1000;
// As in list_objects.cc.
constexpr size_t kStepSize = 64;
constexpr size_t kMaxPageBytes = 2 << 20;

absl::Status CheckListRequest(const v1::ListObjectVersionsRequest& request) {
  if (!request.name().empty()) {
    if (!request.prefix().empty()) {
      return server::InvalidField("prefix", "must be empty if name is set");
    }
    return CheckObjectName(request.name());
  }
  if (request.prefix().size() > kMaxNameBytes || request.prefix().find('\0') != std::string::npos) {
    return server::InvalidField("prefix", "is not the beginning of a name");
  }
  return absl::OkStatus();
}

// Of a page token's MAC.
std::array<std::string_view, 3> ParametersOf(const v1::ListObjectVersionsRequest& request) {
  return {"versions 2", request.prefix(), request.name()};
}

}  // namespace

absl::StatusOr<std::string> PlaceOf(const v1::ListObjectVersionsRequest& request) {
  RETURN_IF_ERROR(CheckListRequest(request));
  if (!request.page_token().empty()) return UnverifiedNameOf(request.page_token());
  return request.name().empty() ? request.prefix() : request.name();
}

absl::StatusOr<v1::ListObjectVersionsResponse> ListObjectVersions(
    const Context& context, const v1::ListObjectVersionsRequest& request) {
  ASSIGN_OR_RETURN(const std::string place, PlaceOf(request));
  std::optional<std::string> position;
  if (!request.page_token().empty()) {
    ASSIGN_OR_RETURN(position,
                     DecodePageToken(*context.keys, ParametersOf(request), request.page_token()));
  }
  ASSIGN_OR_RETURN(const size_t page_size,
                   ParsePageSize(request.page_size(), kMaxPageSize, kMaxPageSize));
  ASSIGN_OR_RETURN(const std::unique_ptr<storage::KvReader> view,
                   ConfirmedView(*context.replica, context.deadline));
  ASSIGN_OR_RETURN(const std::string end, OwnedEnd(context, *view, place));
  objects::ListVersionsOptions options{
      .prefix = request.prefix(), .name = request.name(), .end = end, .resume = position};
  v1::ListObjectVersionsResponse response;
  do {
    const size_t listed = static_cast<size_t>(response.versions_size());
    options.limit = std::min(kStepSize, page_size - listed);
    ASSIGN_OR_RETURN(objects::ListVersionsPage page,
                     objects::ObjectReader(*view).ListVersions(options));
    for (objects::ListVersionsPage::Item& item : page.versions) {
      ASSIGN_OR_RETURN(const Version version, OpenVersion(context, std::move(item.row)));
      *response.add_versions() = ToObject(context, version);
      response.mutable_versions(response.versions_size() - 1)->set_latest(item.latest);
    }
    options.resume = std::move(page.next);
  } while (options.resume.has_value() &&
           static_cast<size_t>(response.versions_size()) < page_size &&
           response.ByteSizeLong() < kMaxPageBytes);
  if (!options.resume.has_value() && request.name().empty()) {
    options.resume = NextPartition(request.prefix(), end);
  }
  if (options.resume.has_value()) {
    response.set_next_page_token(
        EncodePageToken(*context.keys, ParametersOf(request), *options.resume));
  }
  return response;
}

}  // namespace meridian::ops
