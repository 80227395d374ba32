// What replicas say to each other, and its encoding: meridian.internal.v1.PeerMessageBody
// (proto/meridian/internal/v1/replication.proto), bulk bytes beside it as attachments.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/buffer.h"
#include "base/id.h"
#include "base/strong_int.h"
#include "replication/core/messages.h"
#include "storage/log_entry.h"

namespace meridian::replication {

struct ChunkWrite {
  storage::ChunkId chunk;
  uint32_t crc32c = 0;
  Buffer ciphertext;
};

struct ChunkAck {
  storage::ChunkId chunk;
  // kOk once durable; kResourceExhausted if the disk is full.
  absl::StatusCode code = absl::StatusCode::kOk;
};

struct ChunkFetch {
  storage::ChunkId chunk;
};

struct ChunkFetchReply {
  storage::ChunkId chunk;
  absl::StatusCode code = absl::StatusCode::kOk;
  uint32_t crc32c = 0;
  Buffer ciphertext;
};

// Opens a snapshot of the state after `last` was applied. Pieces follow, numbered from 0.
struct SnapshotBegin {
  uint64_t snapshot = 0;
  Epoch epoch;
  LogPosition last;
  Timestamp timestamp;
};

struct SnapshotPiece {
  uint64_t snapshot = 0;
  Epoch epoch;
  uint64_t number = 0;
  std::vector<std::pair<std::string, std::string>> rows;
  bool final = false;
};

struct SnapshotAck {
  uint64_t snapshot = 0;
  Epoch epoch;
  // All pieces below are loaded, and every chunk that their rows reference is durable.
  uint64_t next_piece = 0;
  bool installed = false;
  bool refused = false;
  // Grows with each piece that is loaded and each chunk that is brought for one.
  uint64_t progress = 0;
  // The piece that is next has come, and there is no room for it.
  bool disk_full = false;
};

struct OrphanReport {
  std::vector<RunId> runs;
};

// For the hash of the rows in [first, end) of the receiver's state, right after it has applied
// `index`.
struct DigestRequest {
  uint64_t id = 0;
  LogIndex index;
  std::string first;
  std::string end;
};

struct DigestReply {
  uint64_t id = 0;
  absl::StatusCode code = absl::StatusCode::kOk;
  std::string digest;
};

using PeerBody =
    std::variant<CoreMessage, ChunkWrite, ChunkAck, ChunkFetch, ChunkFetchReply, SnapshotBegin,
                 SnapshotPiece, SnapshotAck, OrphanReport, DigestRequest, DigestReply>;

struct EncodedBody {
  std::string body;
  std::vector<Buffer> attachments;
};

EncodedBody EncodeBody(const PeerBody& body);

// INVALID_ARGUMENT, with what is wrong, for anything that EncodeBody cannot have made.
absl::StatusOr<PeerBody> DecodeBody(std::string_view body, const std::vector<Buffer>& attachments);

}  // namespace meridian::replication
