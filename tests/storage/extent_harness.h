// An extent store on a faulty disk, driven synchronously, with the index that its user would keep.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/synchronization/notification.h"
#include "base/crc32c.h"
#include "base/random.h"
#include "storage/extents/extent_store.h"
#include "tests/fakes/fault_disk.h"

namespace meridian::storage {

// Extents of 64 KiB, chunks of up to 16 KiB.
inline ExtentOptions SmallExtents() {
  SeededRandom random(98);
  return {.disk_id = DiskId::Draw(random),
          .extent_bytes = 64 << 10,
          .max_chunk_bytes = 16 << 10,
          .reserve_bytes = 4096};
}

class ExtentHarness {
 public:
  struct Chunk {
    ChunkIdentity identity;
    ChunkLocation location;
    std::string bytes;
  };

  explicit ExtentHarness(uint64_t seed = 1) : fault_(seed), random_(seed) {}

  // Opens the store and tells it of every chunk in `index`.
  absl::Status Open() {
    Close();
    disk_ = fault_.Attach();
    auto opened = ExtentStore::Open(*disk_, options);
    if (!opened.ok()) return opened.status();
    store = *std::move(opened);
    for (const auto& [number, chunk] : index) {
      if (absl::Status status = store->Reference(chunk.location); !status.ok()) return status;
    }
    return store->FinishRecovery();
  }
  void Close() {
    store.reset();
    disk_.reset();
  }

  std::string RandomBytes(size_t size) {
    std::string bytes(size, '\0');
    random_.Fill({reinterpret_cast<uint8_t*>(bytes.data()), bytes.size()});
    return bytes;
  }
  ChunkIdentity IdentityOf(uint32_t number, const std::string& bytes) const {
    SeededRandom ids(1);
    return {.container = ContainerId::Draw(ids),
            .chunk = {.run = RunId::Draw(ids), .number = number},
            .crc32c = Crc32c(bytes)};
  }

  using Writer = void (ExtentStore::*)(const ChunkIdentity&, Buffer, ExtentStore::Done);
  absl::StatusOr<ChunkLocation> Append(const ChunkIdentity& identity, const std::string& bytes,
                                       Writer writer = &ExtentStore::Append) {
    absl::Notification done;
    absl::StatusOr<ChunkLocation> result;
    (*store.*writer)(identity, Buffer::FromString(bytes),
                     [&](const absl::StatusOr<ChunkLocation>& location) {
                       result = location;
                       done.Notify();
                     });
    done.WaitForNotification();
    return result;
  }
  absl::Status Restore(uint32_t number, size_t size) {
    return Put(number, size, &ExtentStore::Restore);
  }
  // Appends random bytes as that chunk and indexes it.
  absl::Status Put(uint32_t number, size_t size, Writer writer = &ExtentStore::Append) {
    const std::string bytes = RandomBytes(size);
    const ChunkIdentity identity = IdentityOf(number, bytes);
    const auto location = Append(identity, bytes, writer);
    if (!location.ok()) return location.status();
    index[number] = {identity, *location, bytes};
    return absl::OkStatus();
  }
  void Free(uint32_t number) {
    store->MarkFree(index.at(number).location);
    index.erase(number);
  }
  absl::StatusOr<Buffer> Read(const Chunk& chunk) const {
    return store->Read(chunk.location, chunk.identity, 0, chunk.bytes.size());
  }
  // The first chunk that does not read back as it was written; "" if all do.
  std::string Damage() const {
    for (const auto& [number, chunk] : index) {
      const auto read = Read(chunk);
      if (!read.ok()) return std::to_string(number) + ": " + read.status().ToString();
      if (read->view() != chunk.bytes) return std::to_string(number) + ": other bytes";
    }
    return "";
  }
  std::string PathOf(const ChunkLocation& location) const {
    char name[64];
    std::snprintf(name, sizeof(name), "extents/%08u.ext", location.extent);
    return name;
  }
  size_t FileCount() const { return disk_->List("extents")->size(); }
  FaultDisk& fault() { return fault_; }
  Disk& disk() { return *disk_; }
  SeededRandom& random() { return random_; }

  ExtentOptions options = SmallExtents();
  std::map<uint32_t, Chunk> index;

 private:
  FaultDisk fault_;
  SeededRandom random_;
  std::unique_ptr<Disk> disk_;

 public:
  std::unique_ptr<ExtentStore> store;  // destroyed before what it uses
};

}  // namespace meridian::storage
