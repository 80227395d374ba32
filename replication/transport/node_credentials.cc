#include "replication/transport/node_credentials.h"

#include <grpcpp/grpcpp.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_certificate_verifier.h>
#include <grpcpp/security/tls_credentials_options.h>

#include <functional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "crypto/certificate_authority.h"

namespace meridian::replication {
namespace {

namespace tls_options = ::grpc::experimental;

NodeId NodeOf(const std::vector<grpc::string_ref>& dns_names) {
  std::vector<std::string> names;
  for (const grpc::string_ref& name : dns_names) names.emplace_back(name.data(), name.size());
  return crypto::NodeOfCertificate(names);
}

class NodeVerifier final : public tls_options::ExternalCertificateVerifier {
 public:
  explicit NodeVerifier(NodeId node) : node_(std::move(node)) {}

  // Of a certificate that the CA has signed. Answers at once.
  bool Verify(tls_options::TlsCustomVerificationCheckRequest* request,
              std::function<void(grpc::Status)>, grpc::Status* answer) override {
    const NodeId node = NodeOf(request->dns_names());
    const bool is_node = !node.empty() && node == node_;
    *answer = is_node ? grpc::Status::OK
                      : grpc::Status(
                            grpc::StatusCode::UNAUTHENTICATED,
                            absl::StrCat("the certificate of \"", node, "\" is not ", node_, "'s"));
    return true;
  }
  void Cancel(tls_options::TlsCustomVerificationCheckRequest*) override {}

 private:
  const NodeId node_;
};

CertificateProvider ProviderOf(const NodeTls& tls) {
  if (tls.renewed != nullptr) return tls.renewed;
  return std::make_shared<tls_options::StaticDataCertificateProvider>(
      tls.ca_certificate,
      std::vector<tls_options::IdentityKeyCertPair>{
          {.private_key = tls.private_key, .certificate_chain = tls.certificate}});
}

}  // namespace

std::shared_ptr<grpc::ServerCredentials> NodeServerCredentials(const NodeTls& tls,
                                                               ClientCertificates clients) {
  tls_options::TlsServerCredentialsOptions options(ProviderOf(tls));
  options.watch_identity_key_cert_pairs();
  if (clients == ClientCertificates::kRequired) {
    options.watch_root_certs();
    options.set_cert_request_type(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  }
  return tls_options::TlsServerCredentials(options);
}

std::shared_ptr<grpc::ChannelCredentials> NodeChannelCredentials(const NodeTls& tls,
                                                                 const NodeId& peer) {
  tls_options::TlsChannelCredentialsOptions options;
  options.set_certificate_provider(ProviderOf(tls));
  options.watch_root_certs();
  options.watch_identity_key_cert_pairs();
  options.set_verify_server_certs(true);
  options.set_certificate_verifier(
      tls_options::ExternalCertificateVerifier::Create<NodeVerifier>(peer));
  // The verifier decides: the address that is dialled is no name of the peer.
  options.set_check_call_host(false);
  return tls_options::TlsCredentials(options);
}

std::shared_ptr<grpc::ChannelCredentials> HostChannelCredentials(const NodeTls& tls) {
  tls_options::TlsChannelCredentialsOptions options;
  options.set_certificate_provider(ProviderOf(tls));
  options.watch_root_certs();
  options.set_certificate_verifier(std::make_shared<tls_options::HostNameCertificateVerifier>());
  return tls_options::TlsCredentials(options);
}

NodeId NodeOfPeer(const grpc::AuthContext* context) {
  if (context == nullptr || !context->IsPeerAuthenticated()) return {};
  return NodeOf(context->FindPropertyValues(GRPC_PEER_DNS_PROPERTY_NAME));
}

}  // namespace meridian::replication
