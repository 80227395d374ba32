#include "tests/storage/power_loss_run.h"

#include <algorithm>
#include <utility>

#include "base/crc32c.h"
#include "tests/fakes/fault_env.h"
#include "tests/storage/runs_are_keys.h"

namespace meridian::storage {
namespace {

constexpr uint64_t kRows = 40;

// What the test's state machine does with the entry at an index: one of a few rows gets its value.
std::string RowOf(uint64_t index) { return "row" + std::to_string(index % kRows); }

bool Same(const LogEntry& a, const LogEntry& b) {
  return a.epoch == b.epoch && a.index == b.index && a.command == b.command &&
         a.inline_run == b.inline_run && a.inline_body.view() == b.inline_body.view() &&
         a.chunks == b.chunks;
}

}  // namespace

PowerLossRun::PowerLossRun(uint64_t seed)
    : fault_(seed),
      random_(seed * 6700417),
      key_(crypto::SecretKey::Draw(random_)),
      ciphers_(key_, system_random_),
      sealers_(key_),
      container_(ContainerId::Draw(random_)) {
  for (Partition& partition : partitions_) partition.id = PartitionId::Draw(random_);
}

PowerLossRun::~PowerLossRun() { Close(); }

void PowerLossRun::Close() {
  for (Partition& partition : partitions_) partition.storage.reset();
  store_.reset();
  env_.reset();
  disk_.reset();
}

absl::Status PowerLossRun::Open() {
  disk_ = fault_.Attach();
  env_ = NewFaultEnv(*disk_);
  SeededRandom ids(1);
  DiskStoreOptions options;
  options.cluster = ClusterId::Draw(ids);
  options.node = "east-1a";
  options.strand = &strand_;
  options.clock = &clock_;
  options.random = &system_random_;
  options.file_ciphers = &ciphers_;
  options.record_sealers = &sealers_;
  options.rocks_folder = "/rocks";
  options.rocks_env = env_.get();
  options.memtable_bytes = 64 << 10;
  options.segment_bytes = 256 << 10;
  options.max_record_bytes = 64 << 10;
  options.extent_bytes = 512 << 10;
  options.max_chunk_bytes = 128 << 10;
  options.reserve_bytes = 1 << 20;
  options.ballast_bytes = 64 << 10;
  options.log_cache_bytes = 16 << 10;
  options.maintenance_interval = absl::Hours(1);
  auto store = DiskStore::Open(*disk_, options);
  if (!store.ok()) return store.status();
  store_ = *std::move(store);
  for (Partition& partition : partitions_) {
    if (absl::Status status = OpenPartition(partition); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status PowerLossRun::OpenPartition(Partition& partition) {
  std::optional<ReplicaId> found;
  for (const ReplicaOnDisk& replica : store_->ListReplicas()) {
    if (replica.container != container_) return absl::DataLossError("a replica of nobody's");
    if (replica.partition == partition.id) found = replica.replica;
  }
  if (found && removed_.contains(*found)) return absl::DataLossError("a removed replica is back");
  if (!found && partition.replica) {
    if (!partition.may_be_gone) return absl::DataLossError("a replica is gone");
    partition = {.id = partition.id};
  }
  if (found) {
    // Of a cut within CreateReplica, if it was not acknowledged.
    if (partition.replica && partition.replica != found) {
      return absl::DataLossError("the replica is another one");
    }
    partition.replica = found;
    partition.may_be_gone = false;
  } else if (absl::Status status = Create(partition); !status.ok()) {
    return status;
  }
  auto storage = store_->OpenReplica(*partition.replica);
  if (!storage.ok()) return storage.status();
  partition.storage = *std::move(storage);
  return absl::OkStatus();
}

absl::Status PowerLossRun::Create(Partition& partition) {
  const ReplicaId replica = ReplicaId::Draw(random_);
  absl::Status status = store_->CreateReplica(
      {.replica = replica, .partition = partition.id, .container = container_},
      /*installing=*/false);
  if (status.ok()) partition.replica = replica;
  return status;
}

std::string PowerLossRun::Live() {
  // One in four is cut while it opens, recovers and is checked.
  const bool early = random_.Uniform(4) == 0;
  if (early) fault_.CutPowerAfter(1 + random_.Uniform(60));
  const absl::Status opened = Open();
  std::string lost;
  if (!opened.ok()) {
    if (!fault_.power_is_off()) lost = "the disk does not open: " + opened.ToString();
  } else {
    lost = Check();
    // A cut within the check makes every answer an error.
    if (fault_.power_is_off()) lost.clear();
    if (lost.empty()) {
      if (!early) fault_.CutPowerAfter(1 + random_.Uniform(300));
      lost = Work();
    }
  }
  ++totals_.cuts;
  totals_.cuts_while_opening += !opened.ok();
  Close();
  return lost;
}

std::string PowerLossRun::Check() {
  for (Partition& partition : partitions_) {
    at_ = &partition;
    if (std::string lost = CheckLog(); !lost.empty()) return lost;
    if (std::string lost = CheckChunks(); !lost.empty()) return lost;
    const LogIndex applied = partition.storage->recovered().applied_index;
    partition.applied = applied.value();
    if (partition.applied > partition.committed) return "more is applied than was ever committed";
    if (std::string lost = CheckRows(applied); !lost.empty()) return lost;
    Apply(partition.committed);
    if (std::string lost = CheckRows(LogIndex(partition.committed)); !lost.empty()) return lost;
  }
  return "";
}

std::string PowerLossRun::CheckLog() {
  if (at_->storage->recovered().hard_state.promised < at_->acknowledged.promised) {
    return "a promise was lowered";
  }
  at_->possible.insert(at_->possible.begin(), at_->acknowledged);
  // The latest first: what was not acknowledged may be there all the same, in order.
  for (auto state = at_->possible.rbegin(); state != at_->possible.rend(); ++state) {
    if (!Holds(*state)) continue;
    const State found = *state;
    at_->acknowledged = found;
    at_->possible.clear();
    return "";
  }
  return "the log is none that the requests could have left";
}

bool PowerLossRun::Holds(const State& state) {
  const RecoveredReplica& recovered = at_->storage->recovered();
  const uint64_t base = recovered.base_index.value();
  if (recovered.hard_state.promised != state.promised) return false;
  if (base + recovered.epochs.size() != state.log.size()) return false;
  uint64_t next = base + 1;
  while (next <= state.log.size()) {
    const auto entries =
        at_->storage->ReadLog(LogIndex(next), LogIndex(state.log.size()), 64 << 10);
    if (!entries.ok() || entries->empty()) return false;
    for (const LogEntry& entry : *entries) {
      if (recovered.epochs[next - base - 1] != entry.epoch) return false;
      if (!Same(entry, *state.log[next++ - 1])) return false;
    }
  }
  return true;
}

std::string PowerLossRun::CheckChunks() {
  for (const auto& [chunk, bytes] : chunks_) {
    const auto read = at_->storage->ReadChunk(chunk, 0, bytes.size());
    if (!read.ok()) return "a chunk is lost: " + read.status().ToString();
    if (read->view() != bytes) return "a chunk has other bytes";
  }
  return "";
}

std::string PowerLossRun::CheckRows(LogIndex applied) {
  const auto view = at_->storage->NewView();
  for (uint64_t row = 0; row < kRows; ++row) {
    std::optional<std::string> expected;
    for (uint64_t i = applied.value(); i > 0 && !expected; --i) {
      if (i % kRows == row) expected = at_->acknowledged.log[i - 1]->command;
    }
    const auto found = view->Get("row" + std::to_string(row));
    if (!found.ok()) return "a row cannot be read: " + found.status().ToString();
    if (*found != expected) return "a row is not as the entries applied left it";
  }
  return "";
}

std::string PowerLossRun::Work() {
  while (!fault_.power_is_off()) {
    if (absl::Status health = store_->health(); !health.ok() && !fault_.power_is_off()) {
      return "the disk failed before its power did: " + health.ToString();
    }
    at_ = &partitions_[random_.Uniform(4) == 0 ? 1 : 0];
    const uint64_t choice = random_.Uniform(100);
    if (choice < 2) {
      Replace(partitions_[1]);
    } else if (choice < 55) {
      Persist();
    } else if (choice < 72) {
      WriteChunk();
    } else if (choice < 86) {
      const uint64_t last = at_->acknowledged.log.size();
      Apply(std::min(last, at_->applied + 1 + random_.Uniform(5)));
    } else if (choice < 91) {
      Trim();
    } else if (choice < 95) {
      DropOldRun();
    } else {
      Checkpoint();
    }
  }
  return "";
}

// One to four requests, not waiting for one another.
void PowerLossRun::Persist() {
  const uint64_t count = 1 + random_.Uniform(4);
  State state = at_->acknowledged;
  std::vector<State> after;  // each whole request
  std::vector<size_t> steps;
  uint64_t answered = 0;
  uint64_t good = 0;
  for (uint64_t i = 0; i < count; ++i) {
    PersistRequest request = NextRequest(state);
    after.push_back(state);
    steps.push_back(at_->possible.size());
    at_->storage->Persist(std::move(request), [&](const absl::Status& status) {
      ++answered;
      good += status.ok() && good + 1 == answered;
    });
  }
  strand_.RunUntil([&] { return answered == count; });
  totals_.persists += static_cast<int>(good);
  totals_.unanswered_persists += static_cast<int>(count - good);
  if (good > 0) {
    at_->acknowledged = after[good - 1];
    at_->possible.erase(at_->possible.begin(),
                        at_->possible.begin() + static_cast<ptrdiff_t>(steps[good - 1]));
  }
  if (good < count) return;
  for (uint64_t i = at_->committed; i < at_->acknowledged.log.size(); ++i) {
    const LogEntry& entry = *at_->acknowledged.log[i];
    if (entry.inline_body.empty()) continue;
    chunks_[{.run = entry.inline_run, .number = 0}] = std::string(entry.inline_body.view());
  }
}

// A promise, a truncation and entries take effect one after the other: of a request that was not
// answered, any first part may be there.
PersistRequest PowerLossRun::NextRequest(State& state) {
  PersistRequest request;
  if (random_.Uniform(4) == 0 || state.promised == Epoch()) {
    state.promised = state.promised + 1;
    request.hard_state = HardState{.promised = state.promised};
    at_->possible.push_back(state);
  }
  if (state.log.size() > at_->committed && random_.Uniform(6) == 0) {
    const uint64_t from = at_->committed + 1 + random_.Uniform(state.log.size() - at_->committed);
    request.truncate_from = LogIndex(from);
    for (uint64_t i = from; i <= state.log.size(); ++i) {
      chunks_.erase({.run = state.log[i - 1]->inline_run, .number = 0});
    }
    state.log.resize(from - 1);
    at_->possible.push_back(state);
    ++totals_.truncations;
  }
  const uint64_t entries = random_.Uniform(4);
  for (uint64_t i = 0; i < entries; ++i) {
    request.entries.push_back(NextEntry(state));
    state.log.push_back(std::make_shared<LogEntry>(request.entries.back()));
    at_->possible.push_back(state);
  }
  return request;
}

LogEntry PowerLossRun::NextEntry(const State& state) {
  LogEntry entry;
  entry.epoch = state.promised;
  entry.index = LogIndex(state.log.size() + 1);
  entry.timestamp = Timestamp(1000 + entry.index.value());
  entry.command = "command " + std::to_string(++serial_) + RandomBytes(600);
  if (random_.Uniform(3) == 0) {
    const std::string body = RandomBytes(12 << 10);
    entry.inline_run = RunId::Draw(random_);
    entry.inline_crc32c = Crc32c(body);
    entry.inline_body = Buffer::FromString(body);
  }
  return entry;
}

void PowerLossRun::WriteChunk() {
  const ChunkId chunk{.run = RunId::Draw(random_),
                      .number = static_cast<uint32_t>(random_.Uniform(3))};
  const std::string bytes = RandomBytes(100 << 10);
  std::optional<absl::Status> answer;
  at_->storage->WriteChunk(chunk, Buffer::FromString(bytes), Crc32c(bytes),
                           [&](absl::Status status) { answer = std::move(status); });
  strand_.RunUntil([&] { return answer.has_value(); });
  if (!answer->ok()) return;
  chunks_[chunk] = bytes;
  ++totals_.chunks;
}

void PowerLossRun::Apply(uint64_t up_to) {
  while (at_->applied < up_to) {
    const LogEntry& entry = *at_->acknowledged.log[at_->applied];
    KvBatch batch;
    batch.Put(RowOf(entry.index.value()), entry.command);
    if (!entry.inline_body.empty()) batch.Put(entry.inline_run.ToHex(), "");
    // What is handed over counts as committed: it may be there after the cut.
    at_->committed = std::max(at_->committed, entry.index.value());
    if (!at_->storage->Apply(batch, entry.index, entry.timestamp).ok()) return;
    ++at_->applied;
    ++totals_.applied;
  }
}

void PowerLossRun::Trim() {
  // Far enough behind that there is a log to compare.
  if (at_->applied < 20) return;
  // A failure is the power cut's, which the loop sees.
  if (!at_->storage->TrimTo(LogIndex(at_->applied - 20)).ok()) return;
  ++totals_.trims;
}

// What it wrote stays: the other one may need it.
void PowerLossRun::Replace(Partition& partition) {
  const ReplicaId old = *partition.replica;
  partition.storage.reset();
  partition.may_be_gone = true;
  // A failure is the power cut's, which the loop sees.
  if (!store_->RemoveReplica(old, RunsAreKeys()).ok()) return;
  removed_.insert(old);
  partition = {.id = partition.id};
  if (OpenPartition(partition).ok()) ++totals_.replacements;
}

void PowerLossRun::DropOldRun() {
  // The body of an entry that may still be truncated or read from the log is kept.
  std::set<RunId> in_log;
  for (const Partition& partition : partitions_) {
    for (const auto& entry : partition.acknowledged.log) in_log.insert(entry->inline_run);
  }
  std::vector<ChunkId> droppable;
  for (const auto& [chunk, bytes] : chunks_) {
    if (in_log.count(chunk.run) == 0) droppable.push_back(chunk);
  }
  if (droppable.empty()) return;
  const ChunkId chosen = droppable[random_.Uniform(droppable.size())];
  chunks_.erase(chosen);
  // A failure is the power cut's, which the loop sees.
  at_->storage->DropRun(chosen.run).IgnoreError();
}

void PowerLossRun::Checkpoint() {
  if (store_->Checkpoint().ok()) ++totals_.checkpoints;
}

std::string PowerLossRun::RandomBytes(size_t max_size) {
  std::string bytes(1 + random_.Uniform(max_size), '\0');
  random_.Fill({reinterpret_cast<uint8_t*>(bytes.data()), bytes.size()});
  return bytes;
}

}  // namespace meridian::storage
