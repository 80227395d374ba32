// A journal on a faulty disk, driven synchronously.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/notification.h"
#include "base/random.h"
#include "crypto/node_key.h"
#include "storage/journal/format.h"
#include "storage/journal/journal.h"
#include "storage/node_record_sealers.h"
#include "tests/fakes/fault_disk.h"

namespace meridian::storage {

// A small journal: segments of 64 KiB hold a few groups each.
inline JournalOptions SmallJournal() {
  SeededRandom random(99);
  return {.disk_id = DiskId::Draw(random),
          .segment_bytes = 64 << 10,
          .max_record_bytes = 16 << 10,
          .max_group_bytes = 16 << 10,
          .min_segments = 3,
          .max_segments = 6,
          .pressure_segments = 3};
}

class JournalHarness {
 public:
  struct Record {
    uint8_t type;
    std::string payload;
    RecordLocation location;
    GroupNumber group;
  };

  explicit JournalHarness(uint64_t seed = 1)
      : fault_(seed),
        random_(seed),
        key_(*crypto::SecretKey::FromBytes(std::string(32, 'k'))),
        sealers_(key_) {}

  // What replay visited is in `replayed`. Any journal opened before is closed first.
  absl::Status Open() {
    Close();
    disk_ = fault_.Attach();
    replayed.clear();
    auto opened =
        Journal::Open(*disk_, sealers_, random_, options, [this](const ReplayedRecord& r) {
          replayed.push_back({r.type, std::string(r.payload), r.location, r.group});
          return absl::OkStatus();
        });
    if (!opened.ok()) return opened.status();
    journal = *std::move(opened);
    return absl::OkStatus();
  }
  void Close() {
    journal.reset();
    disk_.reset();
  }
  // As a crash of the machine: what was not synced is lost in part.
  void CutPower() {
    fault_.CutPower();
    Close();
  }

  absl::StatusOr<Journal::Appended> Append(const std::string& payload, uint8_t type = 1) {
    absl::Notification done;
    absl::StatusOr<Journal::Appended> result;
    journal->Append({.type = type, .owner = {}, .payload = {Buffer::FromString(payload)}},
                    [&](const absl::StatusOr<Journal::Appended>& appended) {
                      result = appended;
                      done.Notify();
                    });
    done.WaitForNotification();
    return result;
  }

  std::string PathOf(const RecordLocation& location) const {
    char name[64];
    std::snprintf(name, sizeof(name), "journal/%08u.seg", location.segment);
    return name;
  }
  std::vector<std::string> ReplayedPayloads() const {
    std::vector<std::string> payloads;
    for (const Record& record : replayed) payloads.push_back(record.payload);
    return payloads;
  }
  FaultDisk& fault() { return fault_; }
  Disk& disk() { return *disk_; }
  SeededRandom& random() { return random_; }

  JournalOptions options = SmallJournal();
  std::vector<Record> replayed;

 private:
  FaultDisk fault_;
  SeededRandom random_;
  crypto::NodeKey key_;
  NodeRecordSealers sealers_;
  std::unique_ptr<Disk> disk_;

 public:
  std::unique_ptr<Journal> journal;  // destroyed before what it uses
};

}  // namespace meridian::storage
