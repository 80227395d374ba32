// Ordered key-value state of one disk: the seam between the state machine and RocksDB. Two
// implementations, RocksDB (storage/rocks) and memory, pass one conformance test.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace meridian::storage {

// A set of changes that becomes visible at once, applied in the order added.
class KvBatch {
 public:
  struct Op {
    enum class Kind { kPut, kDelete, kDeleteRange };
    Kind kind;
    std::string key;    // of kDeleteRange: the first key deleted
    std::string value;  // of kDeleteRange: the end, exclusive
  };

  void Put(std::string key, std::string value) {
    ops_.push_back({Op::Kind::kPut, std::move(key), std::move(value)});
  }
  void Delete(std::string key) { ops_.push_back({Op::Kind::kDelete, std::move(key), {}}); }
  void DeleteRange(std::string first, std::string end) {
    ops_.push_back({Op::Kind::kDeleteRange, std::move(first), std::move(end)});
  }
  const std::vector<Op>& ops() const { return ops_; }
  bool empty() const { return ops_.empty(); }

 private:
  std::vector<Op> ops_;
};

// Iterates keys in byte order within bounds given at creation.
class KvIterator {
 public:
  virtual ~KvIterator() = default;
  virtual void Seek(std::string_view key) = 0;
  virtual bool Valid() const = 0;
  virtual void Next() = 0;
  // While Valid(); the views live until the next call of Seek or Next.
  virtual std::string_view key() const = 0;
  virtual std::string_view value() const = 0;
  // Not OK if iteration ended because of an error: !Valid() alone does not mean "no more" (I10).
  virtual absl::Status status() const = 0;
};

// A consistent view. Thread-safe for reading.
class KvReader {
 public:
  virtual ~KvReader() = default;
  // nullopt: no such key. An error is never reported as absence.
  virtual absl::StatusOr<std::optional<std::string>> Get(std::string_view key) const = 0;
  // Keys in [lower, upper), positioned before the first: call Seek.
  virtual std::unique_ptr<KvIterator> NewIterator(std::string_view lower,
                                                  std::string_view upper) const = 0;
  // The keys of one name: those that begin with `prefix`, which ends with its only NUL. Faster, as
  // far as it is known where there are none.
  virtual std::unique_ptr<KvIterator> NewNameIterator(std::string_view prefix) const {
    return NewIterator(prefix, EndOfName(prefix));
  }
  static std::string EndOfName(std::string_view prefix) {
    std::string end(prefix);
    end.back() = 1;
    return end;
  }
};

}  // namespace meridian::storage
