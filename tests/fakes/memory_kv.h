// Ordered key-value state in memory, with consistent views: the in-memory twin of storage/rocks.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "storage/kv.h"

namespace meridian::storage {

// Thread-safe. Copying a view costs nothing: each key keeps the values that a living view can see.
// Views may outlive the store.
class MemoryKv {
 public:
  MemoryKv();
  ~MemoryKv();
  MemoryKv(const MemoryKv&) = delete;
  MemoryKv& operator=(const MemoryKv&) = delete;

  // Visible to later views at once and as a whole.
  void Apply(const KvBatch& batch);
  std::unique_ptr<KvReader> NewView() const;
  // The newest state.
  std::vector<std::pair<std::string, std::string>> Rows() const;

 private:
  class Versions;
  class View;
  class Iterator;
  const std::shared_ptr<Versions> versions_;
};

}  // namespace meridian::storage
