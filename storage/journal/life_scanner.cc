#include "storage/journal/life_scanner.h"

#include <algorithm>
#include <string>

#include "base/status.h"
#include "storage/journal/format.h"

namespace meridian::storage {
namespace {

using journal_format::BlockFormat;
using journal_format::BlocksOfGroup;
using journal_format::DecodeGroupHeader;
using journal_format::ExtendDigest;
using journal_format::GroupHeader;
using journal_format::kBlockBytes;
using journal_format::kBlockHeaderBytes;
using journal_format::kBlockPayloadBytes;
using journal_format::kBlocksPerUnit;
using journal_format::kGroupHeaderBytes;
using journal_format::kRecordHeaderBytes;

class LifeScanner {
 public:
  LifeScanner(const SegmentLife& life, const ScanRequest& request, const Journal::Visitor& visitor)
      : life_(life),
        request_(request),
        visitor_(visitor),
        at_{.next_group = life.header.first_group,
            .digest = life.header.previous_digest,
            .end_block = journal_format::kFirstGroupBlock} {}

  absl::StatusOr<ScanResult> Scan() {
    while (!request_.end_group || at_.next_group < *request_.end_group) {
      ASSIGN_OR_RETURN(const bool found, ReadGroup());
      if (found) continue;
      if (request_.end_group) return Damaged(at_.end_block, "acknowledged groups are missing");
      RETURN_IF_ERROR(CheckTail());
      break;
    }
    return at_;
  }

 private:
  absl::Status Damaged(uint32_t block, const std::string& what) const {
    return absl::DataLossError("journal segment " + std::to_string(life_.header.segment) +
                               " life " + std::to_string(life_.header.life) + " group " +
                               std::to_string(at_.next_group) + " block " + std::to_string(block) +
                               ": " + what);
  }

  bool IsOfNextGroup(const std::optional<BlockFormat::Info>& info) const {
    return info && info->life == life_.header.life && info->group == at_.next_group;
  }

  // Visits the next group and steps over it. False if it is not whole.
  absl::StatusOr<bool> ReadGroup() {
    const uint32_t blocks_left = life_.file->block_count() - at_.end_block;
    if (blocks_left < kBlocksPerUnit) return false;
    ASSIGN_OR_RETURN(std::string bytes, life_.file->ReadBlocks(at_.end_block, kBlocksPerUnit));
    const std::string_view first = std::string_view(bytes).substr(0, kBlockBytes);
    if (!IsOfNextGroup(life_.file->format().Check(at_.end_block, first))) return false;
    ASSIGN_OR_RETURN(const GroupHeader header, DecodeGroupHeader(first.substr(kBlockHeaderBytes)));
    // The first block is as it was written: what it says that is not so is no torn write.
    if (header.block_count > blocks_left ||
        header.block_count != BlocksOfGroup(header.record_bytes) ||
        header.previous_digest != at_.digest || header.durable_group >= at_.next_group) {
      return Damaged(at_.end_block, "the group does not follow the one before");
    }
    if (header.block_count > kBlocksPerUnit) {
      ASSIGN_OR_RETURN(const std::string rest,
                       life_.file->ReadBlocks(at_.end_block + kBlocksPerUnit,
                                              header.block_count - kBlocksPerUnit));
      bytes += rest;
    }
    uint32_t digest = at_.digest;
    std::string stream;
    stream.reserve(header.block_count * kBlockPayloadBytes);
    for (uint32_t i = 0; i < header.block_count; ++i) {
      const std::string_view block = std::string_view(bytes).substr(i * kBlockBytes, kBlockBytes);
      const auto info = life_.file->format().Check(at_.end_block + i, block);
      if (!IsOfNextGroup(info)) return false;
      digest = ExtendDigest(digest, info->crc32c);
      stream.append(block.substr(kBlockHeaderBytes));
    }
    if (at_.next_group >= request_.visit_from) RETURN_IF_ERROR(VisitRecords(header, stream));
    at_.digest = digest;
    at_.end_block += header.block_count;
    ++at_.next_group;
    return true;
  }

  // Every block of the group is as it was written: what does not parse or open is corruption.
  absl::Status VisitRecords(const GroupHeader& header, const std::string& stream) {
    const uint64_t end = kGroupHeaderBytes + uint64_t{header.record_bytes};
    uint64_t position = kGroupHeaderBytes;
    std::string payload;
    for (uint32_t i = 0; i < header.record_count; ++i) {
      const std::string_view rest = std::string_view(stream).substr(position, end - position);
      ASSIGN_OR_RETURN(const journal_format::RecordHeader record,
                       journal_format::DecodeRecordHeader(rest));
      const uint64_t sealed_bytes = uint64_t{record.length} + RecordSealer::kTagBytes;
      if (sealed_bytes > rest.size() - kRecordHeaderBytes) {
        return Damaged(at_.end_block, "a record is longer than its group");
      }
      payload.resize(sealed_bytes);
      const absl::Status opened =
          life_.sealer->Open(record.sequence, rest.substr(0, kRecordHeaderBytes),
                             rest.substr(kRecordHeaderBytes, sealed_bytes), payload.data());
      if (!opened.ok()) return Damaged(at_.end_block, std::string(FromAbsl(opened.message())));
      RETURN_IF_ERROR(visitor_({
          .type = record.type,
          .owner = record.owner,
          .payload = std::string_view(payload).substr(0, record.length),
          .location = {.segment = life_.header.segment,
                       .life = life_.header.life,
                       .offset = journal_format::StreamOffset(at_.end_block) + position,
                       .length = record.length},
          .group = at_.next_group,
      }));
      position += kRecordHeaderBytes + sealed_bytes;
    }
    return position == end ? absl::OkStatus()
                           : Damaged(at_.end_block, "the group has more bytes than records");
  }

  // What lies behind the last whole group may be one torn group, each block of which is as the
  // write left it or as it was before. Groups are written one after the other: anything of a later
  // one tells that this one was whole, and acknowledged, once.
  absl::Status CheckTail() {
    constexpr uint32_t kStep = 256 * kBlocksPerUnit;
    for (uint32_t block = at_.end_block; block < life_.file->block_count(); block += kStep) {
      const uint32_t count = std::min(kStep, life_.file->block_count() - block);
      ASSIGN_OR_RETURN(const std::string bytes, life_.file->ReadBlocks(block, count));
      for (uint32_t i = 0; i < count; ++i) {
        RETURN_IF_ERROR(CheckTailBlock(
            block + i, std::string_view(bytes).substr(i * kBlockBytes, kBlockBytes)));
      }
    }
    return absl::OkStatus();
  }

  absl::Status CheckTailBlock(uint32_t number, std::string_view block) const {
    const auto info = life_.file->format().Check(number, block);
    if (IsOfNextGroup(info)) return absl::OkStatus();
    if (info && info->life < life_.header.life) return absl::OkStatus();
    if (info) return Damaged(number, "a later group is there, this one is not");
    if (journal_format::IsBlank(block) && number >= life_.header.written_blocks) {
      return absl::OkStatus();
    }
    return Damaged(number, "neither a block of this group nor an earlier one");
  }

  const SegmentLife& life_;
  const ScanRequest& request_;
  const Journal::Visitor& visitor_;
  ScanResult at_;
};

}  // namespace

absl::StatusOr<ScanResult> ScanLife(const SegmentLife& life, const ScanRequest& request,
                                    const Journal::Visitor& visitor) {
  return LifeScanner(life, request, visitor).Scan();
}

}  // namespace meridian::storage
