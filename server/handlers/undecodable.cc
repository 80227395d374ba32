#include "server/handlers/undecodable.h"

#include "server/errors.h"
#include "server/grpc_status.h"

namespace meridian::server {
namespace {

using grpc::experimental::InterceptionHookPoints;
using grpc::experimental::InterceptorBatchMethods;

// No status of a handler's is like this: they all have a message.
bool IsDecodingFailure(const grpc::Status& status) {
  return status.error_code() == grpc::StatusCode::INTERNAL && status.error_message().empty();
}

class UndecodableInterceptor final : public grpc::experimental::Interceptor {
 public:
  void Intercept(InterceptorBatchMethods* methods) override {
    if (methods->QueryInterceptionHookPoint(InterceptionHookPoints::PRE_SEND_STATUS) &&
        IsDecodingFailure(methods->GetSendStatus())) {
      methods->ModifySendStatus(ToGrpcStatus(
          Error(absl::StatusCode::kInvalidArgument, v1::INVALID_NAME,
                "the request cannot be decoded: names and all other strings must be UTF-8")));
    }
    methods->Proceed();
  }
};

class UndecodableFactory final : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  grpc::experimental::Interceptor* CreateServerInterceptor(
      grpc::experimental::ServerRpcInfo*) override {
    return new UndecodableInterceptor();  // gRPC's to delete
  }
};

}  // namespace

std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>>
UndecodableInterceptors() {
  std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>> factories;
  factories.push_back(std::make_unique<UndecodableFactory>());
  return factories;
}

}  // namespace meridian::server
