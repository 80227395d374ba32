// Random operations against a model of what a replica's disk must hold, with a crash (destruction
// without a flush) at random points. Defends I1, I4, I5 on one disk, and P2 through recycling.
#include <algorithm>
#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "tests/storage/store/disk_store_harness.h"

namespace meridian::storage {
namespace {

constexpr size_t kKeys = 7;

struct ModelEntry {
  uint64_t epoch = 0;
  std::string command;
  RunId run;
  std::string body;
};

class Checker {
 public:
  explicit Checker(uint64_t seed) : random_(seed) { harness_.Open(); }

  void Run(int steps) {
    for (int i = 0; i < steps && !testing::Test::HasFatalFailure(); ++i) Step();
    Crash();
    CheckAll();
  }

 private:
  void Step() {
    const uint64_t dice = random_.Uniform(100);
    if (dice < 35) return Append();
    if (dice < 42) return TruncateAndAppend();
    if (dice < 46) return Promise();
    if (dice < 62) return Apply();
    if (dice < 68) return Trim();
    if (dice < 80) return WriteRun();
    if (dice < 84) return DropRun();
    if (dice < 87) return Repair();
    if (dice < 91) return ReadSomething();
    if (dice < 95) return Checkpoint();
    Crash();
  }

  uint64_t last() const { return base_ + log_.size(); }
  const ModelEntry& at(uint64_t index) const { return log_.at(index - base_ - 1); }

  ModelEntry Draw() {
    ModelEntry entry;
    entry.epoch = epoch_;
    entry.command =
        std::string(random_.Uniform(3000), static_cast<char>('a' + random_.Uniform(26)));
    if (random_.Uniform(2) == 0) {
      entry.run = RunId::Draw(random_);
      entry.body = Bytes(1 + random_.Uniform(12000));
    }
    return entry;
  }
  std::string Bytes(size_t size) {
    std::string bytes(size, '\0');
    random_.Fill({reinterpret_cast<uint8_t*>(bytes.data()), bytes.size()});
    return bytes;
  }
  static LogEntry ToLog(const ModelEntry& entry, uint64_t index) {
    LogEntry log = DiskStoreHarness::Entry(entry.epoch, index, entry.command);
    if (!entry.body.empty()) log = DiskStoreHarness::WithBody(log, entry.run, entry.body);
    return log;
  }
  std::vector<ModelEntry> DrawSome() {
    std::vector<ModelEntry> entries(1 + random_.Uniform(4));
    for (ModelEntry& entry : entries) entry = Draw();
    return entries;
  }
  PersistRequest Request(const std::vector<ModelEntry>& entries, uint64_t first) {
    PersistRequest request;
    for (size_t i = 0; i < entries.size(); ++i) {
      request.entries.push_back(ToLog(entries[i], first + i));
    }
    return request;
  }

  void Append() {
    const std::vector<ModelEntry> entries = DrawSome();
    ASSERT_TRUE(harness_.Persist(Request(entries, last() + 1)).ok());
    log_.insert(log_.end(), entries.begin(), entries.end());
  }

  void TruncateAndAppend() {
    if (last() == applied_) return;
    const uint64_t from = applied_ + 1 + random_.Uniform(last() - applied_);
    ++epoch_;
    const std::vector<ModelEntry> entries = DrawSome();
    PersistRequest request = Request(entries, from);
    request.truncate_from = LogIndex(from);
    ASSERT_TRUE(harness_.Persist(std::move(request)).ok());
    for (uint64_t index = from; index <= last(); ++index) {
      if (!at(index).body.empty()) truncated_.push_back(at(index).run);
    }
    log_.resize(from - base_ - 1);
    log_.insert(log_.end(), entries.begin(), entries.end());
  }

  void Promise() {
    promised_ += 1 + random_.Uniform(3);
    ASSERT_TRUE(harness_
                    .Persist({.hard_state = HardState{Epoch(promised_)},
                              .truncate_from = std::nullopt,
                              .entries = {}})
                    .ok());
  }

  void ApplyTo(uint64_t index) {
    while (applied_ < index) {
      ++applied_;
      KvBatch batch;
      batch.Put(absl::StrCat("k", applied_ % kKeys), absl::StrCat(applied_));
      ASSERT_TRUE(
          harness_.storage().Apply(batch, LogIndex(applied_), Timestamp(1000 + applied_)).ok());
    }
  }
  void Apply() { ApplyTo(std::min(last(), applied_ + random_.Uniform(6))); }

  void Trim() {
    trim_allowed_ = std::max(trim_allowed_, random_.Uniform(applied_ + 1));
    ASSERT_TRUE(harness_.storage().TrimTo(LogIndex(trim_allowed_)).ok());
    FollowBase();
  }

  void WriteRun() {
    const RunId run = RunId::Draw(random_);
    std::vector<std::string>& chunks = runs_[run];
    const uint64_t count = 1 + random_.Uniform(4);
    for (uint32_t i = 0; i < count; ++i) {
      chunks.push_back(Bytes(1 + random_.Uniform(40000)));
      ASSERT_TRUE(harness_.WriteChunk({.run = run, .number = i}, chunks.back()).ok());
    }
  }
  void DropRun() {
    if (runs_.empty()) return;
    auto run = runs_.begin();
    std::advance(run, random_.Uniform(runs_.size()));
    ASSERT_TRUE(harness_.storage().DropRun(run->first).ok());
    dropped_[run->first] = run->second;
    runs_.erase(run);
  }
  void Repair() {
    if (runs_.empty()) return;
    auto run = runs_.begin();
    std::advance(run, random_.Uniform(runs_.size()));
    ASSERT_TRUE(harness_.RepairChunk({.run = run->first, .number = 0}, run->second[0]).ok());
  }

  void Checkpoint() {
    const absl::Status status = harness_.store().Checkpoint();
    ASSERT_TRUE(status.ok()) << status;
    FollowBase();
  }
  void FollowBase() {
    const uint64_t base = harness_.storage().base_index().value();
    // After a crash that undid a trim, the disk's log begins before the model's.
    if (base <= base_) return;
    ASSERT_LE(base, trim_allowed_);
    KeepBodies(base);
    log_.erase(log_.begin(), log_.begin() + static_cast<ptrdiff_t>(base - base_));
    base_ = base;
  }
  // Bodies of trimmed entries are ordinary chunks.
  void KeepBodies(uint64_t base) {
    for (uint64_t index = base_ + 1; index <= base; ++index) {
      if (!at(index).body.empty()) runs_[at(index).run] = {at(index).body};
    }
  }

  void Crash() {
    // Appends in flight: any prefix of them may be there afterwards.
    std::vector<ModelEntry> flying;
    for (uint64_t n = random_.Uniform(4); n > 0; --n) {
      const std::vector<ModelEntry> entries = DrawSome();
      harness_.storage().Persist(Request(entries, last() + flying.size() + 1),
                                 [](const absl::Status&) {});
      flying.insert(flying.end(), entries.begin(), entries.end());
    }
    harness_.Crash();
    if (testing::Test::HasFatalFailure()) return;
    const RecoveredReplica& recovered = harness_.storage().recovered();
    EXPECT_EQ(recovered.hard_state.promised, Epoch(promised_));
    const uint64_t recovered_last = recovered.base_index.value() + recovered.epochs.size();
    ASSERT_GE(recovered_last, last());
    ASSERT_LE(recovered_last, last() + flying.size());
    flying.resize(recovered_last - last());
    log_.insert(log_.end(), flying.begin(), flying.end());
    CheckRecovered(recovered);
  }

  void CheckRecovered(const RecoveredReplica& recovered) {
    FollowBase();
    EXPECT_FALSE(recovered.installing);
    for (uint64_t index = base_ + 1; index <= last(); ++index) {
      EXPECT_EQ(recovered.epochs.at(index - recovered.base_index.value() - 1),
                Epoch(at(index).epoch));
    }
    const uint64_t applied = recovered.applied_index.value();
    ASSERT_LE(applied, applied_);
    ASSERT_GE(applied, recovered.base_index.value());
    CheckState(applied);
    const uint64_t target = applied_;
    applied_ = applied;
    ApplyTo(target);
    trim_allowed_ = base_;
    ReDrop();
  }
  // Drops that no flush has covered may be undone, whole.
  void ReDrop() {
    for (const auto& [run, chunks] : dropped_) {
      for (uint32_t i = 0; i < chunks.size(); ++i) {
        const auto bytes = harness_.storage().ReadChunk({.run = run, .number = i}, 0, 1);
        EXPECT_TRUE(bytes.ok() || absl::IsNotFound(bytes.status())) << bytes.status();
      }
      EXPECT_TRUE(harness_.storage().DropRun(run).ok());
    }
    dropped_.clear();
  }

  void CheckState(uint64_t applied) {
    const std::unique_ptr<KvReader> view = harness_.storage().NewView();
    for (size_t k = 0; k < kKeys; ++k) {
      uint64_t newest = applied;
      while (newest > 0 && newest % kKeys != k) --newest;
      const auto value = view->Get(absl::StrCat("k", k));
      ASSERT_TRUE(value.ok()) << value.status();
      EXPECT_EQ(value->value_or("0"), absl::StrCat(newest));
    }
  }
  void CheckEntry(uint64_t index) {
    const auto read = harness_.storage().ReadLog(LogIndex(index), LogIndex(index), 1 << 20);
    ASSERT_TRUE(read.ok()) << read.status();
    ASSERT_EQ(read->size(), 1u);
    EXPECT_EQ(read->front().epoch, Epoch(at(index).epoch));
    EXPECT_EQ(read->front().command, at(index).command);
    EXPECT_EQ(read->front().inline_body.view(), at(index).body);
    if (!at(index).body.empty()) CheckChunk({.run = at(index).run, .number = 0}, at(index).body);
  }
  void CheckChunk(ChunkId chunk, const std::string& bytes) {
    const auto read = harness_.storage().ReadChunk(chunk, 0, bytes.size());
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_TRUE(read->view() == bytes);
  }
  void ReadSomething() {
    if (last() > base_) CheckEntry(base_ + 1 + random_.Uniform(last() - base_));
    if (runs_.empty()) return;
    auto run = runs_.begin();
    std::advance(run, random_.Uniform(runs_.size()));
    CheckChunk({.run = run->first, .number = 0}, run->second[0]);
  }
  void CheckAll() {
    for (uint64_t index = base_ + 1; index <= last(); ++index) CheckEntry(index);
    for (const auto& [run, chunks] : runs_) {
      for (uint32_t i = 0; i < chunks.size(); ++i) {
        CheckChunk({.run = run, .number = i}, chunks[i]);
      }
    }
    for (const RunId& run : truncated_) {
      EXPECT_TRUE(
          absl::IsNotFound(harness_.storage().ReadChunk({.run = run, .number = 0}, 0, 1).status()));
    }
    CheckState(applied_);
    EXPECT_EQ(harness_.store().Stats()->corrupt_reads, 0u);
  }

  SeededRandom random_;
  DiskStoreHarness harness_;
  uint64_t promised_ = 0;
  uint64_t epoch_ = 1;
  uint64_t base_ = 0;
  std::vector<ModelEntry> log_;
  uint64_t applied_ = 0;
  uint64_t trim_allowed_ = 0;
  std::map<RunId, std::vector<std::string>> runs_;
  std::map<RunId, std::vector<std::string>> dropped_;
  std::vector<RunId> truncated_;
};

class DiskStoreModel : public testing::TestWithParam<uint64_t> {};

TEST_P(DiskStoreModel, HoldsWhatWasAcknowledgedAfterEveryCrash) {
  SCOPED_TRACE(absl::StrCat("seed ", GetParam()));
  Checker(GetParam()).Run(200);
}

INSTANTIATE_TEST_SUITE_P(Seeds, DiskStoreModel, testing::Range<uint64_t>(1, 9));

}  // namespace
}  // namespace meridian::storage
