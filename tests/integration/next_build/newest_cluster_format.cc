#include "base/cluster_format.h"

namespace meridian {

constinit const ClusterFormat kNewestClusterFormat{2};

}  // namespace meridian
