// The plain prefix of an encrypted RocksDB file.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace meridian::storage {

// prefix  := magic(8) version(4) wrapped_key_size(4) wrapped_key zeros crc32c(4)
// magic   := "MRDNROCK"
// version := 1
// Integers are little endian; crc32c is of all bytes before it. kEncryptedFilePrefixBytes in total.
std::string EncodeFilePrefix(std::string_view wrapped_key);

// The wrapped key. DATA_LOSS if the prefix is damaged or too short, FAILED_PRECONDITION if a newer
// version wrote it.
absl::StatusOr<std::string> DecodeFilePrefix(std::string_view prefix);

}  // namespace meridian::storage
