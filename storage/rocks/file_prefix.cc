#include "storage/rocks/file_prefix.h"

#include "base/check.h"
#include "base/crc32c.h"
#include "storage/rocks/encrypted_env.h"

namespace meridian::storage {
namespace {

constexpr std::string_view kMagic = "MRDNROCK";
constexpr uint32_t kVersion = 1;
constexpr size_t kVersionOffset = 8;
constexpr size_t kSizeOffset = 12;
constexpr size_t kKeyOffset = 16;
constexpr size_t kCrcOffset = kEncryptedFilePrefixBytes - 4;

void StoreU32(std::string& bytes, size_t offset, uint32_t value) {
  for (size_t i = 0; i < 4; ++i) bytes[offset + i] = static_cast<char>(value >> (8 * i));
}

uint32_t LoadU32(std::string_view bytes, size_t offset) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i)
    value |= uint32_t{static_cast<uint8_t>(bytes[offset + i])} << (8 * i);
  return value;
}

}  // namespace

std::string EncodeFilePrefix(std::string_view wrapped_key) {
  CHECK_INVARIANT(wrapped_key.size() <= FileCipherFactory::kMaxWrappedKeyBytes,
                  "a wrapped key does not fit its file's prefix");
  std::string prefix(kEncryptedFilePrefixBytes, '\0');
  prefix.replace(0, kMagic.size(), kMagic);
  StoreU32(prefix, kVersionOffset, kVersion);
  StoreU32(prefix, kSizeOffset, static_cast<uint32_t>(wrapped_key.size()));
  prefix.replace(kKeyOffset, wrapped_key.size(), wrapped_key);
  StoreU32(prefix, kCrcOffset, Crc32c(std::string_view(prefix).substr(0, kCrcOffset)));
  return prefix;
}

absl::StatusOr<std::string> DecodeFilePrefix(std::string_view prefix) {
  if (prefix.size() != kEncryptedFilePrefixBytes || !prefix.starts_with(kMagic)) {
    return absl::DataLossError("no encryption prefix");
  }
  if (LoadU32(prefix, kCrcOffset) != Crc32c(prefix.substr(0, kCrcOffset))) {
    return absl::DataLossError("the encryption prefix is damaged");
  }
  if (LoadU32(prefix, kVersionOffset) != kVersion) {
    return absl::FailedPreconditionError("the encryption prefix is of a newer version");
  }
  const uint32_t size = LoadU32(prefix, kSizeOffset);
  if (size > FileCipherFactory::kMaxWrappedKeyBytes) {
    return absl::DataLossError("the encryption prefix is damaged");
  }
  return std::string(prefix.substr(kKeyOffset, size));
}

}  // namespace meridian::storage
