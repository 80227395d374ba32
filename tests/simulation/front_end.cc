#include "tests/simulation/front_end.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/crc32c.h"
#include "base/status.h"
#include "storage/objects/object_reader.h"
#include "storage/objects/records.h"

namespace meridian::simulation {
namespace {

using objects::ObjectReader;
using objects::VersionRow;

constexpr uint64_t kChunkBytes = 1 << 20;

absl::Status Moved() { return absl::OutOfRangeError("the name is another partition's"); }

absl::Status NoReplica() { return absl::UnavailableError("the node has no replica yet"); }

pb::Command MakeCommand(const WriteRequest& request, const Group& group) {
  pb::Command command;
  command.set_geo_epoch(1);
  command.set_keep_versions(group.keep_versions);
  pb::RequestStamp& stamp = *command.mutable_request();
  stamp.set_id(request.request_id);
  stamp.set_digest(request.request_id);
  stamp.set_create_time_us(absl::ToUnixMicros(request.created));
  if (request.if_match.has_value()) {
    command.mutable_condition()->set_if_match_etag(objects::EtagOf(*request.if_match));
  }
  if (request.if_none_match) command.mutable_condition()->set_if_none_match(true);
  return command;
}

// The runs' plaintext sizes decide how many chunks the state machine demands.
std::string MakePut(const WriteRequest& request, const Group& group, RunId run) {
  const size_t parts = request.body_parts->size();
  pb::Manifest manifest;
  manifest.set_size_bytes(parts * kChunkBytes);
  pb::Run& stored = *manifest.add_runs();
  stored.set_run_id(std::string(run.bytes()));
  stored.set_plaintext_bytes(parts * kChunkBytes);

  pb::Command command = MakeCommand(request, group);
  command.mutable_put_version()->set_name(request.name);
  pb::VersionRecord record;
  record.set_version_id(std::string(request.version.bytes()));
  record.set_manifest(objects::EncodeRecord(std::move(manifest)));
  record.set_format_version(objects::VersionFormatOf(kFirstClusterFormat));
  *command.mutable_put_version()->mutable_record() = std::move(record);
  return objects::EncodeRecord(std::move(command));
}

std::string MakeDelete(const WriteRequest& request, const Group& group) {
  pb::Command command = MakeCommand(request, group);
  command.mutable_delete_object()->set_name(request.name);
  command.mutable_delete_object()->set_marker_version_id(std::string(request.version.bytes()));
  return objects::EncodeRecord(std::move(command));
}

void Propose(replication::Replica& replica, replication::Proposal proposal,
             std::function<void(absl::StatusOr<pb::Outcome>)> done) {
  replica.Propose(std::move(proposal),
                  [done = std::move(done)](const absl::StatusOr<replication::Applied>& applied) {
                    if (!applied.ok()) return done(applied.status());
                    done(objects::DecodeRecord<pb::Outcome>(applied->outcome));
                  });
}

// Reads a version's chunks one after the other, the corrupt and the missing ones from a peer.
class BodyRead : public std::enable_shared_from_this<BodyRead> {
 public:
  using Done = std::function<void(absl::StatusOr<std::string>)>;

  BodyRead(Copy& copy, Done done) : copy_(copy), done_(std::move(done)) {}

  void Start(const pb::VersionRecord& record) {
    const absl::StatusOr<pb::Manifest> manifest = objects::ManifestOf(record);
    if (!manifest.ok()) return done_(manifest.status());
    for (const pb::Run& run : manifest->runs()) {
      const RunId id = *RunId::FromBytes(run.run_id());
      pins_.push_back(copy_.replica->PinRun(id));
      for (uint32_t i = 0; i < objects::ChunkCountOf(run.plaintext_bytes()); ++i) {
        chunks_.push_back({id, i});
      }
    }
    ReadNext();
  }

 private:
  void ReadNext() {
    if (next_ == chunks_.size()) return done_(std::move(body_));
    const storage::ChunkId chunk = chunks_[next_++];
    if (absl::StatusOr<Buffer> bytes = ReadHere(chunk); bytes.ok()) return Take(*bytes);
    copy_.replica->FetchChunk(chunk, [self = shared_from_this()](absl::StatusOr<Buffer> bytes) {
      if (!bytes.ok()) return self->done_(bytes.status());
      self->Take(*bytes);
    });
  }

  absl::StatusOr<Buffer> ReadHere(storage::ChunkId chunk) {
    ASSIGN_OR_RETURN(const auto info, copy_.storage->StatChunk(chunk));
    if (!info.has_value()) return absl::NotFoundError("no such chunk");
    return copy_.storage->ReadChunk(chunk, 0, info->size_bytes);
  }

  void Take(const Buffer& bytes) {
    body_.append(bytes.view());
    ReadNext();
  }

  Copy& copy_;
  const Done done_;
  std::vector<std::shared_ptr<void>> pins_;
  std::vector<storage::ChunkId> chunks_;
  size_t next_ = 0;
  std::string body_;
};

ReadObject Describe(const VersionRow& row, std::string body) {
  return {.name = row.name,
          .version = row.place.version,
          .timestamp = row.place.timestamp,
          .body = std::move(body)};
}

void ReadCurrent(Copy& copy, const std::string& name,
                 std::function<void(absl::StatusOr<std::optional<ReadObject>>)> done) {
  const std::unique_ptr<storage::KvReader> view = copy.replica->NewView();
  const absl::StatusOr<bool> owns = ObjectReader(*view).Owns(name);
  if (!owns.ok()) return done(owns.status());
  if (!*owns) return done(Moved());
  const auto newest = ObjectReader(*view).Newest(name);
  if (!newest.ok()) return done(newest.status());
  if (!newest->has_value() || (*newest)->record.delete_marker()) {
    return done(std::optional<ReadObject>());
  }
  std::make_shared<BodyRead>(copy, [row = **newest, done](absl::StatusOr<std::string> body) {
    if (!body.ok()) return done(body.status());
    done(std::optional(Describe(row, *std::move(body))));
  })->Start((*newest)->record);
}

absl::StatusOr<Listing> ListCurrent(const storage::KvReader& view) {
  Listing found;
  ASSIGN_OR_RETURN(found.names, ObjectReader(view).Owned());
  objects::ListObjectsOptions options;
  options.limit = 7;  // several pages of one view
  do {
    ASSIGN_OR_RETURN(const objects::ListObjectsPage page, ObjectReader(view).ListObjects(options));
    for (const VersionRow& row : page.objects) found.objects.push_back(Describe(row, {}));
    options.resume = page.next;
  } while (options.resume.has_value());
  return found;
}

}  // namespace

bool IsMoved(const absl::Status& status) { return absl::IsOutOfRange(status); }

replication::Replica* FrontEnd::replica() const {
  Copy* copy = node_.FindCopy(group_.partition);
  return copy == nullptr ? nullptr : copy->replica.get();
}

void FrontEnd::Write(const WriteRequest& request,
                     std::function<void(absl::StatusOr<pb::Outcome>)> done) {
  replication::Replica* const here = replica();
  if (here == nullptr) return done(NoReplica());
  replication::Proposal proposal;
  if (!request.body_parts.has_value()) {
    proposal.command = MakeDelete(request, group_);
    return Propose(*here, std::move(proposal), std::move(done));
  }
  const RunId run = RunId::Draw(node_.random());
  const std::vector<std::string>& parts = *request.body_parts;
  proposal.command = MakePut(request, group_, run);
  if (parts.size() == 1) {
    proposal.inline_body = Buffer::FromString(parts[0]);
    proposal.inline_run = run;
    proposal.inline_crc32c = Crc32c(parts[0]);
    return Propose(*here, std::move(proposal), std::move(done));
  }
  proposal.chunks.push_back(objects::AllChunksOf(run, parts.size() * kChunkBytes));
  WriteChunks(run, parts,
              [self = *this, run, proposal, done = std::move(done)](const absl::Status& stored) {
                const auto finish = [self, run, done](absl::StatusOr<pb::Outcome> outcome) {
                  // Null if this answer is the replica's last word.
                  if (self.replica() != nullptr) self.replica()->EndRun(run);
                  done(std::move(outcome));
                };
                if (!stored.ok() || self.replica() == nullptr)
                  return finish(absl::UnavailableError("not stored"));
                Propose(*self.replica(), proposal, finish);
              });
}

void FrontEnd::WriteChunks(RunId run, const std::vector<std::string>& parts,
                           std::function<void(const absl::Status&)> done) {
  struct Progress {
    size_t missing = 0;
    absl::Status status;
  };
  auto progress = std::make_shared<Progress>(Progress{.missing = parts.size(), .status = {}});
  for (uint32_t i = 0; i < parts.size(); ++i) {
    replica()->WriteChunk({run, i}, Buffer::FromString(parts[i]), Crc32c(parts[i]),
                          [progress, done](const absl::Status& status) {
                            progress->status.Update(status);
                            if (--progress->missing == 0) done(progress->status);
                          });
  }
}

void FrontEnd::Read(const std::string& name,
                    std::function<void(absl::StatusOr<std::optional<ReadObject>>)> done) {
  if (replica() == nullptr) return done(NoReplica());
  Copy& copy = *node_.FindCopy(group_.partition);
  copy.replica->ConfirmRead([&copy, name, done = std::move(done)](const absl::Status& confirmed) {
    if (!confirmed.ok()) return done(confirmed);
    ReadCurrent(copy, name, done);
  });
}

void FrontEnd::List(std::function<void(absl::StatusOr<Listing>)> done) {
  if (replica() == nullptr) return done(NoReplica());
  Copy& copy = *node_.FindCopy(group_.partition);
  copy.replica->ConfirmRead([&copy, done = std::move(done)](const absl::Status& confirmed) {
    if (!confirmed.ok()) return done(confirmed);
    done(ListCurrent(*copy.replica->NewView()));
  });
}

}  // namespace meridian::simulation
