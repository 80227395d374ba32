#include "tests/bench/limits.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/random.h"
#include "base/status.h"
#include "crypto/aes_gcm.h"
#include "crypto/secret_key.h"

namespace meridian::bench {
namespace {

constexpr size_t kBlockBytes = 1 << 20;
constexpr size_t kFileBytes = 512 << 20;
constexpr size_t kSyncBytes = 4096;
constexpr size_t kFrameBytes = 64 << 10;
constexpr absl::Duration kTime = absl::Seconds(1);

absl::Status Errno(const std::string& what) {
  return absl::UnknownError(what + ": " + std::strerror(errno));
}

double Seconds(absl::Time since) { return absl::ToDoubleSeconds(absl::Now() - since); }

double MbPerS(size_t bytes, double seconds) { return static_cast<double>(bytes) / 1e6 / seconds; }

// A file that vanishes with its descriptor.
class ScratchFile {
 public:
  explicit ScratchFile(const std::string& folder) : path_(folder + "/limits.tmp") {}
  ~ScratchFile() {
    if (fd_ >= 0) close(fd_);
    unlink(path_.c_str());
  }
  absl::Status Open() {
    fd_ = open(path_.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_DIRECT | O_CLOEXEC, 0600);
    // Not every file system has O_DIRECT.
    if (fd_ < 0) fd_ = open(path_.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    return fd_ < 0 ? Errno("open " + path_) : absl::OkStatus();
  }
  int fd() const { return fd_; }

 private:
  const std::string path_;
  int fd_ = -1;
};

// O_DIRECT wants aligned memory.
std::unique_ptr<char, void (*)(void*)> AlignedBlock() {
  void* memory = std::aligned_alloc(4096, kBlockBytes);
  std::memset(memory, 0x5a, kBlockBytes);
  return {static_cast<char*>(memory), std::free};
}

absl::Status WriteAll(int fd, const char* block) {
  for (size_t at = 0; at < kFileBytes; at += kBlockBytes) {
    const ssize_t count = pwrite(fd, block, kBlockBytes, static_cast<off_t>(at));
    if (count != static_cast<ssize_t>(kBlockBytes)) return Errno("write");
  }
  return fdatasync(fd) == 0 ? absl::OkStatus() : Errno("fdatasync");
}

absl::Status MeasureDisk(const std::string& folder, Limits& limits) {
  ScratchFile file(folder);
  RETURN_IF_ERROR(file.Open());
  const auto block = AlignedBlock();
  // The store writes into recycled files: the first pass only makes the file.
  RETURN_IF_ERROR(WriteAll(file.fd(), block.get()));
  absl::Time start = absl::Now();
  RETURN_IF_ERROR(WriteAll(file.fd(), block.get()));
  limits.seq_write_mb_per_s = MbPerS(kFileBytes, Seconds(start));

  start = absl::Now();
  for (size_t at = 0; at < kFileBytes; at += kBlockBytes) {
    const ssize_t count = pread(file.fd(), block.get(), kBlockBytes, static_cast<off_t>(at));
    if (count != static_cast<ssize_t>(kBlockBytes)) return Errno("read");
  }
  limits.seq_read_mb_per_s = MbPerS(kFileBytes, Seconds(start));

  start = absl::Now();
  int syncs = 0;
  while (absl::Now() - start < kTime) {
    const off_t at = static_cast<off_t>((static_cast<size_t>(syncs) * kSyncBytes) % kFileBytes);
    if (pwrite(file.fd(), block.get(), kSyncBytes, at) != static_cast<ssize_t>(kSyncBytes) ||
        fdatasync(file.fd()) != 0) {
      return Errno("fdatasync");
    }
    ++syncs;
  }
  limits.fdatasync_per_s = syncs / Seconds(start);
  return absl::OkStatus();
}

void MeasureCipher(Limits& limits) {
  SystemRandom random;
  crypto::AesGcm cipher(crypto::SecretKey::Draw(random));
  const std::string plaintext(kFrameBytes, 'x');
  std::string sealed(kFrameBytes + crypto::kTagBytes, '\0');
  std::string nonce(crypto::kNonceBytes, '\0');
  const absl::Time start = absl::Now();
  uint64_t frames = 0;
  while (absl::Now() - start < kTime) {
    std::memcpy(nonce.data(), &frames, sizeof(frames));
    cipher.Seal(nonce, "", plaintext, sealed.data());
    ++frames;
  }
  limits.aes_256_gcm_mb_per_s = MbPerS(frames * kFrameBytes, Seconds(start));
}

}  // namespace

absl::StatusOr<Limits> MeasureLimits(const std::string& folder) {
  Limits limits;
  RETURN_IF_ERROR(MeasureDisk(folder, limits));
  MeasureCipher(limits);
  return limits;
}

}  // namespace meridian::bench
