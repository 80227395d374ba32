// The state machine against a model that is a few lines for each command: random commands over few
// names, conditions, retries and clocks, compared outcome by outcome and row by row.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/random.h"
#include "tests/storage/objects/partition.h"

namespace meridian::objects {
namespace {

class Model {
 public:
  struct Version {
    std::string id;
    bool marker = false;
    std::string run;  // empty: none
  };
  struct Upload {
    std::string name;
    std::string version;
    std::string run;
    uint64_t size = 0;
  };

  // What a command is expected to answer, with its effect.
  pb::Outcome::Code Apply(const pb::Command& command) {
    if (!command.has_request()) return CarryOut(command);
    const auto known = requests_.find(command.request().id());
    if (known != requests_.end()) return known->second;
    const pb::Outcome::Code code = CarryOut(command);
    if (code != pb::Outcome::SOURCE_CHANGED && code != pb::Outcome::MALFORMED) {
      requests_[command.request().id()] = code;
    }
    return code;
  }

  std::set<std::string> Runs() const {
    std::set<std::string> runs;
    for (const auto& [name, versions] : objects) {
      for (const Version& version : versions) runs.insert(version.run);
    }
    for (const auto& [id, upload] : uploads) {
      if (upload.size > 0) runs.insert(upload.run);
    }
    runs.erase("");
    return runs;
  }

  std::map<std::string, std::vector<Version>> objects;  // newest first; never empty
  std::map<std::string, Upload> uploads;

 private:
  using Code = pb::Outcome::Code;

  const Version* Find(const std::string& name, const std::string& id) const {
    const auto it = objects.find(name);
    if (it == objects.end()) return nullptr;
    for (const Version& version : it->second) {
      if (version.id == id) return &version;
    }
    return nullptr;
  }
  const Version* Newest(const std::string& name) const {
    const auto it = objects.find(name);
    return it == objects.end() ? nullptr : &it->second.front();
  }
  static bool Holds(const pb::Condition& condition, const Version* version) {
    const bool current = version != nullptr && !version->marker;
    if (condition.has_if_match_etag()) {
      return current && VersionId::FromBytes(version->id)->ToHex() == condition.if_match_etag();
    }
    return !condition.has_if_none_match() || !current;
  }
  void Add(const std::string& name, Version version, bool keep) {
    std::vector<Version>& versions = objects[name];
    if (!keep && !versions.empty()) versions.erase(versions.begin());
    versions.insert(versions.begin(), std::move(version));
  }
  void Remove(const std::string& name, const std::string& id) {
    std::vector<Version>& versions = objects[name];
    versions.erase(std::find_if(versions.begin(), versions.end(),
                                [&id](const Version& version) { return version.id == id; }));
    if (versions.empty()) objects.erase(name);
  }

  Code CarryOut(const pb::Command& command) {
    const pb::Condition& condition = command.condition();
    const bool keep = command.keep_versions();
    if (command.has_put_version()) {
      const pb::PutVersion& put = command.put_version();
      if (!Holds(condition, Newest(put.name()))) return pb::Outcome::PRECONDITION_FAILED;
      const std::string run = ManifestOf(put.record())->runs(0).run_id();
      Add(put.name(), {.id = put.record().version_id(), .marker = false, .run = run}, keep);
      return pb::Outcome::OK;
    }
    if (command.has_copy_version()) return Copy(command.copy_version(), condition, keep);
    if (command.has_delete_object()) {
      const pb::DeleteObject& deletion = command.delete_object();
      const Version* newest = Newest(deletion.name());
      if (newest == nullptr || newest->marker) return pb::Outcome::OBJECT_NOT_FOUND;
      if (!Holds(condition, newest)) return pb::Outcome::PRECONDITION_FAILED;
      if (keep || objects[deletion.name()].size() > 1) {
        Add(deletion.name(), {.id = deletion.marker_version_id(), .marker = true, .run = {}}, keep);
      } else {
        objects.erase(deletion.name());
      }
      return pb::Outcome::OK;
    }
    if (command.has_delete_version()) {
      const pb::DeleteVersion& deletion = command.delete_version();
      const Version* version = Find(deletion.name(), deletion.version_id());
      if (version == nullptr) return pb::Outcome::VERSION_NOT_FOUND;
      if (!Holds(condition, version)) return pb::Outcome::PRECONDITION_FAILED;
      Remove(deletion.name(), deletion.version_id());
      return pb::Outcome::OK;
    }
    if (command.has_start_upload()) {
      const pb::UploadRecord& record = command.start_upload().record();
      uploads[record.upload_id()] = {
          .name = record.object_name(), .version = record.version_id(), .run = {}, .size = 0};
      return pb::Outcome::OK;
    }
    return EndUpload(command);
  }

  Code Copy(const pb::CopyVersion& copy, const pb::Condition& condition, bool keep) {
    const Version* newest = Newest(copy.name());
    if (!Holds(condition, newest)) return pb::Outcome::PRECONDITION_FAILED;
    if (copy.source_must_be_newest() &&
        (newest == nullptr || newest->id != copy.source_version_id())) {
      return pb::Outcome::SOURCE_CHANGED;
    }
    const Version* source = Find(copy.name(), copy.source_version_id());
    if (source == nullptr) return pb::Outcome::VERSION_NOT_FOUND;
    if (source->marker) return pb::Outcome::IS_DELETE_MARKER;
    Add(copy.name(),
        {.id = copy.record().version_id(), .marker = false, .run = std::string(source->run)}, keep);
    return pb::Outcome::OK;
  }

  Code EndUpload(const pb::Command& command) {
    const bool finish = command.has_finish_upload();
    const std::string& id =
        finish ? command.finish_upload().upload_id() : command.abort_upload().upload_id();
    const auto it = uploads.find(id);
    if (it == uploads.end()) return pb::Outcome::UPLOAD_NOT_FOUND;
    if (finish) {
      Add(it->second.name,
          {.id = it->second.version,
           .marker = false,
           .run = it->second.size > 0 ? it->second.run : std::string()},
          command.keep_versions());
    }
    uploads.erase(it);
    return pb::Outcome::OK;
  }

  std::map<std::string, Code> requests_;
};

class RandomHistory {
 public:
  explicit RandomHistory(uint64_t seed) : random_(seed) {}

  void Step() {
    partition_.keep_versions = random_.Uniform(8) < 4;
    partition_.Advance(absl::Microseconds(random_.Uniform(3)));
    const uint64_t kind = random_.Uniform(20);
    if (kind < 2) {
      StreamUpload();
    } else if (kind == 2 && !history_.empty()) {
      Run(history_[random_.Uniform(history_.size())]);  // a retry, or a duplicate
    } else {
      Run(RandomCommand(kind));
    }
    if (random_.Uniform(10) == 0) partition_.CollectGarbage(partition_.last_index());
  }

  void CheckState() {
    for (const std::string& name : names_) {
      std::vector<std::string> expected;
      const auto it = model_.objects.find(name);
      if (it != model_.objects.end()) {
        for (const auto& version : it->second) expected.push_back(version.id);
      }
      ASSERT_EQ(partition_.VersionIdsOf(name), expected);
      for (const std::string& id : expected) {
        ASSERT_TRUE(partition_.FindVersion(name, id).has_value());
      }
    }
    std::set<std::string> referenced;
    for (const storage::ChunkRange& range : partition_.Chunks()) {
      ASSERT_EQ(range.first, 0u);
      ASSERT_TRUE(referenced.insert(std::string(range.run.bytes())).second);
    }
    ASSERT_EQ(referenced, model_.Runs());
    ASSERT_EQ(partition_.CountRows('u'), model_.uploads.size());
    size_t older = 0;
    for (const auto& [name, versions] : model_.objects) older += versions.size() - 1;
    ASSERT_EQ(partition_.CountRows('i'), older);
  }

  Partition& partition() { return partition_; }

 private:
  struct Proposed {
    pb::Command command;
    std::vector<storage::ChunkRange> chunks;
  };

  std::string Name() { return names_[random_.Uniform(names_.size())]; }

  std::string SomeVersionOf(const std::string& name) {
    const std::vector<std::string> ids = partition_.VersionIdsOf(name);
    if (ids.empty() || random_.Uniform(8) == 0) {
      return std::string(VersionId::Draw(random_).bytes());
    }
    return ids[random_.Uniform(ids.size())];
  }

  Proposed RandomCommand(uint64_t kind) {
    const std::string name = Name();
    Proposed proposed;
    if (kind < 10) {
      const RunId run = RunId::Draw(random_);
      const uint64_t size = 1 + random_.Uniform(3 << 20);
      proposed = {partition_.Put(name, run, size), {AllChunksOf(run, size)}};
    } else if (kind < 13) {
      proposed.command = partition_.Delete(name);
    } else if (kind < 15) {
      proposed.command = partition_.DeleteVersion(name, SomeVersionOf(name));
    } else if (kind < 17) {
      proposed.command = partition_.Copy(name, SomeVersionOf(name));
      proposed.command.mutable_copy_version()->set_source_must_be_newest(random_.Uniform(2) == 0);
    } else if (kind < 18 || model_.uploads.empty()) {
      const UploadId upload = UploadId::Draw(random_);
      proposed.command = partition_.StartUpload(name, upload, absl::Hours(100));
      return proposed;
    } else {
      auto it = model_.uploads.begin();
      std::advance(it, random_.Uniform(model_.uploads.size()));
      const UploadId upload = *UploadId::FromBytes(it->first);
      proposed.command = kind < 19 ? partition_.AbortUpload(upload) : partition_.Finish(upload);
      return proposed;
    }
    AddCondition(name, proposed.command);
    if (random_.Uniform(2) == 0) {
      partition_.Stamp(proposed.command, RequestId::Draw(random_));
      history_.push_back(proposed);
    }
    return proposed;
  }

  void AddCondition(const std::string& name, pb::Command& command) {
    switch (random_.Uniform(6)) {
      case 0:
        command.mutable_condition()->set_if_none_match(true);
        break;
      case 1:
        command.mutable_condition()->set_if_match_etag(
            VersionId::FromBytes(SomeVersionOf(name))->ToHex());
        break;
      default:
        break;
    }
  }

  void StreamUpload() {
    if (model_.uploads.empty()) return;
    auto& [id, upload] = *model_.uploads.begin();
    if (upload.size > 0) return;
    const UploadId upload_id = *UploadId::FromBytes(id);
    const RunId run = RunId::Draw(random_);
    ASSERT_EQ(partition_.TakeOver(upload_id, run, 0).code(), pb::Outcome::OK);
    if (random_.Uniform(3) == 0) return;  // the stream broke
    const uint64_t size = 1 + random_.Uniform(3 << 20);
    ASSERT_EQ(partition_.Append(upload_id, run, 0, 0, size).code(), pb::Outcome::OK);
    upload.run = std::string(run.bytes());
    upload.size = size;
  }

  void Run(const Proposed& proposed) {
    const pb::Outcome::Code expected = model_.Apply(proposed.command);
    const pb::Outcome outcome = partition_.Apply(proposed.command, proposed.chunks);
    ASSERT_EQ(NameOf(outcome.code()), NameOf(expected)) << proposed.command.ShortDebugString();
  }

  SeededRandom random_;
  Partition partition_;
  Model model_;
  std::vector<Proposed> history_;
  const std::vector<std::string> names_ = {"a", "a/", "b"};
};

TEST(StateMachineProperty, AgreesWithTheModel) {
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    RandomHistory history(seed);
    for (int i = 0; i < 400; ++i) {
      history.Step();
      if (HasFatalFailure()) return;
      if (i % 20 == 0) history.CheckState();
      if (HasFatalFailure()) return;
    }
    history.CheckState();
  }
}

// Replicas apply the same entries and differ only in what they have freed.
TEST(StateMachineProperty, IsDeterministic) {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    RandomHistory one(seed);
    RandomHistory other(seed);
    for (int i = 0; i < 300; ++i) {
      one.Step();
      other.Step();
      if (HasFatalFailure()) return;
    }
    other.partition().CollectGarbage(other.partition().last_index());
    EXPECT_EQ(one.partition().Digest(), other.partition().Digest());
  }
}

}  // namespace
}  // namespace meridian::objects
