// Writes one object in the way that suits its source. See Client::WriteObject.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/byte_stream.h"
#include "client/internal/session.h"
#include "client/options.h"
#include "meridian/v1/objects.pb.h"

namespace meridian::client_internal {

// The most that a message may carry, and what fits into PutObject.
inline constexpr size_t kMaxMessageBytes = 1 << 20;
// Seekable sources up to this size are written by one stream, repeated as a whole if it breaks.
inline constexpr uint64_t kMaxRepeatedBytes = 16 << 20;
// What is kept in memory of a source that is not seekable, until it is durable.
inline constexpr size_t kReplayBytes = 32 << 20;

absl::StatusOr<v1::Object> WriteWholeObject(Session& session, v1::WriteSpec spec, ByteSource& body,
                                            const CallOptions& options);

// Reads until `out` is full or the source ends; returns how many bytes there are.
absl::StatusOr<size_t> ReadFull(ByteSource& source, std::span<char> out);

}  // namespace meridian::client_internal
