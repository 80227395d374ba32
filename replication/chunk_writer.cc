#include "replication/chunk_writer.h"

#include <utility>
#include <vector>

#include "replication/replica.h"

namespace meridian::replication {
namespace {
constexpr absl::Duration kResend = absl::Seconds(1);
}  // namespace

void ChunkWriter::Write(const GroupConfig& config, storage::ChunkId chunk, Buffer ciphertext,
                        uint32_t crc32c, Done done) {
  if (!IsChunkSize(ciphertext.size())) {
    return done(absl::InvalidArgumentError("a chunk is empty or too large"));
  }
  if (pending_bytes_ + ciphertext.size() > max_bytes_) {
    return done(absl::ResourceExhaustedError("too many bytes wait to be written to the group"));
  }
  auto [it, fresh] = pending_.try_emplace(chunk, config, ciphertext, crc32c);
  if (!fresh) return done(absl::AlreadyExistsError("the chunk is being written"));
  active_.insert(chunk.run);
  pending_bytes_ += ciphertext.size();
  it->second.done = std::move(done);
  it->second.sent_at = now_();
  it->second.deadline = it->second.sent_at + timeout_;
  for (const ReplicaId& peer : peers_.peers()) {
    peers_.Send(peer, ChunkWrite{chunk, crc32c, ciphertext});
  }
  StoreHere(chunk, it->second);
}

void ChunkWriter::StoreHere(storage::ChunkId chunk, Pending& write) {
  write.storing = true;
  local_.Store(chunk, write.ciphertext, write.crc32c, [this, chunk](absl::Status status) {
    auto it = pending_.find(chunk);
    if (it != pending_.end()) it->second.storing = false;
    OnAck(self_, ChunkAck{chunk, status.code()});
  });
}

void ChunkWriter::OnAck(ReplicaId from, const ChunkAck& ack) {
  auto it = pending_.find(ack.chunk);
  if (it == pending_.end()) return;
  // Any other code passes: the chunk is sent again.
  if (ack.code == absl::StatusCode::kOk) {
    it->second.durable.insert(from);
  } else if (ack.code == absl::StatusCode::kResourceExhausted) {
    it->second.full.insert(from);
  }
  Settle(it);
}

void ChunkWriter::Settle(std::map<storage::ChunkId, Pending>::iterator it) {
  const Pending& write = it->second;
  if (write.quorum.Reached([&](ReplicaId id) { return write.durable.contains(id); })) {
    Finish(it, absl::OkStatus());
  } else if (!write.quorum.Reached([&](ReplicaId id) { return !write.full.contains(id); })) {
    Finish(it, DiskFullError("the disks of too many replicas are full"));
  }
}

void ChunkWriter::Finish(std::map<storage::ChunkId, Pending>::iterator it,
                         const absl::Status& status) {
  Done done = std::move(it->second.done);
  pending_bytes_ -= it->second.ciphertext.size();
  pending_.erase(it);
  done(status);
}

void ChunkWriter::Tick() {
  absl::Duration now = now_();
  std::vector<storage::ChunkId> late;
  for (auto& [chunk, write] : pending_) {
    if (now >= write.deadline) late.push_back(chunk);
    if (now - write.sent_at < kResend) continue;
    write.sent_at = now;
    for (const ReplicaId& peer : peers_.peers()) {
      if (write.durable.contains(peer) || write.full.contains(peer)) continue;
      peers_.Send(peer, ChunkWrite{chunk, write.crc32c, write.ciphertext});
    }
    if (!write.storing && !write.durable.contains(self_) && !write.full.contains(self_)) {
      StoreHere(chunk, write);
    }
  }
  for (const storage::ChunkId& chunk : late) {
    auto it = pending_.find(chunk);
    if (it != pending_.end()) {
      Finish(it, absl::UnavailableError("no write quorum has stored the chunk in time"));
    }
  }
}

void ChunkWriter::FailAll(const absl::Status& reason) {
  auto pending = std::exchange(pending_, {});
  pending_bytes_ = 0;
  for (auto& [chunk, write] : pending) write.done(reason);
}

}  // namespace meridian::replication
