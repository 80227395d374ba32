#include "base/cluster_format.h"

namespace meridian {

// 1.
constinit const ClusterFormat kNewestClusterFormat = kFirstClusterFormat;

}  // namespace meridian
