// The kinds of calls that Proxy passes on. What is given to these functions outlives the result.
// Bodies are counted where they are stored or read, by the leader; here, only the time that it
// takes.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>

#include "server/handlers/proxy.h"
#include "server/handlers/stream.h"
#include "server/telemetry/call_record.h"

namespace meridian::server {

// Waits for the leader.
template <typename Blocking>
auto AwaitLeader(const Blocking& blocking) {
  const PhaseTimer timer(CallPhase::kNodes);
  return blocking();
}

template <typename Stub, typename Request, typename Response>
Proxy::Call PassUnary(const std::unique_ptr<Stub> Proxy::Leader::*service,
                      grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                      const Request& request, Response* response) {
  return [=, &request](Proxy::Leader& leader, grpc::ClientContext& context) {
    return AwaitLeader([&] { return ((*(leader.*service)).*method)(&context, request, response); });
  };
}

// A body on its way in, of which `first` has been read.
template <typename Stub, typename Request, typename Response>
Proxy::Call PassStreamIn(
    const std::unique_ptr<Stub> Proxy::Leader::*service,
    std::unique_ptr<grpc::ClientWriter<Request>> (Stub::*method)(grpc::ClientContext*, Response*),
    Stream& stream, const Request& first, grpc::ServerReader<Request>& reader, Response* response) {
  return [=, &stream, &first, &reader](Proxy::Leader& leader, grpc::ClientContext& context) {
    const auto writer = ((*(leader.*service)).*method)(&context, response);
    bool open = AwaitLeader([&] { return writer->Write(first); });
    Request message;
    while (open && stream.Wait([&] { return reader.Read(&message); })) {
      open = AwaitLeader([&] { return writer->Write(message); });
    }
    // What was broken off must not look like what came to its end.
    if (stream.IsCancelled()) {
      context.TryCancel();
    } else if (open) {
      writer->WritesDone();
    }
    return AwaitLeader([&] { return writer->Finish(); });
  };
}

// A body on its way out.
template <typename Stub, typename Request, typename Response>
Proxy::Call PassStreamOut(const std::unique_ptr<Stub> Proxy::Leader::*service,
                          std::unique_ptr<grpc::ClientReader<Response>> (Stub::*method)(
                              grpc::ClientContext*, const Request&),
                          Stream& stream, const Request& request,
                          grpc::ServerWriter<Response>& writer) {
  return [=, &stream, &request, &writer](Proxy::Leader& leader, grpc::ClientContext& context) {
    const auto reader = ((*(leader.*service)).*method)(&context, request);
    Response message;
    while (AwaitLeader([&] { return reader->Read(&message); })) {
      if (!stream.Wait([&] { return writer.Write(message); })) {
        context.TryCancel();
        break;
      }
    }
    return reader->Finish();
  };
}

}  // namespace meridian::server
