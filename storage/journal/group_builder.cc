#include "storage/journal/group_builder.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "base/check.h"

namespace meridian::storage {

using journal_format::kBlockBytes;
using journal_format::kBlockHeaderBytes;
using journal_format::kBlockPayloadBytes;
using journal_format::kGroupHeaderBytes;
using journal_format::kRecordHeaderBytes;

uint64_t PayloadBytes(const JournalRecord& record) {
  uint64_t bytes = 0;
  for (const Buffer& piece : record.payload) bytes += piece.size();
  return bytes;
}

GroupBuilder::GroupBuilder(const journal_format::BlockFormat& format, uint32_t first_block,
                           uint64_t record_bytes)
    : format_(format),
      first_block_(first_block),
      record_bytes_(record_bytes),
      block_count_(journal_format::BlocksOfGroup(record_bytes)),
      image_(block_count_ * kBlockBytes) {}

void GroupBuilder::Put(std::string_view bytes) {
  while (!bytes.empty()) {
    const uint64_t block = position_ / kBlockPayloadBytes;
    const uint64_t at = position_ % kBlockPayloadBytes;
    const size_t step = std::min<size_t>(bytes.size(), kBlockPayloadBytes - at);
    std::memcpy(image_.data() + block * kBlockBytes + kBlockHeaderBytes + at, bytes.data(), step);
    position_ += step;
    bytes.remove_prefix(step);
  }
}

uint64_t GroupBuilder::Add(const JournalRecord& record, uint64_t sequence, RecordSealer& sealer) {
  const uint64_t offset = journal_format::StreamOffset(first_block_) + position_;
  const uint64_t length = PayloadBytes(record);
  scratch_.resize(length + journal_format::kRecordOverheadBytes);
  journal_format::EncodeRecordHeader({.type = record.type,
                                      .length = static_cast<uint32_t>(length),
                                      .sequence = sequence,
                                      .owner = record.owner},
                                     scratch_.data());
  std::vector<std::string_view> pieces;
  pieces.reserve(record.payload.size());
  for (const Buffer& piece : record.payload) pieces.push_back(piece.view());
  sealer.Seal(sequence, {scratch_.data(), kRecordHeaderBytes}, pieces,
              scratch_.data() + kRecordHeaderBytes);
  Put(scratch_);
  ++record_count_;
  return offset;
}

uint32_t GroupBuilder::Finish(const Group& group) {
  CHECK_INVARIANT(position_ == kGroupHeaderBytes + record_bytes_,
                  "a group's image has the size announced");
  char header[kGroupHeaderBytes];
  journal_format::EncodeGroupHeader({.block_count = block_count_,
                                     .record_bytes = static_cast<uint32_t>(record_bytes_),
                                     .record_count = record_count_,
                                     .previous_digest = group.previous_digest,
                                     .durable_group = group.number - 1},
                                    header);
  position_ = 0;
  Put({header, kGroupHeaderBytes});
  uint32_t digest = group.previous_digest;
  for (uint32_t i = 0; i < block_count_; ++i) {
    digest = journal_format::ExtendDigest(digest,
                                          format_.Finish(first_block_ + i, group.life, group.number,
                                                         image_.data() + i * kBlockBytes));
  }
  return digest;
}

}  // namespace meridian::storage
