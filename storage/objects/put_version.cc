#include <algorithm>

#include "storage/objects/commands.h"
#include "storage/objects/runs.h"
#include "storage/objects/version_set.h"

namespace meridian::objects {
namespace {

// Whether acknowledging the entry means holding all of the run's chunks (I4).
bool EntryCarries(const storage::LogEntry& entry, RunId run, uint64_t plaintext_bytes) {
  const storage::ChunkRange all = AllChunksOf(run, plaintext_bytes);
  if (!entry.inline_body.empty() && entry.inline_run == run) return all.count == 1;
  return std::find(entry.chunks.begin(), entry.chunks.end(), all) != entry.chunks.end();
}

// OK if the manifest is sound and its runs are new.
absl::StatusOr<pb::Outcome::Code> CheckNewRuns(const ApplyContext& context,
                                               const pb::Manifest& manifest) {
  uint64_t size_bytes = 0;
  for (const pb::Run& run : manifest.runs()) {
    ASSIGN_OR_RETURN(const RunId id, DecodeId<RunId>(run.run_id()));
    if (run.plaintext_bytes() == 0 || !EntryCarries(context.entry, id, run.plaintext_bytes())) {
      return pb::Outcome::MALFORMED;
    }
    ASSIGN_OR_RETURN(const RunState state, StateOfRun(context, id));
    if (state != RunState::kFresh) return pb::Outcome::RUN_REFUSED;
    size_bytes += run.plaintext_bytes();
  }
  return size_bytes == manifest.size_bytes() ? pb::Outcome::OK : pb::Outcome::MALFORMED;
}

}  // namespace

absl::StatusOr<pb::Outcome> ApplyPutVersion(const pb::PutVersion& put, ApplyContext& context) {
  ASSIGN_OR_RETURN(const pb::Manifest manifest, ManifestOf(put.record()));
  ASSIGN_OR_RETURN(const pb::Outcome::Code runs, CheckNewRuns(context, manifest));
  if (runs != pb::Outcome::OK) return MakeOutcome(runs);

  ASSIGN_OR_RETURN(const std::optional<VersionRow> newest,
                   ObjectReader(context.state.base()).Newest(put.name()));
  if (auto failed = CheckCondition(context.command.condition(), newest)) return *failed;
  RETURN_IF_ERROR(AddReferences(context, manifest));
  return AddVersion(context, put.name(), newest, put.record());
}

}  // namespace meridian::objects
