// How the embedded store lays its rows out in RocksDB.
//
//   database := format-row revision-row data-row*
//   format-row:   key "f"           value version(u32)     version = 1
//   revision-row: key "r"           value revision(i64)    of the last transaction that wrote
//   data-row:     key "k" <key>     value mod_revision(i64) <value>
//
// Integers are little endian. The transaction that raises the revision writes it in the batch of
// its data rows, so that a revision is never given twice. Never reuse a leading byte.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "coordination/coordination_store.h"

namespace meridian::coordination {

constexpr uint32_t kRowFormatVersion = 1;
constexpr std::string_view kFormatRowKey = "f";
constexpr std::string_view kRevisionRowKey = "r";

std::string EncodeFormatRow();
// FAILED_PRECONDITION unless `value` is kRowFormatVersion.
absl::Status CheckFormatRow(std::string_view value);

std::string EncodeRevisionRow(int64_t revision);
absl::StatusOr<int64_t> DecodeRevisionRow(std::string_view value);

std::string DataRowKey(std::string_view key);
std::string EncodeDataRow(int64_t mod_revision, std::string_view value);
// DATA_LOSS if `row_key` and `row_value` are not those of a data row.
absl::StatusOr<KeyValue> DecodeDataRow(std::string_view row_key, std::string_view row_value);

}  // namespace meridian::coordination
