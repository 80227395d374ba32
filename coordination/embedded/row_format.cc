#include "coordination/embedded/row_format.h"

#include "absl/strings/str_cat.h"

namespace meridian::coordination {
namespace {

constexpr char kDataTag = 'k';

std::string EncodeLittleEndian(uint64_t value, size_t size_bytes) {
  std::string bytes(size_bytes, '\0');
  for (size_t i = 0; i < size_bytes; ++i) bytes[i] = static_cast<char>(value >> (8 * i));
  return bytes;
}

uint64_t DecodeLittleEndian(std::string_view bytes) {
  uint64_t value = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    value |= uint64_t{static_cast<unsigned char>(bytes[i])} << (8 * i);
  }
  return value;
}

}  // namespace

std::string EncodeFormatRow() { return EncodeLittleEndian(kRowFormatVersion, 4); }

absl::Status CheckFormatRow(std::string_view value) {
  if (value.size() != 4) {
    return absl::DataLossError("the coordination store's format row is damaged");
  }
  const uint64_t version = DecodeLittleEndian(value);
  if (version == kRowFormatVersion) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "the coordination store has format version ", version, "; this program reads version ",
      kRowFormatVersion, ": use the program that wrote it"));
}

std::string EncodeRevisionRow(int64_t revision) {
  return EncodeLittleEndian(static_cast<uint64_t>(revision), 8);
}

absl::StatusOr<int64_t> DecodeRevisionRow(std::string_view value) {
  if (value.size() != 8) {
    return absl::DataLossError("the coordination store's revision row is damaged");
  }
  return static_cast<int64_t>(DecodeLittleEndian(value));
}

std::string DataRowKey(std::string_view key) {
  std::string row_key(1, kDataTag);
  row_key.append(key);
  return row_key;
}

std::string EncodeDataRow(int64_t mod_revision, std::string_view value) {
  std::string row = EncodeLittleEndian(static_cast<uint64_t>(mod_revision), 8);
  row.append(value);
  return row;
}

absl::StatusOr<KeyValue> DecodeDataRow(std::string_view row_key, std::string_view row_value) {
  if (row_key.size() < 2 || row_key[0] != kDataTag || row_value.size() < 8) {
    return absl::DataLossError("a data row of the coordination store is damaged");
  }
  return KeyValue{.key = std::string(row_key.substr(1)),
                  .value = std::string(row_value.substr(8)),
                  .mod_revision = static_cast<int64_t>(DecodeLittleEndian(row_value.substr(0, 8)))};
}

}  // namespace meridian::coordination
