#include "storage/journal/recovery.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "base/status.h"
#include "storage/journal/life_scanner.h"

namespace meridian::storage {
namespace {

using journal_format::SegmentHeader;

class Recovery {
 public:
  Recovery(Disk& disk, const RecordSealerFactory& sealers, const JournalOptions& options,
           const Journal::Visitor& visitor)
      : disk_(disk), sealers_(sealers), options_(options), visitor_(visitor) {}

  absl::StatusOr<RecoveredJournal> Run() {
    RETURN_IF_ERROR(OpenFiles());
    RETURN_IF_ERROR(FindLives());
    RETURN_IF_ERROR(ScanLives());
    DropEmptyLastLife();
    return std::move(result_);
  }

 private:
  absl::Status OpenFiles() {
    ASSIGN_OR_RETURN(const std::vector<std::string> names, disk_.List(options_.dir));
    for (const std::string& name : names) {
      const std::optional<uint32_t> number = SegmentFile::NumberOf(name);
      if (!number) {
        // What a crash left of making a segment; the name is given when it is complete.
        RETURN_IF_ERROR(disk_.Remove(options_.dir + "/" + name));
        continue;
      }
      ASSIGN_OR_RETURN(std::shared_ptr<SegmentFile> file,
                       SegmentFile::Open(disk_, options_.dir, *number, options_.disk_id));
      result_.next_number = std::max(result_.next_number, *number + 1);
      const SegmentHeader& header = file->header();
      if (header.life == 0) {
        result_.free.push_back({file, journal_format::kFirstGroupBlock});
      } else if (!by_life_.emplace(header.life, file).second) {
        return absl::DataLossError("two journal segments claim life " +
                                   std::to_string(header.life));
      }
    }
    return absl::OkStatus();
  }

  // From the newest life back to the oldest in use when it began.
  absl::Status FindLives() {
    if (by_life_.empty()) return absl::OkStatus();
    const uint64_t oldest = by_life_.rbegin()->second->header().oldest_life;
    uint64_t wanted = by_life_.rbegin()->first;
    result_.next_life = wanted + 1;
    while (wanted != 0 && wanted >= oldest) {
      const auto found = by_life_.find(wanted);
      if (found == by_life_.end()) {
        return absl::DataLossError("the journal segment of life " + std::to_string(wanted) +
                                   " is missing");
      }
      ASSIGN_OR_RETURN(std::shared_ptr<SegmentLife> life, MakeLife(found->second));
      wanted = life->header.previous_life;
      result_.lives.push_back(std::move(life));
      by_life_.erase(found);
    }
    std::reverse(result_.lives.begin(), result_.lives.end());
    // The rest were released, or were dropped empty before a later life took their place.
    for (const auto& [number, file] : by_life_) {
      result_.free.push_back(
          {file, std::max(file->header().written_blocks, journal_format::kFirstGroupBlock)});
    }
    return absl::OkStatus();
  }

  absl::StatusOr<std::shared_ptr<SegmentLife>> MakeLife(std::shared_ptr<SegmentFile> file) {
    auto life = std::make_shared<SegmentLife>();
    life->header = file->header();
    ASSIGN_OR_RETURN(life->sealer, sealers_.NewSealer(options_.disk_id, life->header.salt));
    life->file = std::move(file);
    return life;
  }

  absl::Status ScanLives() {
    const GroupNumber first = result_.lives.empty() ? 1 : result_.lives.front()->header.first_group;
    if (options_.replay_from < first) {
      return absl::DataLossError("the journal begins with group " + std::to_string(first) +
                                 ", replay must begin with group " +
                                 std::to_string(options_.replay_from));
    }
    for (size_t i = 0; i < result_.lives.size(); ++i) {
      SegmentLife& life = *result_.lives[i];
      const SegmentHeader* next =
          i + 1 < result_.lives.size() ? &result_.lives[i + 1]->header : nullptr;
      result_.last_life = life.header.life;
      if (next != nullptr && next->first_group <= options_.replay_from) continue;
      ScanRequest request{.visit_from = options_.replay_from, .end_group = std::nullopt};
      if (next != nullptr) request.end_group = next->first_group;
      ASSIGN_OR_RETURN(const ScanResult scanned, ScanLife(life, request, visitor_));
      if (next != nullptr && scanned.digest != next->previous_digest) {
        return absl::DataLossError("journal life " + std::to_string(next->life) +
                                   " does not continue life " + std::to_string(life.header.life));
      }
      life.end_block = scanned.end_block;
      result_.next_group = scanned.next_group;
      result_.digest = scanned.digest;
    }
    if (options_.replay_from > result_.next_group) {
      return absl::DataLossError("the journal ends before group " +
                                 std::to_string(options_.replay_from) +
                                 ", which was durable: a disk from the past, or one that lies");
    }
    return absl::OkStatus();
  }

  // A crash loop must not use up a segment each time: a life without groups gives its file back.
  void DropEmptyLastLife() {
    if (result_.lives.empty()) return;
    const SegmentLife& last = *result_.lives.back();
    if (last.end_block != journal_format::kFirstGroupBlock) return;
    result_.last_life = last.header.previous_life;
    result_.free.push_back({last.file, WrittenBlocks(last)});
    result_.lives.pop_back();
  }

  Disk& disk_;
  const RecordSealerFactory& sealers_;
  const JournalOptions& options_;
  const Journal::Visitor& visitor_;
  std::map<uint64_t, std::shared_ptr<SegmentFile>> by_life_;  // not (yet) among the lives in use
  RecoveredJournal result_;
};

}  // namespace

uint32_t WrittenBlocks(const SegmentLife& life) {
  return std::max({life.end_block, life.header.written_blocks, journal_format::kFirstGroupBlock});
}

absl::StatusOr<RecoveredJournal> RecoverJournal(Disk& disk, const RecordSealerFactory& sealers,
                                                const JournalOptions& options,
                                                const Journal::Visitor& visitor) {
  return Recovery(disk, sealers, options, visitor).Run();
}

}  // namespace meridian::storage
