// RocksDB on a Disk: on a FaultDisk's, it meets the same power cuts and faults as the journal.
#pragma once

#include <memory>

#include "rocksdb/env.h"
#include "storage/disk.h"

namespace meridian::storage {

// Files by their paths on `disk`, a leading '/' left out; the rest (threads, time) is the operating
// system's. `disk` outlives it.
std::unique_ptr<rocksdb::Env> NewFaultEnv(Disk& disk);

}  // namespace meridian::storage
