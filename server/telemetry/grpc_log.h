// What gRPC itself has to say, as lines of the server's log.
#pragma once

#include <string>
#include <string_view>

namespace meridian::server {

// From now on gRPC's errors are lines of component "grpc", at most 20 a second, and nothing else of
// it is told, whatever GRPC_VERBOSITY says: its finer levels show headers and messages. Of the
// whole process; before gRPC is first used.
void LogGrpcErrors();

// What of a message of gRPC's may be told: 300 bytes at most, and nothing that a peer has sent in a
// call's headers, where access keys are.
std::string FitForLog(std::string_view message);

}  // namespace meridian::server
