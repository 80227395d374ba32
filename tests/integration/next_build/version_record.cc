// In format 2 a version's record has a field that this build's schema does not know, and its MAC is
// over that too: a build that dropped it, or wrote it too early, would leave records behind that
// cannot be read. An entry of the metadata shows to clients that it was there.
#include <array>
#include <span>
#include <string>

#include "google/protobuf/unknown_field_set.h"
#include "server/ops/version_codec.h"

namespace meridian::ops {
namespace {

constexpr int kAddedField = 100;
constexpr char kAdded[] = "next-build";

std::string AddedFieldOf(const pb::VersionRecord& record) {
  const google::protobuf::UnknownFieldSet& fields =
      record.GetReflection()->GetUnknownFields(record);
  for (int i = 0; i < fields.field_count(); ++i) {
    if (fields.field(i).number() == kAddedField) return fields.field(i).length_delimited();
  }
  return {};
}

}  // namespace

std::string VersionMac(const crypto::ContainerKeys& keys, std::string_view name,
                       const pb::VersionRecord& record) {
  const ContainerId container = keys.container();
  const std::string added = AddedFieldOf(record);
  const std::array<std::string_view, 8> parts = {"version",
                                                 container.bytes(),
                                                 name,
                                                 record.version_id(),
                                                 record.manifest(),
                                                 record.wrapped_dek(),
                                                 record.sealed_metadata(),
                                                 added};
  const std::span<const std::string_view> all(parts);
  return keys.RecordMac(record.format_version() < 2 ? all.first(7) : all);
}

pb::VersionRecord MakeVersionRecord(const Context& context, const crypto::ContainerKeys& keys,
                                    const VersionParts& parts) {
  pb::VersionRecord record;
  record.set_format_version(objects::VersionFormatOf(context.format));
  pb::SealedMetadata metadata = parts.metadata;
  if (record.format_version() >= 2) {
    record.GetReflection()->MutableUnknownFields(&record)->AddLengthDelimited(kAddedField, kAdded);
    metadata.add_entries()->set_key(kAdded);
  }
  record.set_version_id(std::string(parts.version.bytes()));
  record.set_manifest(parts.manifest);
  record.set_wrapped_dek(parts.wrapped_dek);
  record.set_sealed_metadata(keys.SealMetadata(SealingContext(keys, parts.name, parts.version),
                                               objects::EncodeRecord(metadata), *context.random));
  record.set_mac(VersionMac(keys, parts.name, record));
  record.set_kek_version(keys.kek_version());
  return record;
}

}  // namespace meridian::ops
