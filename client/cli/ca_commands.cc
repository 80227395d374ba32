// Certificates and the keyring of a cluster of processes: files only, no cluster is asked.
#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "base/status.h"
#include "client/cli/commands.h"
#include "crypto/certificate_authority.h"
#include "crypto/local_keyring.h"

namespace meridian::cli {
namespace {

// The key that a cluster's own are wrapped under, see tenancy/shared_kms.h.
constexpr char kRootKey[] = "root";
constexpr size_t kMaxNameBytes = 63;

absl::Status RefuseExisting(const std::vector<std::string>& paths) {
  for (const std::string& path : paths) {
    if (std::error_code error; std::filesystem::exists(path, error)) {
      return absl::AlreadyExistsError(path + " exists, and nothing is overwritten: give another " +
                                      "name, or remove it first; nothing was written");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckNodeName(const std::string& name) {
  const bool valid = !name.empty() && name.size() <= kMaxNameBytes && name[0] != '-' &&
                     std::all_of(name.begin(), name.end(), [](char c) {
                       return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
                     });
  if (valid) return absl::OkStatus();
  return absl::InvalidArgumentError("NAME is \"" + Printable(name) +
                                    "\": it must be 1-63 characters of [a-z0-9-], not beginning "
                                    "with '-', as node_id in the node's configuration");
}

struct CaOptions {
  std::string folder;
  std::string common_name = "Meridian CA";
  std::string node;
  std::string out;
  std::vector<std::string> hosts;
};

absl::Status InitCa(Context& context, const CaOptions& options) {
  const std::string path = options.folder + "/ca";
  RETURN_IF_ERROR(RefuseExisting({path + ".crt", path + ".key"}));
  if (mkdir(options.folder.c_str(), 0700) != 0 && errno != EEXIST) {
    return absl::UnavailableError("cannot make folder " + options.folder + ": " +
                                  std::strerror(errno));
  }
  SystemClock clock;
  ASSIGN_OR_RETURN(const auto authority,
                   crypto::CertificateAuthority::Create(options.common_name, clock));
  RETURN_IF_ERROR(crypto::WriteTlsIdentity(path, authority->ToPem()));
  context.Print("certificate: " + path + ".crt\nkey: " + path +
                    ".key (keep it off the nodes: who has it can pass for any of them)",
                Json{{"certificate", path + ".crt"}, {"key", path + ".key"}});
  return absl::OkStatus();
}

absl::Status IssueCertificate(Context& context, const CaOptions& options) {
  RETURN_IF_ERROR(CheckNodeName(options.node));
  const std::string out = options.out.empty() ? options.node : options.out;
  RETURN_IF_ERROR(RefuseExisting({out + ".crt", out + ".key"}));
  absl::StatusOr<crypto::TlsIdentity> ca = crypto::ReadTlsIdentity(options.folder + "/ca");
  if (absl::IsNotFound(ca.status())) {
    return absl::NotFoundError("there is no CA in " + options.folder +
                               ": make one with `meridian " + "ca init " + options.folder + "`");
  }
  RETURN_IF_ERROR(ca.status());
  SystemClock clock;
  const auto authority = crypto::CertificateAuthority::FromPem(*ca, clock);
  if (!authority.ok()) return Annotate(authority.status(), options.folder);
  const auto identity = (*authority)->IssueNode(options.node, options.hosts);
  if (!identity.ok()) return Annotate(identity.status(), "issuing the certificate");
  RETURN_IF_ERROR(crypto::WriteTlsIdentity(out, *identity));
  context.Print("certificate: " + out + ".crt (for one year)\nkey: " + out + ".key",
                Json{{"certificate", out + ".crt"}, {"key", out + ".key"}});
  return absl::OkStatus();
}

struct KeyringOptions {
  std::string path;
  std::string passphrase_file;
};

absl::Status InitKeyring(Context& context, const KeyringOptions& options) {
  RETURN_IF_ERROR(RefuseExisting({options.path}));
  SystemRandom random;
  const absl::Status drawn = crypto::WriteNewPassphraseFile(options.passphrase_file, random);
  if (!drawn.ok() && !absl::IsAlreadyExists(drawn)) return drawn;
  ASSIGN_OR_RETURN(const std::string passphrase,
                   crypto::PassphraseFromFile(options.passphrase_file));
  RETURN_IF_ERROR(crypto::LocalKeyring::Create(options.path, passphrase, random));
  ASSIGN_OR_RETURN(const auto keyring,
                   crypto::LocalKeyring::Open(options.path, passphrase, random));
  RETURN_IF_ERROR(keyring->CreateKey(kRootKey));
  context.Print("keyring: " + options.path + "\npassphrase: " + options.passphrase_file +
                    (drawn.ok() ? " (new)" : "") +
                    "\nGive both to every node, and keep a copy: without them no object can be "
                    "read any more.",
                Json{{"keyring", options.path}, {"passphrase_file", options.passphrase_file}});
  return absl::OkStatus();
}

}  // namespace

void AddCaCommands(CLI::App& app, Context& context) {
  CLI::App* group = app.add_subcommand("ca", "Certificates of a cluster's nodes, as files");
  group->require_subcommand(1);
  auto options = std::make_shared<CaOptions>();

  CLI::App* init = group->add_subcommand("init", "Make a certificate authority: ca.crt and ca.key");
  init->add_option("FOLDER", options->folder, "Made if it is not there")->required();
  init->add_option("--name", options->common_name, "Its common name; default: Meridian CA");
  init->callback([&context, options] {
    context.run = [&context, options] { return InitCa(context, *options); };
  });

  CLI::App* issue = group->add_subcommand("issue", "Issue a node's certificate, for one year");
  issue->add_option("NAME", options->node, "The node's id")->required();
  issue->add_option("--ca", options->folder, "The authority's folder")->required();
  issue->add_option("--out", options->out, "PATH.crt and PATH.key are written; default: NAME");
  issue->add_option("--host", options->hosts,
                    "A host name or IP address by which clients reach it; any number");
  issue->callback([&context, options] {
    context.run = [&context, options] { return IssueCertificate(context, *options); };
  });
}

void AddKeyringCommands(CLI::App& app, Context& context) {
  CLI::App* group = app.add_subcommand("keyring", "The root of a cluster's keys, as a file");
  group->require_subcommand(1);
  auto options = std::make_shared<KeyringOptions>();
  CLI::App* init = group->add_subcommand("init", "Make a sealed keyring with a root key");
  init->add_option("FILE", options->path, "A new file")->required();
  init->add_option("--passphrase-file", options->passphrase_file,
                   "What seals it: the file's content; drawn at random if it is not there")
      ->required();
  init->callback([&context, options] {
    context.run = [&context, options] { return InitKeyring(context, *options); };
  });
}

}  // namespace meridian::cli
