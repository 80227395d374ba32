#include "replication/transport/renewing_certificates.h"

#include <fcntl.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/executor.h"
#include "base/status.h"

namespace meridian::replication {
namespace {

constexpr unsigned kWatchSeconds = 1;

absl::StatusOr<int> FileInMemory(std::string_view bytes) {
  const int fd = memfd_create("certificate", MFD_CLOEXEC);
  if (fd < 0) return absl::UnavailableError(absl::StrCat("memfd_create: errno ", errno));
  while (!bytes.empty()) {
    const ssize_t written = write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) {
      const int error = errno;
      close(fd);
      return absl::UnavailableError(absl::StrCat("writing to memory: errno ", error));
    }
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return fd;
}

// A file that others of this process open by its path, that is on no disk, and whose contents
// change at once: whoever opens it has the old ones or the new. It stays until the process ends,
// since gRPC's watcher outlives its owner for as long as a channel does, and another file of this
// number would be read instead.
class MemoryFile {
 public:
  MemoryFile() = default;
  MemoryFile(const MemoryFile&) = delete;

  absl::Status Set(std::string_view bytes) {
    ASSIGN_OR_RETURN(const int next, FileInMemory(bytes));
    if (fd_ < 0) {
      fd_ = next;
      return absl::OkStatus();
    }
    const int replaced = dup3(next, fd_, O_CLOEXEC);
    const int error = errno;
    close(next);
    if (replaced >= 0) return absl::OkStatus();
    return absl::UnavailableError(absl::StrCat("dup3: errno ", error));
  }
  std::string path() const { return absl::StrCat("/proc/self/fd/", fd_); }

 private:
  int fd_ = -1;
};

// gRPC has no provider that is told; it has one that watches files, which are made here of what was
// found to be usable.
class RenewingProvider final : public grpc::experimental::CertificateProviderInterface {
 public:
  explicit RenewingProvider(CertificateSource source) : source_(std::move(source)) {}

  absl::Status Start(const CertificatePem& first) {
    RETURN_IF_ERROR(Use(first));
    watcher_.emplace(identity_.path(), identity_.path(), ca_.path(), kWatchSeconds);
    thread_ = MakeThreadExecutor("certificates");
    ScheduleTurn();
    return absl::OkStatus();
  }

  grpc_tls_certificate_provider* c_provider() override { return watcher_->c_provider(); }

 private:
  // The task is the only one to touch what follows, from Start on.
  void ScheduleTurn() {
    thread_->PostAfter(source_.interval, [this] {
      Turn();
      ScheduleTurn();
    });
  }

  void Turn() {
    const absl::StatusOr<CertificatePem> read = source_.read();
    absl::Status status = read.status();
    if (read.ok() && *read != in_use_) {
      status = Use(*read);
      if (status.ok()) source_.told(status);
    }
    if (!status.ok() && status != last_) source_.told(status);
    last_ = std::move(status);
  }

  absl::Status Use(const CertificatePem& pem) {
    RETURN_IF_ERROR(ca_.Set(pem.ca_certificate));
    // One file of both, which are to be read together: each reader skips the other's blocks.
    RETURN_IF_ERROR(identity_.Set(absl::StrCat(pem.certificate, "\n", pem.private_key)));
    in_use_ = pem;
    return absl::OkStatus();
  }

  const CertificateSource source_;
  MemoryFile ca_;
  MemoryFile identity_;
  CertificatePem in_use_;
  absl::Status last_;
  std::optional<grpc::experimental::FileWatcherCertificateProvider> watcher_;
  std::unique_ptr<Executor> thread_;  // the last: its tasks use the others
};

}  // namespace

absl::StatusOr<CertificateProvider> RenewCertificates(const CertificatePem& first,
                                                      CertificateSource source) {
  auto provider = std::make_shared<RenewingProvider>(std::move(source));
  RETURN_IF_ERROR(provider->Start(first));
  return CertificateProvider(std::move(provider));
}

}  // namespace meridian::replication
