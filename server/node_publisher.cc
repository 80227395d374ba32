#include "server/node_publisher.h"

#include <algorithm>
#include <functional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/status.h"
#include "server/await.h"
#include "server/cluster_format.h"
#include "server/log.h"

namespace meridian::server {
namespace {

using coordination::CommitResult;
using coordination::KeyValue;

constexpr absl::Duration kTimeout = absl::Seconds(10);
constexpr absl::Duration kPoll = absl::Milliseconds(200);
// The row changes under a publication only by an operator's hand or another process'.
constexpr int kMaxAttempts = 3;

template <typename T>
absl::StatusOr<T> Ask(const std::function<void(std::function<void(absl::StatusOr<T>)>)>& start) {
  auto answer = AwaitUntil<absl::StatusOr<T>>(absl::Now() + kTimeout, start);
  if (!answer) return absl::UnavailableError("the coordination store does not answer");
  return *std::move(answer);
}

}  // namespace

NodePublisher::NodePublisher(coordination::CoordinationStore& store, NodeId node,
                             std::vector<DiskId> disks, absl::Duration take_over)
    : store_(store), node_(std::move(node)), disks_(std::move(disks)), take_over_(take_over) {}

absl::Status NodePublisher::Publish(const NodeRecord& record) {
  if (published_ == record) return absl::OkStatus();
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    ASSIGN_OR_RETURN(const std::optional<KeyValue> format, Get(kFormatKey));
    ASSIGN_OR_RETURN(const ClusterFormat cluster, DecodeClusterFormat(format));
    RETURN_IF_ERROR(CheckClusterFormat(cluster, record.newest_format));
    ASSIGN_OR_RETURN(const std::optional<KeyValue> row, Get(NodeKeyOf(node_)));
    if (row) {
      ASSIGN_OR_RETURN(const NodeRecord there, DecodeNodeRecord(row->value));
      RETURN_IF_ERROR(CheckRow(there, record));
    }
    coordination::Transaction change{
        {{NodeKeyOf(node_), row ? row->mod_revision : 0},
         {kFormatKey, format ? format->mod_revision : 0}},
        {{NodeKeyOf(node_), EncodeNodeRecord(record)}, {kPublishedKey, node_}}};
    ASSIGN_OR_RETURN(const CommitResult result, Ask<CommitResult>([&](auto done) {
                       store_.Commit(std::move(change), std::move(done));
                     }));
    if (!result.succeeded) continue;
    published_ = record;
    return absl::OkStatus();
  }
  return absl::UnavailableError("the node's record changes too fast; try again");
}

absl::Status NodePublisher::CheckRow(const NodeRecord& row, const NodeRecord& record) const {
  const bool is_known = std::any_of(row.disks.begin(), row.disks.end(), [this](DiskId disk) {
    return std::find(disks_.begin(), disks_.end(), disk) != disks_.end();
  });
  if (!row.disks.empty() && !row.zone.empty() &&
      (row.zone != record.zone || row.region != record.region)) {
    return absl::FailedPreconditionError(absl::StrCat(
        "node ", node_, " has disks in zone ", row.zone, " of region ", row.region, ", not in ",
        record.zone, " of ", record.region,
        ": a node that has data does not move. Give its zone back, or this one another node_id"));
  }
  if (is_known) return absl::OkStatus();
  if (!published_) return AwaitTakeOver();
  // With no disk in it, it may be this process' own of before.
  if (row.disks.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("another process has taken the name ", node_,
                   ", with disks of its own: two machines must not have one node_id"));
}

absl::Status NodePublisher::AwaitTakeOver() const {
  const absl::Time end = absl::Now() + take_over_;
  for (bool told = false;; told = true) {
    ASSIGN_OR_RETURN(const std::optional<KeyValue> alive, Get(AliveKeyOf(node_)));
    if (!alive) return absl::OkStatus();
    if (absl::Now() >= end) break;
    if (!told) {
      Log(LogLevel::kWarning, "node", "waits until no other process has its name",
          {{"node", node_}});
    }
    absl::SleepFor(kPoll);
  }
  return absl::FailedPreconditionError(
      absl::StrCat("another process runs as node ", node_,
                   ", with other disks: give this one another node_id, or end that one"));
}

absl::StatusOr<std::optional<KeyValue>> NodePublisher::Get(std::string key) const {
  return Ask<std::optional<KeyValue>>(
      [&](auto done) { store_.Get(std::move(key), std::move(done)); });
}

}  // namespace meridian::server
