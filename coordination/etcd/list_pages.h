// Lists a prefix in pages, all at one revision.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "coordination/coordination_store.h"
#include "coordination/etcd/call.h"

namespace meridian::coordination {

// Confined to the strand; keeps itself alive until `done`.
class ListPages : public std::enable_shared_from_this<ListPages> {
 public:
  using Done = std::function<void(absl::StatusOr<std::vector<KeyValue>>)>;

  // `environment` outlives it.
  ListPages(CallEnvironment& environment, std::string key_prefix, std::string prefix,
            int64_t page_rows, Done done);
  void Begin();

 private:
  void NextPage();
  void OnPage(absl::StatusOr<etcdserverpb::RangeResponse> page);
  absl::Status Take(const etcdserverpb::RangeResponse& page);

  CallEnvironment& environment_;
  const std::string key_prefix_;
  const std::string first_;
  const std::string end_;
  const int64_t page_rows_;
  const Done done_;
  std::vector<KeyValue> rows_;
  std::string next_;
  int64_t revision_ = 0;  // 0: not fixed yet
  int restarts_ = 0;
};

}  // namespace meridian::coordination
