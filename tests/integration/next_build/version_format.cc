#include "storage/objects/records.h"

namespace meridian::objects {

// 2 has a field more.
template <>
uint32_t NewestFormat<pb::VersionRecord>() {
  return 2;
}

uint32_t VersionFormatOf(ClusterFormat cluster) { return cluster < ClusterFormat(2) ? 1 : 2; }

}  // namespace meridian::objects
