#include "server/conversion_driver.h"

#include <algorithm>
#include <functional>
#include <set>

#include "base/status.h"
#include "replication/replica.h"
#include "server/log.h"
#include "server/placement_disks.h"
#include "server/store_calls.h"

namespace meridian::server {
namespace {

// Tenants read it: the whole reason names nodes and addresses.
constexpr char kHeldUp[] =
    "a replica cannot be placed; `meridian cluster status` tells administrators why";

constexpr char kUnreadable[] =
    "the record of a partition cannot be read; the log tells administrators which";

namespace pb = ::meridian::internal::v1;
using tenancy::ContainerRecord;
using tenancy::Conversion;
using tenancy::Redundancy;

constexpr absl::Duration kStatusTimeout = absl::Seconds(2);
// Less is too short to tell a rate by.
constexpr absl::Duration kShortestSample = absl::Seconds(2);

const pb::ReplicaStatus* FindReplica(
    const std::map<NodeId, absl::StatusOr<pb::NodeStatus>>& statuses,
    const replication::Member& member) {
  const auto node = statuses.find(member.node);
  if (node == statuses.end() || !node->second.ok()) return nullptr;
  for (const pb::ReplicaStatus& replica : node->second->replicas()) {
    if (replica.replica_id() == member.replica.bytes()) return &replica;
  }
  return nullptr;
}

}  // namespace

void ConversionDriver::Round() {
  absl::StatusOr<std::vector<Work>> works = FindWork();
  if (!works.ok() || stopping_) return;  // the next one looks again
  // The records first, then what the leaders say: a group that was settled after its record was set
  // stays so (PlacementKeeper::PlanOf).
  if (const absl::Status read = ReadParts(*works); !read.ok()) {
    for (Work& work : *works) work.status = read;
  }
  if (stopping_) return;
  const NodeStatuses statuses = Ask(*works);
  std::map<tenancy::ConversionCatalog::Id, History> histories;
  for (Work& work : *works) {
    if (stopping_) return;
    const ContainerRecord& record = work.container.record;
    const tenancy::ConversionCatalog::Id id{record.tenant, record.id};
    History& history = histories[id] = std::move(histories_[id]);
    if (work.status.ok() && !work.unreadable.ok()) {
      work.status = ShowStandstill(work);
      work.status.Update(work.unreadable);
    }
    if (work.status.ok()) work.status = Carry(work, statuses, history);
    if (!work.status.ok() && work.status != history.error) {
      Log(LogLevel::kWarning, "conversion", "a container's conversion waits",
          {{"node", env_.node}, {"container", id.container.ToHex()}, {"error", work.status}});
    }
    history.error = work.status;
  }
  histories_ = std::move(histories);
}

absl::StatusOr<std::vector<ConversionDriver::Work>> ConversionDriver::FindWork() {
  ASSIGN_OR_RETURN(const auto ids, env_.conversions.List());
  std::vector<Work> works;
  for (const tenancy::ConversionCatalog::Id& id : ids) {
    if (stopping_) break;
    auto container = env_.containers.FindById(id.tenant, id.container);
    if (!container.ok() || !*container || !(*container)->record.conversion) continue;
    if (IsCarriedHere((*container)->record))
      works.emplace_back().container = **std::move(container);
  }
  return works;
}

bool ConversionDriver::IsCarriedHere(const ContainerRecord& container) const {
  const auto group = env_.view.FindGroup(container.partitions.front().partition);
  const replication::Member* leader = group ? ClusterView::LeaderOf(group->config) : nullptr;
  return leader != nullptr && leader->node == env_.node;
}

absl::Status ConversionDriver::ReadParts(std::vector<Work>& works) {
  std::map<ContainerId, std::map<PartitionId, Part>> found;
  for (const Work& work : works) found[work.container.record.id];
  if (found.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const auto rows, ListFrom(env_.store.coordination(), kPartitionKeyPrefix));
  Unreadable unreadable;
  for (const coordination::KeyValue& row : rows) {
    const std::optional<PartitionId> partition = PartitionOfKey(kPartitionKeyPrefix, row.key);
    if (!partition) continue;
    absl::StatusOr<PartitionRecord> record = DecodePartitionRecord(row.value);
    if (!record.ok()) {
      const absl::Status status = Annotate(record.status(), row.key);
      const auto owner = ContainerOfPartitionRecord(row.value);
      if (owner) unreadable.owned[*owner] = status;
      if (!owner) unreadable.strays[*partition] = status;
      continue;
    }
    const auto container = found.find(record->container);
    if (container == found.end()) continue;
    Part& part = container->second[*partition];
    part.partition = *partition;
    part.record = *std::move(record);
    part.revision = row.mod_revision;
    if (const auto group = env_.view.FindGroup(*partition)) part.config = group->config;
  }
  Assign(std::move(unreadable), works);
  for (Work& work : works) {
    if (!work.unreadable.ok()) continue;
    const ContainerRecord& record = work.container.record;
    auto parts = OrderParts(record, std::move(found[record.id]));
    work.status = parts.status();
    if (parts.ok()) work.parts = *std::move(parts);
  }
  return absl::OkStatus();
}

void ConversionDriver::Assign(Unreadable unreadable, std::vector<Work>& works) {
  for (Work& work : works) {
    const ContainerRecord& record = work.container.record;
    const auto owned = unreadable.owned.find(record.id);
    if (owned != unreadable.owned.end()) work.unreadable = owned->second;
    for (const tenancy::PartitionRange& range : record.partitions) {
      const auto stray = unreadable.strays.extract(range.partition);
      if (!stray.empty()) work.unreadable = stray.mapped();
    }
  }
  if (unreadable.strays.empty()) return;
  for (Work& work : works) work.stray = unreadable.strays.begin()->second;
}

absl::Status ConversionDriver::ShowStandstill(const Work& work) {
  const ContainerRecord& record = work.container.record;
  const tenancy::ConversionCatalog::Id id{record.tenant, record.id};
  ASSIGN_OR_RETURN(const auto before, env_.conversions.FindProgress(id));
  tenancy::ConversionProgress progress = before.value_or(tenancy::ConversionProgress());
  progress.partitions_total = static_cast<uint32_t>(record.partitions.size());
  progress.estimated_end.reset();
  progress.problem = kUnreadable;
  return env_.conversions.PutProgress(id, progress);
}

absl::StatusOr<ConversionDriver::Parts> ConversionDriver::OrderParts(
    const ContainerRecord& container, std::map<PartitionId, Part> found) {
  for (auto& [partition, part] : found) {
    // No other split begins while there is a conversion. The child may not be in the container's
    // map yet: then what looks like all partitions is not (P7).
    if (part.record.parent) return absl::UnavailableError("a partition is being split");
    part.begun = part.record.redundancy == container.wanted_redundancy();
  }
  Parts parts;
  for (const tenancy::PartitionRange& range : container.partitions) {
    const auto part = found.find(range.partition);
    if (part == found.end()) return absl::UnavailableError("a partition is being removed");
    parts.push_back(std::move(part->second));
  }
  return parts;
}

ConversionDriver::NodeStatuses ConversionDriver::Ask(const std::vector<Work>& works) {
  pb::GetNodeStatusRequest ask;
  std::set<NodeId> nodes;
  for (const Work& work : works) {
    for (const Part& part : work.parts) {
      ask.add_partition_ids(std::string(part.partition.bytes()));
      const replication::Member* leader = ClusterView::LeaderOf(part.config);
      if (leader != nullptr) nodes.insert(leader->node);
      for (const replication::Member& learner : part.config.learners) nodes.insert(learner.node);
    }
  }
  // Without partitions the answer would be of all.
  if (ask.partition_ids().empty()) return {};
  return env_.peers.GetNodeStatuses({nodes.begin(), nodes.end()}, ask, kStatusTimeout);
}

absl::Status ConversionDriver::Carry(Work& work, const NodeStatuses& statuses, History& history) {
  const ContainerRecord& record = work.container.record;
  if (history.generation != record.partition_generation) {
    history.generation = record.partition_generation;
    history.samples.clear();
  }
  Parts& parts = work.parts;
  RETURN_IF_ERROR(JudgeParts(record.wanted_redundancy(), statuses, parts));
  const bool paused = record.conversion->state == Conversion::State::kPaused;
  if (!paused) RETURN_IF_ERROR(BeginParts(work.container, parts));
  MeasureParts(statuses, parts, history);
  const tenancy::ConversionCatalog::Id id{record.tenant, record.id};
  tenancy::ConversionProgress progress = ProgressOf(parts, history);
  if (!work.stray.ok() && progress.problem.empty()) progress.problem = kUnreadable;
  RETURN_IF_ERROR(env_.conversions.PutProgress(id, progress));
  const bool all = std::all_of(parts.begin(), parts.end(), [](const Part& p) { return p.done; });
  if (paused || !all) return absl::OkStatus();
  RETURN_IF_ERROR(work.stray);
  const absl::Status ended = env_.conversions.End(id, record.partition_generation).status();
  // Another change came between: decided anew.
  return absl::IsAborted(ended) || absl::IsNotFound(ended) ? absl::OkStatus() : ended;
}

absl::Status ConversionDriver::JudgeParts(Redundancy wanted, const NodeStatuses& statuses,
                                          Parts& parts) {
  for (Part& part : parts) {
    const replication::Member* leader = ClusterView::LeaderOf(part.config);
    const pb::ReplicaStatus* status = leader == nullptr ? nullptr : FindReplica(statuses, *leader);
    if (status == nullptr || !status->is_serving()) {
      part.problem = "a partition has no leader";
      continue;
    }
    if (!part.begun) continue;
    if (!status->placement_problem().empty()) part.problem = kHeldUp;
    ASSIGN_OR_RETURN(part.done, IsDone(part, *status, wanted));
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> ConversionDriver::IsDone(const Part& part, const pb::ReplicaStatus& leader,
                                              Redundancy wanted) {
  if (leader.settled_redundancy() != static_cast<uint32_t>(wanted)) return false;
  // Another may lead by now, and change what this one has called settled.
  ASSIGN_OR_RETURN(const auto row,
                   GetFrom(env_.store.coordination(), replication::GroupConfigKey(part.partition)));
  if (!row) return absl::AbortedError("a partition has been removed");
  ASSIGN_OR_RETURN(const replication::GroupConfig config,
                   replication::DecodeGroupConfig(row->value));
  return config.epoch.value() == leader.settled_epoch() && config.joint_old.empty() &&
         config.learners.empty();
}

absl::Status ConversionDriver::BeginParts(const tenancy::StoredContainer& container, Parts& parts) {
  const ContainerRecord& record = container.record;
  // What is on the way to where it is not wanted any more turns round at once.
  const bool back = record.conversion->state == Conversion::State::kCancelling;
  const size_t max = back ? parts.size() : env_.options.max_moves;
  auto moving = static_cast<size_t>(std::count_if(
      parts.begin(), parts.end(), [](const Part& part) { return part.begun && !part.done; }));
  for (Part& part : parts) {
    if (moving >= max) break;
    if (part.begun) continue;
    PartitionRecord next = part.record;
    next.redundancy = record.wanted_redundancy();
    const std::string key = PartitionKeyOf(part.partition);
    ASSIGN_OR_RETURN(const bool committed,
                     env_.store.CommitUntold(
                         {{tenancy::CatalogStore::Unchanged(container.row), {key, part.revision}},
                          {{key, EncodePartitionRecord(next)}}}));
    if (!committed) return absl::OkStatus();  // decided anew in the next round
    part.record = std::move(next);
    part.begun = true;
    ++moving;
  }
  return absl::OkStatus();
}

void ConversionDriver::MeasureParts(const NodeStatuses& statuses, Parts& parts, History& history) {
  const std::vector<DiskInPlan> disks = PlacementDisks(env_.view);
  for (Part& part : parts) {
    const replication::Member* leader = ClusterView::LeaderOf(part.config);
    if (leader != nullptr) {
      const pb::ReplicaStatus* status = FindReplica(statuses, *leader);
      if (status != nullptr) history.sizes[part.partition] = status->stored_bytes();
    }
    const auto size = history.sizes.find(part.partition);
    if (size == history.sizes.end()) continue;
    part.bytes_total = size->second;
    part.bytes_done = BytesDone(part, statuses, disks);
  }
}

// What the new replicas of a part have, on average.
uint64_t ConversionDriver::BytesDone(const Part& part, const NodeStatuses& statuses,
                                     const std::vector<DiskInPlan>& disks) {
  if (!part.begun) return 0;
  // A joint configuration comes when its new members have everything.
  if (part.done || !part.config.joint_old.empty()) return part.bytes_total;
  if (part.config.learners.empty()) {
    const auto policy = PolicyOf(*part.record.redundancy);
    const bool there =
        policy && KeepsPolicy({*policy, part.record.region, part.config, {}, {}}, disks);
    return there ? part.bytes_total : 0;
  }
  uint64_t sum = 0;
  for (const replication::Member& learner : part.config.learners) {
    const pb::ReplicaStatus* status = FindReplica(statuses, learner);
    if (status != nullptr) sum += std::min(status->stored_bytes(), part.bytes_total);
  }
  return sum / part.config.learners.size();
}

tenancy::ConversionProgress ConversionDriver::ProgressOf(const Parts& parts,
                                                         History& history) const {
  tenancy::ConversionProgress progress;
  progress.partitions_total = static_cast<uint32_t>(parts.size());
  for (const Part& part : parts) {
    progress.partitions_done += part.done;
    progress.bytes_done += part.bytes_done;
    progress.bytes_total += part.bytes_total;
    if (progress.problem.empty()) progress.problem = part.problem;
  }
  const absl::Duration now = env_.clock.MonotonicNow();
  history.samples.push_back({now, progress.bytes_done});
  while (history.samples.size() > 2 && now - history.samples[1].first >= env_.options.rate_window) {
    history.samples.pop_front();
  }
  const auto& [since, bytes_then] = history.samples.front();
  if (now - since < kShortestSample || progress.bytes_done <= bytes_then) return progress;
  const double rate =
      static_cast<double>(progress.bytes_done - bytes_then) / absl::ToDoubleSeconds(now - since);
  const auto left = static_cast<double>(progress.bytes_total - progress.bytes_done);
  // Whole seconds, so that a progress which goes as estimated is not written anew for nothing.
  progress.estimated_end =
      absl::FromUnixSeconds(absl::ToUnixSeconds(env_.clock.WallNow() + absl::Seconds(left / rate)));
  return progress;
}

}  // namespace meridian::server
