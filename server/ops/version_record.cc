// What a version's record is made of and authenticated by: as versions of formats differ.
#include <array>
#include <string>

#include "server/ops/version_codec.h"

namespace meridian::ops {

std::string VersionMac(const crypto::ContainerKeys& keys, std::string_view name,
                       const pb::VersionRecord& record) {
  const ContainerId container = keys.container();
  const std::array<std::string_view, 7> parts = {"version",
                                                 container.bytes(),
                                                 name,
                                                 record.version_id(),
                                                 record.manifest(),
                                                 record.wrapped_dek(),
                                                 record.sealed_metadata()};
  return keys.RecordMac(parts);
}

pb::VersionRecord MakeVersionRecord(const Context& context, const crypto::ContainerKeys& keys,
                                    const VersionParts& parts) {
  pb::VersionRecord record;
  record.set_format_version(objects::VersionFormatOf(context.format));
  record.set_version_id(std::string(parts.version.bytes()));
  record.set_manifest(parts.manifest);
  record.set_wrapped_dek(parts.wrapped_dek);
  record.set_sealed_metadata(keys.SealMetadata(SealingContext(keys, parts.name, parts.version),
                                               objects::EncodeRecord(parts.metadata),
                                               *context.random));
  record.set_mac(VersionMac(keys, parts.name, record));
  record.set_kek_version(keys.kek_version());
  return record;
}

}  // namespace meridian::ops
