// What the syncs of one part of a disk (its journal, its extents) took, and what each carried.
#pragma once

#include <cstdint>

#include "absl/time/time.h"
#include "base/histogram.h"

namespace meridian::storage {

struct SyncCounts {
  HistogramCounts time;     // of one sync, in microseconds; the journal's: write and sync in one
  HistogramCounts records;  // made durable by one sync
  HistogramCounts bytes;    // likewise, framing included
};

// Thread-safe, without locks.
class SyncMeter {
 public:
  void Count(absl::Duration time, uint64_t records, uint64_t bytes) {
    time_.Observe(time);
    records_.Observe(records);
    bytes_.Observe(bytes);
  }
  SyncCounts Read() const { return {time_.Read(), records_.Read(), bytes_.Read()}; }

 private:
  static constexpr uint64_t kRecordBounds[] = {1, 2, 4, 8, 16, 32, 64, 128, 256};
  static constexpr uint64_t kByteBounds[] = {4 << 10, 16 << 10, 64 << 10, 256 << 10,
                                             1 << 20, 4 << 20,  8 << 20};

  Histogram time_{kLatencyBounds};
  Histogram records_{kRecordBounds};
  Histogram bytes_{kByteBounds};
};

}  // namespace meridian::storage
