// Keys of the object state's rows. The first byte is the row's tag; all integers are big endian, so
// that byte order is the order of values.
//
//   o name 0x00 ~timestamp(8) ~geo_epoch(4) ~version id(16)   VersionRecord; of a name, newest
//   first i name 0x00 version id(16)       timestamp(8) geo_epoch(4): where a version is that is
//   not the
//                                    newest of its name
//   q request id(16)                 RequestRecord
//   u upload id(16)                  UploadRecord
//   r run id(16)                     RunRecord
//   x run id(16)                     0x01: an aborted run
//   e queue(1) expiry(8) id(16)      0x01: what expires when (microseconds since the Unix epoch)
//   g log index(8) run id(16)        0x01: garbage; local to the replica
//   m                                PartitionMeta
//   s                                where the rows of names that a split took away stand; local to
//                                    the replica (split.h)
//   s q request id(16)               a RequestRecord of such a name, whose row another name took;
//                                    local
//
// ~ is the bitwise complement. Names hold no 0x00, so that a name's rows are contiguous and names
// are in byte order, also where one is a prefix of the other.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "base/id.h"
#include "base/strong_int.h"

namespace meridian::objects {

// Stored: never change.
enum class Tag : char {
  kObject = 'o',
  kVersionIndex = 'i',
  kRequest = 'q',
  kUpload = 'u',
  kRun = 'r',
  kAbortedRun = 'x',
  kExpiry = 'e',
  kGarbage = 'g',
  kMeta = 'm',
  kMoved = 's',
};

// Which kind of row an entry of an expiry queue is about. Stored: never change.
enum class Queue : char {
  kRequest = 'q',
  kUpload = 'u',
  kAbortedRun = 'x',
};

// The value of rows that say all by their key.
inline constexpr std::string_view kPresent = "\x01";

// Where a version stands among those of its name (P19): by timestamp, geo epoch, version id.
struct VersionPlace {
  Timestamp timestamp;
  uint32_t geo_epoch = 0;
  VersionId version;
  auto operator<=>(const VersionPlace&) const = default;
};

// Names from `start` to below `end`, in byte order; an empty bound is none.
struct NameRange {
  std::string start = {};
  std::string end = {};
  bool operator==(const NameRange&) const = default;

  bool Contains(std::string_view name) const {
    return name >= start && (end.empty() || name < end);
  }
};

struct ObjectKey {
  std::string name;
  VersionPlace place;
};

std::string EncodeObjectKey(std::string_view name, const VersionPlace& place);
// DATA_LOSS if `key` is not one.
absl::StatusOr<ObjectKey> DecodeObjectKey(std::string_view key);
// The name in an object's key, without a copy and unchecked: anything if `key` is not one.
std::string_view NameOfObjectKey(std::string_view key);

// The rows of a name's versions are [ObjectRangeBegin, ObjectRangeEnd).
std::string ObjectRangeBegin(std::string_view name);
std::string ObjectRangeEnd(std::string_view name);

// The rows of a tag whose keys begin with a name (kObject, kVersionIndex), of the names of a range,
// are [NamesBegin, NamesEnd).
std::string NamesBegin(Tag tag, const NameRange& names);
std::string NamesEnd(Tag tag, const NameRange& names);

std::string VersionIndexKey(std::string_view name, VersionId version);
std::string EncodeVersionIndexValue(const VersionPlace& place);
absl::StatusOr<VersionPlace> DecodeVersionIndexValue(VersionId version, std::string_view value);

std::string RequestKey(RequestId request);
std::string UploadKey(UploadId upload);
std::string RunKey(RunId run);
std::string AbortedRunKey(RunId run);
std::string MetaKey();
std::string MovedKey();
std::string MovedRequestKey(RequestId request);

struct ExpiryKey {
  int64_t expire_time_us = 0;
  std::string id;  // 16 bytes
};
// `expire_time_us` >= 0.
std::string EncodeExpiryKey(Queue queue, int64_t expire_time_us, std::string_view id);
absl::StatusOr<ExpiryKey> DecodeExpiryKey(std::string_view key);
// The rows of one queue that expire at or after `from_us` are [ExpiryFrom, ExpiryEnd).
std::string ExpiryFrom(Queue queue, int64_t from_us);
std::string ExpiryEnd(Queue queue);

struct GarbageKey {
  LogIndex index;
  RunId run;
};
std::string EncodeGarbageKey(const GarbageKey& garbage);
absl::StatusOr<GarbageKey> DecodeGarbageKey(std::string_view key);

// The rows of a tag are [TagBegin, TagEnd).
std::string TagBegin(Tag tag);
std::string TagEnd(Tag tag);

// The least string above every string that begins with `prefix`, which must hold a byte below 0xff.
std::string PrefixSuccessor(std::string_view prefix);

}  // namespace meridian::objects
