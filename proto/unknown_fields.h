// Fields that this build does not know.
#pragma once

#include "google/protobuf/message.h"

namespace meridian {

// Whether the message, or one inside it, has a field that its schema here does not have: a newer
// build wrote it. Who makes a record anew from what was understood of it would drop them.
bool HasUnknownFields(const google::protobuf::Message& message);

}  // namespace meridian
