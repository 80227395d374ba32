// A disk in memory that fails on command. It stands for the hardware: it outlives the processes
// that use it, each of which attaches and gets a Disk of its own.
//
// What is written but not synced is in the machine's cache: seen by readers, lost at a power cut in
// part: any subset of its 512-byte sectors, and of the changes of names, stays (changes that share
// a name stay in order).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "storage/disk.h"

namespace meridian::storage {

// Thread-safe. The same seed and the same calls give the same faults.
class FaultDisk {
 public:
  static constexpr size_t kSectorBytes = 512;
  enum class Op { kRead, kWrite, kSync, kPreallocate };

  explicit FaultDisk(uint64_t seed);
  ~FaultDisk();

  // A process starts: the disk as it sees it. The FaultDisk outlives it. Disks attached earlier
  // stay usable unless the power was cut or they were detached.
  std::unique_ptr<Disk> Attach();

  // The process is gone (kill -9): every attached Disk answers UNAVAILABLE, the cache stays.
  void Kill();
  // The power is gone: as Kill, and the cache is lost in part.
  void CutPower();
  // Cuts the power within the operation that changes the disk as the n-th from now (1: the next);
  // if it is a write, any part of it may be there.
  void CutPowerAfter(uint64_t operations);
  // Whether CutPowerAfter has come true. Attach puts the power on again.
  bool power_is_off() const;
  // Operations that changed the disk, since it was made.
  uint64_t operations() const;

  // With false, every sync reports success and does nothing: a lying disk.
  void set_syncs_work(bool work);
  void set_capacity_bytes(uint64_t bytes);

  // The next operation of that kind on a path that begins with `path_prefix` fails with EIO, once.
  // A failed write leaves a part of its sectors written. A failed sync leaves the cache marked
  // clean: later syncs succeed and the bytes never reach the disk, as on Linux.
  void FailOnce(Op op, const std::string& path_prefix);
  // Reads of paths that begin with `path_prefix` wait until ReleaseReads, or until the disk is
  // detached or its power cut.
  void HoldReads(const std::string& path_prefix);
  void ReleaseReads();
  // Reads that wait. Of HoldReads.
  size_t held_reads() const;
  // Reading any byte of [offset, offset + size) of the file fails, for good.
  void BreakSectors(const std::string& path, uint64_t offset, uint64_t size);
  // The next write to that path reports success and lands `delta` bytes further on; 0 drops it.
  void MisdirectNextWrite(const std::string& path_prefix, int64_t delta);

  // The file's bytes as the next reader sees them; empty if it is not there.
  std::string Contents(const std::string& path) const;
  // Changes bytes behind everyone's back, durably.
  void Overwrite(const std::string& path, uint64_t offset, std::string_view bytes);
  void FlipBit(const std::string& path, uint64_t offset, int bit);

  class State;

 private:
  std::shared_ptr<State> state_;
};

}  // namespace meridian::storage
