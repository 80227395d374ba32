// Keeps gRPC's queue for callbacks.
#pragma once

namespace meridian {

// Called before a process's first channel that is called with callbacks. gRPC 1.51 makes one queue
// for all such channels, and gives it up with the last: once in a while once too often, and aborts
// the process. From this call on there is always one. Thread-safe.
void KeepCallbackQueue();

}  // namespace meridian
