// A RocksDB environment whose files are ciphertext: every file begins with a plain prefix that
// holds its wrapped key, and the rest is encrypted under that key (DB names never reach the disk
// readable).
#pragma once

#include <memory>
#include <string>

#include "rocksdb/env.h"
#include "storage/rocks/file_cipher.h"

namespace meridian::storage {

// Over the files of `base` (rocksdb::Env::Default(), or a simulation's), which outlives the result,
// as `ciphers` does. A file is given its name only after its prefix is durable: after a power
// failure a file that exists can be opened, and a prefix that cannot be read is corruption, never
// an empty file (I10). Info logs are discarded: RocksDB writes keys into them.
std::unique_ptr<rocksdb::Env> NewEncryptedEnv(rocksdb::Env* base, FileCipherFactory& ciphers);

// Removes what a crash has left of files that never got their name. Before the folder's DB is
// opened.
absl::Status RemoveUnnamedFiles(rocksdb::Env* base, const std::string& folder);

// Bytes that the prefix takes at the start of every file.
constexpr size_t kEncryptedFilePrefixBytes = 4096;

}  // namespace meridian::storage
