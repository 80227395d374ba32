#include "tests/storage/power_loss_run.h"

#include <algorithm>
#include <set>
#include <utility>

#include "base/crc32c.h"
#include "tests/fakes/fault_env.h"

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
      sealers_(key_) {}

PowerLossRun::~PowerLossRun() { Close(); }

void PowerLossRun::Close() {
  storage_.reset();
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
  options.log_cache_bytes = 16 << 10;
  options.maintenance_interval = absl::Hours(1);
  auto store = DiskStore::Open(*disk_, options);
  if (!store.ok()) return store.status();
  store_ = *std::move(store);
  if (store_->ListReplicas().empty()) {
    const ReplicaOnDisk made{.replica = ReplicaId::Draw(random_),
                             .partition = PartitionId::Draw(random_),
                             .container = ContainerId::Draw(random_)};
    if (replica_) return absl::DataLossError("the replica is gone");
    if (absl::Status status = store_->CreateReplica(made, /*installing=*/false); !status.ok())
      return status;
    replica_ = made;
  } else {
    // Of a cut within CreateReplica, if it was not acknowledged.
    if (replica_ && store_->ListReplicas()[0] != *replica_) {
      return absl::DataLossError("the replica is another one");
    }
    replica_ = store_->ListReplicas()[0];
  }
  auto storage = store_->OpenReplica(replica_->replica);
  if (!storage.ok()) return storage.status();
  storage_ = *std::move(storage);
  return absl::OkStatus();
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
  const RecoveredReplica& recovered = storage_->recovered();
  if (std::string lost = CheckLog(); !lost.empty()) return lost;
  if (std::string lost = CheckChunks(); !lost.empty()) return lost;
  applied_ = recovered.applied_index.value();
  if (applied_ > committed_) return "more is applied than was ever committed";
  if (std::string lost = CheckRows(recovered.applied_index); !lost.empty()) return lost;
  Apply(committed_);
  return CheckRows(LogIndex(committed_));
}

std::string PowerLossRun::CheckLog() {
  if (storage_->recovered().hard_state.promised < acknowledged_.promised) {
    return "a promise was lowered";
  }
  possible_.insert(possible_.begin(), acknowledged_);
  // The latest first: what was not acknowledged may be there all the same, in order.
  for (auto state = possible_.rbegin(); state != possible_.rend(); ++state) {
    if (!Holds(*state)) continue;
    const State found = *state;
    acknowledged_ = found;
    possible_.clear();
    return "";
  }
  return "the log is none that the requests could have left";
}

bool PowerLossRun::Holds(const State& state) {
  const RecoveredReplica& recovered = storage_->recovered();
  const uint64_t base = recovered.base_index.value();
  if (recovered.hard_state.promised != state.promised) return false;
  if (base + recovered.epochs.size() != state.log.size()) return false;
  uint64_t next = base + 1;
  while (next <= state.log.size()) {
    const auto entries = storage_->ReadLog(LogIndex(next), LogIndex(state.log.size()), 64 << 10);
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
    const auto read = storage_->ReadChunk(chunk, 0, bytes.size());
    if (!read.ok()) return "a chunk is lost: " + read.status().ToString();
    if (read->view() != bytes) return "a chunk has other bytes";
  }
  return "";
}

std::string PowerLossRun::CheckRows(LogIndex applied) {
  const auto view = storage_->NewView();
  for (uint64_t row = 0; row < kRows; ++row) {
    std::optional<std::string> expected;
    for (uint64_t i = applied.value(); i > 0 && !expected; --i) {
      if (i % kRows == row) expected = acknowledged_.log[i - 1]->command;
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
    const uint64_t choice = random_.Uniform(100);
    if (choice < 55) {
      Persist();
    } else if (choice < 72) {
      WriteChunk();
    } else if (choice < 86) {
      const uint64_t last = acknowledged_.log.size();
      Apply(std::min(last, applied_ + 1 + random_.Uniform(5)));
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
  State state = acknowledged_;
  std::vector<State> after;  // each whole request
  std::vector<size_t> steps;
  uint64_t answered = 0;
  uint64_t good = 0;
  for (uint64_t i = 0; i < count; ++i) {
    PersistRequest request = NextRequest(state);
    after.push_back(state);
    steps.push_back(possible_.size());
    storage_->Persist(std::move(request), [&](const absl::Status& status) {
      ++answered;
      good += status.ok() && good + 1 == answered;
    });
  }
  strand_.RunUntil([&] { return answered == count; });
  totals_.persists += static_cast<int>(good);
  totals_.unanswered_persists += static_cast<int>(count - good);
  if (good > 0) {
    acknowledged_ = after[good - 1];
    possible_.erase(possible_.begin(), possible_.begin() + static_cast<ptrdiff_t>(steps[good - 1]));
  }
  if (good < count) return;
  for (uint64_t i = committed_; i < acknowledged_.log.size(); ++i) {
    const LogEntry& entry = *acknowledged_.log[i];
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
    possible_.push_back(state);
  }
  if (state.log.size() > committed_ && random_.Uniform(6) == 0) {
    const uint64_t from = committed_ + 1 + random_.Uniform(state.log.size() - committed_);
    request.truncate_from = LogIndex(from);
    for (uint64_t i = from; i <= state.log.size(); ++i) {
      chunks_.erase({.run = state.log[i - 1]->inline_run, .number = 0});
    }
    state.log.resize(from - 1);
    possible_.push_back(state);
    ++totals_.truncations;
  }
  const uint64_t entries = random_.Uniform(4);
  for (uint64_t i = 0; i < entries; ++i) {
    request.entries.push_back(NextEntry(state));
    state.log.push_back(std::make_shared<LogEntry>(request.entries.back()));
    possible_.push_back(state);
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
  storage_->WriteChunk(chunk, Buffer::FromString(bytes), Crc32c(bytes),
                       [&](absl::Status status) { answer = std::move(status); });
  strand_.RunUntil([&] { return answer.has_value(); });
  if (!answer->ok()) return;
  chunks_[chunk] = bytes;
  ++totals_.chunks;
}

void PowerLossRun::Apply(uint64_t up_to) {
  while (applied_ < up_to) {
    const LogEntry& entry = *acknowledged_.log[applied_];
    KvBatch batch;
    batch.Put(RowOf(entry.index.value()), entry.command);
    // What is handed over counts as committed: it may be there after the cut.
    committed_ = std::max(committed_, entry.index.value());
    if (!storage_->Apply(batch, entry.index, entry.timestamp).ok()) return;
    ++applied_;
    ++totals_.applied;
  }
}

void PowerLossRun::Trim() {
  // Far enough behind that there is a log to compare.
  if (applied_ < 20) return;
  // A failure is the power cut's, which the loop sees.
  if (!storage_->TrimTo(LogIndex(applied_ - 20)).ok()) return;
  ++totals_.trims;
}

void PowerLossRun::DropOldRun() {
  // The body of an entry that may still be truncated or read from the log is kept.
  std::set<RunId> in_log;
  for (const auto& entry : acknowledged_.log) in_log.insert(entry->inline_run);
  std::vector<ChunkId> droppable;
  for (const auto& [chunk, bytes] : chunks_) {
    if (in_log.count(chunk.run) == 0) droppable.push_back(chunk);
  }
  if (droppable.empty()) return;
  const ChunkId chosen = droppable[random_.Uniform(droppable.size())];
  chunks_.erase(chosen);
  // A failure is the power cut's, which the loop sees.
  storage_->DropRun(chosen.run).IgnoreError();
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
