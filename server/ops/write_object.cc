#include <optional>
#include <utility>

#include "base/status.h"
#include "server/ops/body_writer.h"
#include "server/ops/checks.h"
#include "server/ops/errors.h"
#include "server/ops/objects.h"
#include "server/ops/replica_calls.h"
#include "server/ops/request_digest.h"
#include "server/ops/run_writer.h"
#include "server/ops/version_codec.h"

namespace meridian::ops {
namespace {

std::optional<uint64_t> DeclaredSize(const v1::WriteSpec& spec) {
  if (!spec.has_size_bytes()) return std::nullopt;
  return static_cast<uint64_t>(spec.size_bytes());
}

absl::Status CheckBody(const v1::WriteSpec& spec, const ByteSource& source,
                       const BodyWriter& body) {
  if (spec.has_crc32c() && spec.crc32c() != body.crc32c()) {
    return ChecksumMismatch(spec.crc32c(), body.crc32c());
  }
  const std::optional<uint32_t> declared = source.declared_crc32c();
  if (declared.has_value() && *declared != body.crc32c()) {
    return ChecksumMismatch(*declared, body.crc32c());
  }
  return absl::OkStatus();
}

std::string DigestOf(const v1::WriteSpec& spec, const pb::Condition& condition,
                     const BodyWriter& body) {
  return RequestDigest("write object")
      .Add(spec.name())
      .Add(spec.content_type())
      .Add(spec.metadata())
      .Add(condition)
      .Add(body.size_bytes())
      .Add(uint64_t{body.crc32c()})
      .Finish();
}

}  // namespace

absl::StatusOr<v1::Object> WriteObject(const Context& context, const v1::WriteSpec& spec,
                                       ByteSource& source) {
  RETURN_IF_ERROR(CheckWriteSpec(spec));
  pb::Command command = NewCommand(context);
  ASSIGN_OR_RETURN(*command.mutable_condition(), ParseCondition(spec.condition()));
  if (spec.has_request_id()) {
    RETURN_IF_ERROR(ParseRequestId(spec.request_id(), {}).status());
  }

  const crypto::ContainerKeys& keys = *context.keys;
  const crypto::SecretKey dek = crypto::SecretKey::Draw(*context.random);
  RunWriter writer(context, keys, spec.name(), dek);
  BodyWriter body(writer, context.deadline);
  RETURN_IF_ERROR(body.ReadAll(source, DeclaredSize(spec)));
  RETURN_IF_ERROR(CheckBody(spec, source, body));
  if (spec.has_request_id()) {
    ASSIGN_OR_RETURN(*command.mutable_request(),
                     ParseRequestId(spec.request_id(), DigestOf(spec, command.condition(), body)));
  }

  replication::Proposal proposal;
  Version version;
  ASSIGN_OR_RETURN(version.manifest, body.Store(proposal));
  version.metadata = ToSealedMetadata(spec.content_type(), spec.metadata(), body.crc32c());
  version.row.name = spec.name();
  VersionParts parts{.name = spec.name(),
                     .version = VersionId::Draw(*context.random),
                     .manifest = objects::EncodeRecord(version.manifest),
                     .wrapped_dek = {},
                     .metadata = version.metadata};
  if (body.size_bytes() > 0) parts.wrapped_dek = keys.WrapDek(dek, *context.random);
  command.mutable_put_version()->set_name(spec.name());
  *command.mutable_put_version()->mutable_record() = MakeVersionRecord(context, keys, parts);
  proposal.command = objects::EncodeRecord(command);

  ASSIGN_OR_RETURN(const pb::Outcome outcome,
                   Propose(*context.replica, context.deadline, std::move(proposal)));
  // Decided: the state machine has referenced the run, or aborted it with its refusal.
  writer.Keep();
  RETURN_IF_ERROR(ToStatus(outcome, {.kind = v1::ResourceMissing::OBJECT, .name = spec.name()}));
  // Of a retry: the version that the first attempt made. It has the same content by the digest.
  ASSIGN_OR_RETURN(version.row.place.version, objects::DecodeId<VersionId>(outcome.version_id()));
  version.row.place.timestamp = Timestamp(static_cast<uint64_t>(outcome.timestamp_us()));
  return ToObject(context, version);
}

}  // namespace meridian::ops
