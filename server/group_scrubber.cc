#include "server/group_scrubber.h"

#include <algorithm>
#include <functional>
#include <map>
#include <utility>

#include "absl/time/clock.h"
#include "base/status.h"
#include "server/await.h"
#include "server/log.h"
#include "storage/kv.h"
#include "storage/state_machine.h"

namespace meridian::server {
namespace {

constexpr uint64_t kPartBytes = 1 << 20;
// Between looks for groups that are due.
constexpr absl::Duration kLookInterval = absl::Seconds(10);
// Longer than a replica waits for its peers.
constexpr absl::Duration kTimeout = absl::Seconds(15);
// A member that is busy, or was past the entry, may answer the next time.
constexpr int kAttempts = 3;

}  // namespace

GroupScrubber::GroupScrubber(const Environment& environment)
    : env_(environment), worker_(MakeThreadExecutor(environment.node + "-compare")) {
  Schedule(absl::ZeroDuration());
}

GroupScrubber::~GroupScrubber() {
  std::unique_ptr<Executor> worker;
  {
    absl::MutexLock lock(&mutex_);
    worker = std::move(worker_);
  }
  worker.reset();  // a step that runs comes to its end
}

void GroupScrubber::Schedule(absl::Duration delay) {
  absl::MutexLock lock(&mutex_);
  if (worker_ == nullptr) return;
  worker_->PostAfter(delay, [this] { Schedule(Step()); });
}

absl::Duration GroupScrubber::Step() {
  if (current_) return CompareNextPart();
  if (BeginNextGroup()) return absl::ZeroDuration();
  last_ = PartitionId();
  return std::min(kLookInterval, env_.options.pass_interval);
}

bool GroupScrubber::BeginNextGroup() {
  std::map<PartitionId, std::shared_ptr<HostedReplica>> here;
  for (std::shared_ptr<HostedReplica>& replica : env_.host.List()) {
    here[replica->identity().partition] = std::move(replica);
  }
  for (auto next = here.upper_bound(last_); next != here.end(); ++next) {
    const auto& [partition, replica] = *next;
    last_ = partition;
    if (!IsDue(partition)) continue;
    if (!Leads(*replica)) {
      env_.scrubs.Forget(partition);
      continue;
    }
    current_ = Current{replica, GroupScrub(), ""};
    current_->scrub.pass_begin = env_.clock.WallNow();
    return true;
  }
  return false;
}

bool GroupScrubber::IsDue(PartitionId partition) const {
  const std::optional<GroupScrub> scrub = env_.scrubs.Find(partition);
  if (!scrub) return true;
  // Also after the clock has jumped back.
  const absl::Duration since = env_.clock.WallNow() - scrub->pass_begin;
  return since < absl::ZeroDuration() || since >= env_.options.pass_interval;
}

bool GroupScrubber::Leads(HostedReplica& replica) {
  using Status = replication::ReplicaStatus;
  const std::optional<Status> status = AwaitUntil<Status>(
      absl::Now() + kTimeout,
      [&](std::function<void(Status)> done) { replica.GetStatus(std::move(done)); });
  return status && status->is_serving;
}

absl::Duration GroupScrubber::CompareNextPart() {
  Part part{current_->next, "", 0};
  const std::unique_ptr<storage::KvReader> view = current_->replica->NewView();
  const auto rows = view->NewIterator(part.first, storage::kEndOfKeys);
  for (rows->Seek(part.first); rows->Valid() && part.bytes < kPartBytes; rows->Next()) {
    part.bytes += rows->key().size() + rows->value().size();
  }
  const bool last = !rows->Valid();
  part.end = std::string(last ? storage::kEndOfKeys : rows->key());
  absl::StatusOr<ComparisonVerdict> verdict = ComparisonVerdict();
  if (!rows->status().ok()) {
    verdict = rows->status();  // the replica itself finds it, and goes out of service
  } else {
    verdict = Compare(part);
  }
  if (!verdict.ok()) {
    // It does not lead, or not any more: its leader compares.
    env_.scrubs.Forget(current_->replica->identity().partition);
    current_.reset();
    return absl::ZeroDuration();
  }
  Tell(*verdict);
  current_->scrub.differing.insert(verdict->differing.begin(), verdict->differing.end());
  current_->scrub.uncompared.insert(verdict->uncompared.begin(), verdict->uncompared.end());
  current_->next = part.end;
  Show();
  if (last) EndGroup();
  return absl::Seconds(static_cast<double>(part.bytes) /
                       static_cast<double>(env_.options.bytes_per_second));
}

absl::StatusOr<ComparisonVerdict> GroupScrubber::Compare(const Part& part) {
  using Answer = absl::StatusOr<replication::StateComparison>;
  ComparisonVerdict verdict;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const std::optional<Answer> answer =
        AwaitUntil<Answer>(absl::Now() + kTimeout, [&](std::function<void(Answer)> done) {
          current_->replica->CompareState(part.first, part.end, std::move(done));
        });
    if (!answer) return absl::UnavailableError("the replica does not answer");
    if (absl::IsResourceExhausted(answer->status())) continue;
    RETURN_IF_ERROR(answer->status());
    verdict = Judge(**answer);
    if (verdict.differing.empty() && verdict.uncompared.empty()) break;
  }
  return verdict;
}

// Loudly, each time that it is seen.
void GroupScrubber::Tell(const ComparisonVerdict& verdict) {
  for (const ReplicaId& replica : verdict.differing) {
    Log(LogLevel::kError, "scrub",
        "REPLICAS DIFFER: a replica's state is not that of the others; `meridian scrub status` "
        "shows where it is, docs/operations.md says what to do",
        {{"node", env_.node},
         {"group", current_->replica->identity().partition.ToHex()},
         {"replica", replica.ToHex()}});
  }
}

void GroupScrubber::Show() {
  const PartitionId partition = current_->replica->identity().partition;
  // Of the pass before, what this one has not reached yet still holds.
  GroupScrub shown = env_.scrubs.Find(partition).value_or(GroupScrub());
  shown.pass_begin = current_->scrub.pass_begin;
  shown.differing.insert(current_->scrub.differing.begin(), current_->scrub.differing.end());
  env_.scrubs.Set(partition, shown);
}

void GroupScrubber::EndGroup() {
  GroupScrub& scrub = current_->scrub;
  scrub.last_compared = env_.clock.WallNow();
  for (const ReplicaId& replica : scrub.differing) scrub.uncompared.erase(replica);
  env_.scrubs.Set(current_->replica->identity().partition, scrub);
  current_.reset();
}

}  // namespace meridian::server
