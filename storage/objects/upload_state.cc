#include "storage/objects/upload_state.h"

#include <string>

#include "storage/objects/keys.h"
#include "storage/objects/runs.h"

namespace meridian::objects {

absl::StatusOr<std::optional<pb::UploadRecord>> LiveUpload(const ApplyContext& context,
                                                           std::string_view upload_id) {
  ASSIGN_OR_RETURN(const UploadId upload, DecodeId<UploadId>(upload_id));
  ASSIGN_OR_RETURN(std::optional<pb::UploadRecord> record,
                   context.state.GetRecord<pb::UploadRecord>(UploadKey(upload)));
  const bool is_live = record.has_value() && record->expire_time_us() > context.now_us() &&
                       context.Owns(record->object_name());
  if (!is_live) record.reset();
  return record;
}

absl::Status DiscardUpload(ApplyContext& context, UploadId upload) {
  ASSIGN_OR_RETURN(const std::optional<pb::UploadRecord> record,
                   context.state.GetRecord<pb::UploadRecord>(UploadKey(upload)));
  // One that moved in a split is the child's: its row stays for the child's replicas.
  if (!record.has_value() || !context.Owns(record->object_name())) return absl::OkStatus();
  for (const pb::Run& run : record->runs()) {
    ASSIGN_OR_RETURN(const RunId id, DecodeId<RunId>(run.run_id()));
    RETURN_IF_ERROR(DropReference(context, id));
    RETURN_IF_ERROR(AbortRun(context, id));
  }
  if (!record->streaming_run_id().empty()) {
    ASSIGN_OR_RETURN(const RunId streaming, DecodeId<RunId>(record->streaming_run_id()));
    RETURN_IF_ERROR(AbortRun(context, streaming));
  }
  context.state.Delete(UploadKey(upload));
  return absl::OkStatus();
}

}  // namespace meridian::objects
