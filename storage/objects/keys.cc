#include "storage/objects/keys.h"

#include <algorithm>

#include "base/check.h"

namespace meridian::objects {
namespace {

constexpr size_t kPlaceBytes = 8 + 4 + VersionId::kSize;

void AppendBigEndian(std::string& out, uint64_t value, int bytes) {
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) {
    out.push_back(static_cast<char>(value >> shift));
  }
}

uint64_t ReadBigEndian(std::string_view bytes) {
  uint64_t value = 0;
  for (const char byte : bytes) value = value << 8 | static_cast<uint8_t>(byte);
  return value;
}

std::string Complement(std::string_view bytes) {
  std::string out(bytes);
  for (char& byte : out) byte = static_cast<char>(~byte);
  return out;
}

std::string Tagged(Tag tag, std::string_view rest) {
  std::string key;
  key.reserve(1 + rest.size());
  key.push_back(static_cast<char>(tag));
  key.append(rest);
  return key;
}

absl::Status Malformed(std::string_view what) {
  return absl::DataLossError("object state: malformed " + std::string(what));
}

}  // namespace

std::string EncodeObjectKey(std::string_view name, const VersionPlace& place) {
  std::string key;
  key.reserve(2 + name.size() + kPlaceBytes);
  key.push_back(static_cast<char>(Tag::kObject));
  key.append(name);
  key.push_back('\0');
  AppendBigEndian(key, ~place.timestamp.value(), 8);
  AppendBigEndian(key, ~place.geo_epoch, 4);
  key.append(Complement(place.version.bytes()));
  return key;
}

std::string_view NameOfObjectKey(std::string_view key) {
  if (key.size() < 2 + kPlaceBytes) return {};
  return key.substr(1, key.size() - 2 - kPlaceBytes);
}

absl::StatusOr<ObjectKey> DecodeObjectKey(std::string_view key) {
  // Every name has at least one byte.
  if (key.size() < 3 + kPlaceBytes || key[0] != static_cast<char>(Tag::kObject) ||
      key[key.size() - kPlaceBytes - 1] != '\0') {
    return Malformed("object key");
  }
  std::string_view place = key.substr(key.size() - kPlaceBytes);
  ObjectKey out;
  out.name = std::string(NameOfObjectKey(key));
  if (out.name.find('\0') != std::string::npos) return Malformed("object key");
  out.place.timestamp = Timestamp(~ReadBigEndian(place.substr(0, 8)));
  out.place.geo_epoch = ~static_cast<uint32_t>(ReadBigEndian(place.substr(8, 4)));
  out.place.version = *VersionId::FromBytes(Complement(place.substr(12)));
  return out;
}

std::string ObjectRangeBegin(std::string_view name) {
  std::string key = Tagged(Tag::kObject, name);
  key.push_back('\0');
  return key;
}

std::string ObjectRangeEnd(std::string_view name) {
  std::string key = Tagged(Tag::kObject, name);
  key.push_back('\x01');
  return key;
}

// A name's rows begin with the name and 0x00: all of a name below a bound are below the bound.
std::string NamesBegin(Tag tag, const NameRange& names) { return Tagged(tag, names.start); }

std::string NamesEnd(Tag tag, const NameRange& names) {
  return names.end.empty() ? TagEnd(tag) : Tagged(tag, names.end);
}

std::string VersionIndexKey(std::string_view name, VersionId version) {
  std::string key = Tagged(Tag::kVersionIndex, name);
  key.push_back('\0');
  key.append(version.bytes());
  return key;
}

std::string EncodeVersionIndexValue(const VersionPlace& place) {
  std::string value;
  AppendBigEndian(value, place.timestamp.value(), 8);
  AppendBigEndian(value, place.geo_epoch, 4);
  return value;
}

absl::StatusOr<VersionPlace> DecodeVersionIndexValue(VersionId version, std::string_view value) {
  if (value.size() != 12) return Malformed("version index row");
  return VersionPlace{.timestamp = Timestamp(ReadBigEndian(value.substr(0, 8))),
                      .geo_epoch = static_cast<uint32_t>(ReadBigEndian(value.substr(8))),
                      .version = version};
}

std::string RequestKey(RequestId request) { return Tagged(Tag::kRequest, request.bytes()); }
std::string UploadKey(UploadId upload) { return Tagged(Tag::kUpload, upload.bytes()); }
std::string RunKey(RunId run) { return Tagged(Tag::kRun, run.bytes()); }
std::string AbortedRunKey(RunId run) { return Tagged(Tag::kAbortedRun, run.bytes()); }
std::string MetaKey() { return Tagged(Tag::kMeta, {}); }
std::string MovedKey() { return Tagged(Tag::kMoved, {}); }
std::string MovedRequestKey(RequestId request) { return MovedKey() + RequestKey(request); }

std::string EncodeExpiryKey(Queue queue, int64_t expire_time_us, std::string_view id) {
  std::string key = ExpiryFrom(queue, expire_time_us);
  key.append(id);
  return key;
}

absl::StatusOr<ExpiryKey> DecodeExpiryKey(std::string_view key) {
  if (key.size() != 2 + 8 + 16 || key[0] != static_cast<char>(Tag::kExpiry)) {
    return Malformed("expiry key");
  }
  return ExpiryKey{.expire_time_us = static_cast<int64_t>(ReadBigEndian(key.substr(2, 8))),
                   .id = std::string(key.substr(10))};
}

std::string ExpiryFrom(Queue queue, int64_t from_us) {
  std::string key = Tagged(Tag::kExpiry, {});
  key.push_back(static_cast<char>(queue));
  AppendBigEndian(key, static_cast<uint64_t>(std::max<int64_t>(from_us, 0)), 8);
  return key;
}

std::string ExpiryEnd(Queue queue) {
  std::string key = Tagged(Tag::kExpiry, {});
  key.push_back(static_cast<char>(static_cast<char>(queue) + 1));
  return key;
}

std::string EncodeGarbageKey(const GarbageKey& garbage) {
  std::string key = Tagged(Tag::kGarbage, {});
  AppendBigEndian(key, garbage.index.value(), 8);
  key.append(garbage.run.bytes());
  return key;
}

absl::StatusOr<GarbageKey> DecodeGarbageKey(std::string_view key) {
  if (key.size() != 1 + 8 + RunId::kSize || key[0] != static_cast<char>(Tag::kGarbage)) {
    return Malformed("garbage key");
  }
  return GarbageKey{.index = LogIndex(ReadBigEndian(key.substr(1, 8))),
                    .run = *RunId::FromBytes(key.substr(9))};
}

std::string TagBegin(Tag tag) { return Tagged(tag, {}); }
std::string TagEnd(Tag tag) { return PrefixSuccessor(TagBegin(tag)); }

std::string PrefixSuccessor(std::string_view prefix) {
  std::string out(prefix);
  while (!out.empty() && out.back() == '\xff') out.pop_back();
  CHECK_INVARIANT(!out.empty(), "nothing is above every string with this prefix");
  out.back() = static_cast<char>(static_cast<uint8_t>(out.back()) + 1);
  return out;
}

}  // namespace meridian::objects
