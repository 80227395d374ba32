#include "tests/replication/core_cluster.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace meridian::replication {

absl::StatusOr<std::vector<storage::LogEntry>> FakeDisk::ReadLog(LogIndex first, LogIndex last,
                                                                 size_t max_bytes) const {
  if (first.value() <= base.value()) return absl::OutOfRangeError("trimmed");
  if (slow && reading.insert(first).second) return ReadUnderWay();
  reading.erase(first);
  std::vector<storage::LogEntry> out;
  size_t bytes = 0;
  for (LogIndex i = first; i <= last && i - base <= log.size(); ++i) {
    bytes += EntryBytes(log[i - base - 1]);
    if (!out.empty() && bytes > max_bytes) break;
    out.push_back(log[i - base - 1]);
  }
  return out;
}

void FakeDisk::Write(const storage::PersistRequest& request) {
  if (request.hard_state) promised = std::max(promised, request.hard_state->promised);
  if (request.truncate_from) log.resize(*request.truncate_from - base - 1);
  for (const auto& entry : request.entries) {
    CHECK_INVARIANT(entry.index == base + log.size() + 1, "the disk's log has no gaps");
    log.push_back(entry);
  }
}

void FakeDisk::Trim(LogIndex to) {
  base_epoch = log[to - base - 1].epoch;
  log.erase(log.begin(), log.begin() + (to - base));
  base = to;
}

std::set<ReplicaId> CoreCluster::Named() const {
  std::set<ReplicaId> named;
  for (const auto* set : {&stored.members, &stored.joint_old, &stored.learners}) {
    for (const Member& member : *set) named.insert(member.replica);
  }
  return named;
}

void CoreCluster::Start(ReplicaId id) {
  Node& node = nodes[id];
  if (node.core) return;
  storage::RecoveredReplica recovered;
  recovered.hard_state.promised = node.disk.promised;
  recovered.base_index = node.disk.base;
  recovered.base_epoch = node.disk.base_epoch;
  for (const auto& entry : node.disk.log) {
    recovered.epochs.push_back(entry.epoch);
    recovered.last_timestamp = entry.timestamp;
  }
  recovered.applied_index = node.disk.applied;
  recovered.applied_timestamp = node.disk.applied_timestamp;
  recovered.installing = node.disk.installing;
  node.core = std::make_unique<ReplicaCore>(id, SessionOf(++sessions_), stored, recovered, options,
                                            node.disk, random_, now);
}

void CoreCluster::Crash(ReplicaId id) {
  Node& node = nodes[id];
  node.core.reset();
  node.disk.queue.clear();
  node.disk.reading.clear();
  node.incomplete.clear();
  node.swap.reset();
  std::erase_if(in_flight, [&](const auto& m) { return m.to == id; });
}

void CoreCluster::Isolate(int a) {
  for (auto& [id, node] : nodes) {
    cut.insert({IdOf(a), id});
    cut.insert({id, IdOf(a)});
  }
}

void CoreCluster::Settle() {
  for (int round = 0; round < 10000; ++round) {
    bool moved = false;
    for (auto& [id, node] : nodes) moved |= Pump(id, node);
    if (!in_flight.empty()) {
      size_t at = pick ? pick(in_flight.size()) : 0;
      Delivery delivery = std::move(in_flight[at]);
      in_flight.erase(in_flight.begin() + at);
      moved = true;
      Node& to = nodes[delivery.to];
      if (to.core && !cut.contains({delivery.from, delivery.to}) &&
          (!filter || filter(delivery.from, delivery.to, delivery.message))) {
        to.core->OnMessage(delivery.from, std::move(delivery.message), now);
      }
    }
    if (!moved) return;
  }
  CHECK_INVARIANT(false, "the cluster does not settle");
}

void CoreCluster::Run(absl::Duration duration) {
  absl::Duration end = now + duration;
  while (now < end) {
    now += absl::Milliseconds(10);
    for (auto& [id, node] : nodes) {
      if (node.core && node.core->NextDeadline() <= now) node.core->Tick(now);
    }
    Settle();
    if (serve_snapshots) ServeSnapshots();
  }
}

int CoreCluster::Leader() {
  int leader = 0;
  Epoch epoch;
  for (auto& [id, node] : nodes) {
    if (node.core && node.core->is_serving() && node.core->promised() > epoch) {
      epoch = node.core->promised();
      leader = static_cast<uint8_t>(id.bytes()[15]);
    }
  }
  return leader;
}

absl::StatusOr<LogPosition> CoreCluster::Propose(int n, std::string command, Timestamp wall) {
  storage::LogEntry entry;
  entry.command = std::move(command);
  return core(n).Propose(std::move(entry), wall);
}

void CoreCluster::TransferSnapshot(ReplicaId from, ReplicaId to, bool cut_off) {
  Node& sender = nodes.at(from);
  Node& receiver = nodes.at(to);
  if (!sender.core) return;
  std::optional<LogPosition> last = sender.core->SnapshotPosition();
  bool heard = receiver.core && receiver.core->leader() == from &&
               receiver.core->promised() == sender.core->promised();
  if (!last || !heard) return sender.core->OnSnapshotEnded(to, std::nullopt);
  sender.core->OnSnapshotStarted(to, last->index);
  ReplicaCore::SnapshotVerdict verdict = receiver.core->JudgeSnapshot(*last);
  if (verdict != ReplicaCore::SnapshotVerdict::kInstall) {
    bool present = verdict == ReplicaCore::SnapshotVerdict::kPresent;
    return sender.core->OnSnapshotEnded(to, present ? std::optional(last->index) : std::nullopt);
  }
  while (!receiver.disk.queue.empty()) CompleteOneWrite(receiver);
  receiver.core->BeginInstall();
  receiver.disk.installing = true;
  receiver.disk.log.clear();
  receiver.disk.base = receiver.disk.applied = LogIndex(0);
  receiver.disk.base_epoch = Epoch(0);
  receiver.disk.applied_timestamp = Timestamp(0);
  if (cut_off) {
    Crash(to);
    return sender.core->OnSnapshotEnded(to, std::nullopt);
  }
  receiver.disk.installing = false;
  receiver.disk.base = receiver.disk.applied = last->index;
  receiver.disk.base_epoch = last->epoch;
  receiver.disk.applied_timestamp = sender.disk.applied_timestamp;
  receiver.core->FinishInstall(*last, sender.disk.applied_timestamp, now);
  sender.core->OnSnapshotEnded(to, last->index);
}

void CoreCluster::ServeSnapshots() {
  for (auto& [id, node] : nodes) {
    for (const ReplicaId& peer : std::exchange(node.need_snapshot, {})) {
      TransferSnapshot(id, peer, false);
    }
  }
}

void CoreCluster::Recover(ReplicaId survivor) {
  for (const auto* set : {&stored.members, &stored.joint_old, &stored.learners}) {
    for (const Member& member : *set) {
      if (member.replica != survivor) continue;
      stored = RecoveredConfig(stored, member);
      const LogIndex last = nodes.at(survivor).core->log().durable_index();
      applied_.erase(applied_.upper_bound(last), applied_.end());
      return;
    }
  }
  CHECK_INVARIANT(false, "the survivor is of the group");
}

bool CoreCluster::Pump(ReplicaId id, Node& node) {
  if (!node.core) return false;
  bool moved = false;
  if (!node.hold_disk && !node.disk.queue.empty()) {
    CompleteOneWrite(node);
    moved = true;
  }
  if (!node.hold_chunks) {
    for (const auto& entry : std::exchange(node.incomplete, {})) {
      node.core->OnComplete(entry.position);
    }
  }
  if (!node.disk.reading.empty()) node.core->OnLogRead(now);
  CoreOutput out = node.core->TakeOutput(now);
  node.core->CheckInvariants();
  CHECK_INVARIANT(out.failure.ok(), "the fake disk does not fail");
  for (auto& message : out.messages) {
    in_flight.push_back({id, message.to, std::move(message.message)});
  }
  if (out.persist) node.disk.queue.push_back(*std::move(out.persist));
  for (auto& entry : out.incomplete) node.incomplete.push_back(std::move(entry));
  for (auto& read : out.reads) node.reads.push_back(read);
  for (auto& peer : out.need_snapshot) node.need_snapshot.push_back(peer);
  node.leadership_lost += out.leadership_lost;
  while (node.disk.applied < out.apply_to && Apply(node)) {
  }
  if (out.read_config && store_up && !node.cut_from_store) node.core->OnConfig(stored, now);
  if (out.swap) node.swap = out.swap;
  if (node.swap && store_up && !node.cut_from_store) Swap(node);
  return moved || !out.messages.empty() || out.persist || out.swap || out.read_config;
}

void CoreCluster::CompleteOneWrite(Node& node) {
  CoreOutput::Persist persist = std::move(node.disk.queue.front());
  node.disk.queue.pop_front();
  node.disk.Write(persist.request);
  node.core->OnPersisted(persist.id, now);
}

bool CoreCluster::Apply(Node& node) {
  LogIndex next = node.disk.applied + 1;
  auto entries = node.core->ReadLog(next, next, 1);
  if (IsReadUnderWay(entries.status())) return false;
  CHECK_INVARIANT(entries.ok(), "an entry to apply can be read");
  // No two replicas ever apply different entries at one index (I3, I5).
  auto [it, fresh] = applied_.emplace(next, entries->front());
  CHECK_INVARIANT(fresh || (it->second.epoch == entries->front().epoch &&
                            it->second.command == entries->front().command),
                  "replicas apply the same entries");
  CHECK_INVARIANT(entries->front().timestamp > node.disk.applied_timestamp,
                  "timestamps are strictly monotone along the log (P14)");
  if (!entries->front().command.empty()) node.applied.push_back(entries->front().command);
  node.disk.applied = next;
  node.disk.applied_timestamp = entries->front().timestamp;
  node.core->OnApplied(next, entries->front().timestamp);
  return true;
}

void CoreCluster::Swap(Node& node) {
  GroupConfig next = *std::exchange(node.swap, std::nullopt);
  if (next.epoch == stored.epoch + 1 && (!allow_swap || allow_swap(next))) stored = next;
  if (!hide_swap_outcome) node.core->OnConfig(stored, now);
}

}  // namespace meridian::replication
