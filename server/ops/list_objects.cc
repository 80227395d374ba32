#include <algorithm>
#include <array>
#include <memory>
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
// Read at a time; a page ends early once its answer has this many bytes: gRPC's clients take 4 MiB.
constexpr size_t kStepSize = 64;
constexpr size_t kMaxPageBytes = 2 << 20;

absl::Status CheckListRequest(const v1::ListObjectsRequest& request) {
  if (request.prefix().size() > kMaxNameBytes) {
    return server::InvalidField("prefix", "is longer than a name may be");
  }
  if (request.delimiter().size() > kMaxDelimiterBytes) {
    return server::InvalidField("delimiter", "at most 16 bytes");
  }
  if (request.start_after().size() > kMaxNameBytes) {
    return server::InvalidField("start_after", "is longer than a name may be");
  }
  for (const std::string* text :
       {&request.prefix(), &request.delimiter(), &request.start_after()}) {
    if (text->find('\0') != std::string::npos) {
      return server::InvalidField("prefix, delimiter, start_after", "must not hold NUL");
    }
  }
  return absl::OkStatus();
}

// Of a page token's MAC.
std::array<std::string_view, 4> ParametersOf(const v1::ListObjectsRequest& request) {
  return {"objects 2", request.prefix(), request.delimiter(), request.start_after()};
}

absl::Status AddObjects(const Context& context, std::vector<objects::VersionRow> rows,
                        v1::ListObjectsResponse& response) {
  for (objects::VersionRow& row : rows) {
    ASSIGN_OR_RETURN(const Version version, OpenVersion(context, std::move(row)));
    *response.add_objects() = ToObject(context, version);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> PlaceOf(const v1::ListObjectsRequest& request) {
  RETURN_IF_ERROR(CheckListRequest(request));
  if (!request.page_token().empty()) return UnverifiedNameOf(request.page_token());
  if (request.start_after().empty()) return request.prefix();
  // The least name after it.
  return std::max(request.prefix(), request.start_after() + '\x01');
}

absl::StatusOr<v1::ListObjectsResponse> ListObjects(const Context& context,
                                                    const v1::ListObjectsRequest& request) {
  ASSIGN_OR_RETURN(std::string place, PlaceOf(request));
  if (!request.page_token().empty()) {
    ASSIGN_OR_RETURN(place,
                     DecodePageToken(*context.keys, ParametersOf(request), request.page_token()));
  }
  ASSIGN_OR_RETURN(const size_t page_size,
                   ParsePageSize(request.page_size(), kMaxPageSize, kMaxPageSize));
  ASSIGN_OR_RETURN(const std::unique_ptr<storage::KvReader> view,
                   ConfirmedView(*context.replica, context.deadline));
  ASSIGN_OR_RETURN(const std::string end, OwnedEnd(context, *view, place));
  objects::ListObjectsOptions options{.prefix = request.prefix(),
                                      .end = end,
                                      .delimiter = request.delimiter(),
                                      .start_after = request.start_after(),
                                      .resume = place};
  v1::ListObjectsResponse response;
  size_t listed = 0;
  bool cut_short = false;
  do {
    options.limit = std::min(kStepSize, page_size - listed);
    ASSIGN_OR_RETURN(objects::ListObjectsPage page,
                     objects::ObjectReader(*view).ListObjects(options));
    const size_t count = page.objects.size() + page.prefixes.size();
    listed += count;
    for (std::string& prefix : page.prefixes) response.add_prefixes(std::move(prefix));
    RETURN_IF_ERROR(AddObjects(context, std::move(page.objects), response));
    options.resume = std::move(page.next);
    // The reader has passed as many hidden rows as it may: the caller gets what there is.
    cut_short = count < options.limit;
  } while (options.resume.has_value() && !cut_short && listed < page_size &&
           response.ByteSizeLong() < kMaxPageBytes);
  if (!options.resume.has_value()) {
    options.resume = NextPartition(request.prefix(), end);
    // A common prefix that goes on there has been shown.
    if (options.resume.has_value() && response.prefixes_size() > 0) {
      options.resume = std::max(options.resume, EndOfPrefix(*response.prefixes().rbegin()));
    }
  }
  if (options.resume.has_value()) {
    response.set_next_page_token(
        EncodePageToken(*context.keys, ParametersOf(request), *options.resume));
  }
  return response;
}

}  // namespace meridian::ops
