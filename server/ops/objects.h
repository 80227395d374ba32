// The operations on objects: one function a call of meridian.v1.ObjectService, without gRPC. They
// read the fields of the request but for `container`, which the context stands for. Errors are
// those that the API documents, with their details as payloads (server/errors.h); an error of the
// replica means UNAVAILABLE (NO_QUORUM or OUTCOME_UNKNOWN); Moved(), see errors.h, that the
// context's partition does not own the name.
#pragma once

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "meridian/v1/objects.pb.h"
#include "server/ops/byte_stream.h"
#include "server/ops/context.h"

namespace meridian::ops {

// PutObject and WriteObject: `source` delivers the body.
absl::StatusOr<v1::Object> WriteObject(const Context& context, const v1::WriteSpec& spec,
                                       ByteSource& source);
absl::Status ReadObject(const Context& context, const v1::ReadObjectRequest& request,
                        ByteSink& sink);
absl::StatusOr<v1::Object> GetObject(const Context& context, const v1::GetObjectRequest& request);
absl::StatusOr<v1::Object> UpdateObject(const Context& context,
                                        const v1::UpdateObjectRequest& request);
absl::StatusOr<v1::DeleteObjectResponse> DeleteObject(const Context& context,
                                                      const v1::DeleteObjectRequest& request);
// Lists: a page is of one partition, that of the name which PlaceOf gives (by a token that was not
// verified: only the operation can); the next page's token goes on where the page ended, or where
// the next partition begins.
absl::StatusOr<std::string> PlaceOf(const v1::ListObjectsRequest& request);
absl::StatusOr<std::string> PlaceOf(const v1::ListObjectVersionsRequest& request);
absl::StatusOr<v1::ListObjectsResponse> ListObjects(const Context& context,
                                                    const v1::ListObjectsRequest& request);
absl::StatusOr<v1::ListObjectVersionsResponse> ListObjectVersions(
    const Context& context, const v1::ListObjectVersionsRequest& request);
absl::StatusOr<v1::Object> RestoreObjectVersion(const Context& context,
                                                const v1::RestoreObjectVersionRequest& request);

}  // namespace meridian::ops
