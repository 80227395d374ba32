#include "storage/objects/records.h"

namespace meridian::objects {

template <>
uint32_t NewestFormat<pb::VersionRecord>() {
  return 1;
}

uint32_t VersionFormatOf(ClusterFormat) { return 1; }

}  // namespace meridian::objects
