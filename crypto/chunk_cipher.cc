#include "crypto/chunk_cipher.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/random.h"
#include "base/status.h"
#include "crypto/aes_gcm.h"
#include "crypto/hash.h"
#include "crypto/internal/encoding.h"

// chunk      = frame*                      every frame but the last holds kFrameBytes of plaintext
// frame      = AES-256-GCM ciphertext, tag(16)
// nonce      = prefix(7), frame number(4), last(1): 1 for the chunk's last frame, else 0
// aad        = format(1) = 1, suite(1), tenant(16), container(16), object(16), run(16),
//              chunk number(4), frame number(4), plaintext length of the frame(4)
// key(32), prefix(7) = HKDF-SHA-512-Expand(PRK, info("meridian chunk 1"), chunk number(4))
// commitment(32)     = HKDF-SHA-512-Expand(PRK, info("meridian run commitment 1"), object(16))
// info(purpose)      = purpose as a field, suite(1), tenant(16), container(16), run(16)
// PRK        = HKDF-SHA-512-Extract(salt of the run, DEK)
// Integers are big endian.

namespace meridian::crypto {
namespace {

constexpr char kFormat = 1;
constexpr size_t kPrefixBytes = 7;
static_assert(kFrameTagBytes == kTagBytes);
static_assert(kPrefixBytes + 4 + 1 == kNonceBytes);

// Memory that is not cleared first: it is written in full before it is shown.
std::shared_ptr<char[]> Allocate(size_t size_bytes) {
  return std::make_shared_for_overwrite<char[]>(size_bytes);
}

void PutU32(char* out, uint32_t value) {
  for (int i = 3; i >= 0; --i, value >>= 8) out[i] = static_cast<char>(value);
}

std::string AadPrefix(Suite suite, const RunIdentity& identity, uint32_t chunk) {
  std::string aad;
  aad.reserve(80);
  aad.push_back(kFormat);
  aad.push_back(static_cast<char>(suite));
  aad.append(identity.tenant.bytes()).append(identity.container.bytes());
  aad.append(identity.object.bytes()).append(identity.run.bytes());
  AppendU32(aad, chunk);
  return aad;
}

// What makes one frame's nonce and aad, changed in place from frame to frame.
class FrameParameters {
 public:
  FrameParameters(std::string aad_prefix, const std::array<char, kPrefixBytes>& nonce_prefix)
      : aad_(std::move(aad_prefix)), aad_prefix_bytes_(aad_.size()) {
    aad_.resize(aad_prefix_bytes_ + 8);
    std::copy(nonce_prefix.begin(), nonce_prefix.end(), nonce_.begin());
  }

  void Set(uint32_t frame, uint32_t plaintext_bytes, bool last) {
    PutU32(nonce_.data() + kPrefixBytes, frame);
    nonce_[kNonceBytes - 1] = last ? 1 : 0;
    PutU32(aad_.data() + aad_prefix_bytes_, frame);
    PutU32(aad_.data() + aad_prefix_bytes_ + 4, plaintext_bytes);
  }
  std::string_view nonce() const { return {nonce_.data(), nonce_.size()}; }
  std::string_view aad() const { return aad_; }

 private:
  std::string aad_;
  const size_t aad_prefix_bytes_;
  std::array<char, kNonceBytes> nonce_{};
};

// Takes a frame's plaintext from pieces, without copying it.
class PieceReader {
 public:
  explicit PieceReader(std::span<const std::string_view> pieces) : pieces_(pieces) {}

  // The next `size_bytes`, which must be there; lives until the next call.
  std::span<const std::string_view> Take(size_t size_bytes) {
    taken_.clear();
    while (size_bytes > 0) {
      const std::string_view rest = pieces_.front().substr(used_);
      const std::string_view piece = rest.substr(0, size_bytes);
      if (!piece.empty()) taken_.push_back(piece);
      size_bytes -= piece.size();
      used_ += piece.size();
      if (piece.size() == rest.size()) {
        pieces_ = pieces_.subspan(1);
        used_ = 0;
      }
    }
    return taken_;
  }

 private:
  std::span<const std::string_view> pieces_;
  size_t used_ = 0;
  std::vector<std::string_view> taken_;
};

}  // namespace

struct RunCipher::ChunkKey {
  SecretKey key;
  std::array<char, kPrefixBytes> nonce_prefix;
};

RunCipher::RunCipher(const SecretKey& dek, const RunIdentity& identity, RunHeader header)
    : identity_(identity), hkdf_(dek, header.salt), header_(std::move(header)) {}

std::unique_ptr<RunCipher> RunCipher::Create(const SecretKey& dek, const RunIdentity& identity,
                                             Random& random) {
  RunHeader header;
  header.salt.resize(RunHeader::kSaltBytes);
  random.Fill({reinterpret_cast<uint8_t*>(header.salt.data()), header.salt.size()});
  std::unique_ptr<RunCipher> cipher(new RunCipher(dek, identity, std::move(header)));
  cipher->header_.commitment = cipher->Commitment();
  return cipher;
}

absl::StatusOr<std::unique_ptr<RunCipher>> RunCipher::Open(const SecretKey& dek,
                                                           const RunIdentity& identity,
                                                           const RunHeader& header) {
  if (header.suite != Suite::kAes256GcmStream) {
    return absl::UnimplementedError("this version does not know the cipher suite of the run");
  }
  if (header.salt.size() != RunHeader::kSaltBytes) {
    return absl::DataLossError("a run's salt is not 32 bytes long");
  }
  std::unique_ptr<RunCipher> cipher(new RunCipher(dek, identity, header));
  if (!ConstantTimeEqual(cipher->Commitment(), header.commitment)) {
    return absl::DataLossError("the key is not the one that the run was encrypted with");
  }
  return cipher;
}

std::string RunCipher::Info(std::string_view purpose) const {
  std::string info;
  info.reserve(96);
  AppendField(info, purpose);
  info.push_back(static_cast<char>(header_.suite));
  info.append(identity_.tenant.bytes()).append(identity_.container.bytes());
  info.append(identity_.run.bytes());
  return info;
}

std::string RunCipher::Commitment() const {
  std::string commitment(RunHeader::kCommitmentBytes, '\0');
  hkdf_.Expand(Info("meridian run commitment 1").append(identity_.object.bytes()),
               {reinterpret_cast<uint8_t*>(commitment.data()), commitment.size()});
  return commitment;
}

RunCipher::ChunkKey RunCipher::DeriveChunkKey(uint32_t number) const {
  std::string info = Info("meridian chunk 1");
  AppendU32(info, number);
  std::array<char, SecretKey::kSize + kPrefixBytes> bytes;
  hkdf_.Expand(info, {reinterpret_cast<uint8_t*>(bytes.data()), bytes.size()});
  ChunkKey key{*SecretKey::FromBytes({bytes.data(), SecretKey::kSize}), {}};
  std::copy_n(bytes.begin() + SecretKey::kSize, kPrefixBytes, key.nonce_prefix.begin());
  SecureZero(bytes.data(), bytes.size());
  return key;
}

absl::StatusOr<Buffer> RunCipher::EncryptChunk(uint32_t number, std::string_view plaintext) const {
  return EncryptChunk(number, std::span(&plaintext, 1));
}

absl::StatusOr<Buffer> RunCipher::EncryptChunk(uint32_t number,
                                               std::span<const std::string_view> plaintext) const {
  size_t total = 0;
  for (std::string_view piece : plaintext) total += piece.size();
  if (total > kChunkBytes) return absl::InvalidArgumentError("a chunk of more than 1 MiB");
  const auto size = static_cast<uint32_t>(total);
  const std::shared_ptr<char[]> out = Allocate(CiphertextBytes(size));

  const ChunkKey key = DeriveChunkKey(number);
  FrameParameters frame(AadPrefix(header_.suite, identity_, number), key.nonce_prefix);
  ThreadAesGcm cipher(key.key);
  PieceReader reader(plaintext);
  char* next = out.get();
  const uint32_t frames = FrameCount(size);
  for (uint32_t i = 0; i < frames; ++i) {
    const uint32_t bytes = std::min(kFrameBytes, size - i * kFrameBytes);
    frame.Set(i, bytes, i + 1 == frames);
    cipher->Seal(frame.nonce(), frame.aad(), reader.Take(bytes), next);
    next += bytes + kFrameTagBytes;
  }
  return Buffer(out, {out.get(), CiphertextBytes(size)});
}

absl::StatusOr<Buffer> RunCipher::DecryptRange(uint32_t number, uint32_t chunk_plaintext_bytes,
                                               const FrameRange& range,
                                               std::string_view ciphertext) const {
  const uint32_t offset = range.first_frame * kFrameBytes + range.skip_bytes;
  CHECK_INVARIANT(range == MapRange(chunk_plaintext_bytes, offset, range.plaintext_bytes),
                  "a range that was not made by MapRange for this chunk");
  if (ciphertext.size() != range.ciphertext_bytes) {
    return absl::DataLossError("a chunk's ciphertext has the wrong size");
  }
  const uint32_t size = range.ciphertext_bytes - range.frame_count * kFrameTagBytes;
  const std::shared_ptr<char[]> out = Allocate(size);

  const ChunkKey key = DeriveChunkKey(number);
  FrameParameters frame(AadPrefix(header_.suite, identity_, number), key.nonce_prefix);
  ThreadAesGcm cipher(key.key);
  const uint32_t frames = FrameCount(chunk_plaintext_bytes);
  for (uint32_t done = 0, i = range.first_frame; i < range.first_frame + range.frame_count; ++i) {
    const uint32_t bytes = std::min(kFrameBytes, chunk_plaintext_bytes - i * kFrameBytes);
    frame.Set(i, bytes, i + 1 == frames);
    RETURN_IF_ERROR(cipher->Open(frame.nonce(), frame.aad(),
                                 ciphertext.substr(0, bytes + kFrameTagBytes), out.get() + done));
    ciphertext.remove_prefix(bytes + kFrameTagBytes);
    done += bytes;
  }
  return Buffer(out, {out.get() + range.skip_bytes, range.plaintext_bytes});
}

absl::StatusOr<Buffer> RunCipher::DecryptChunk(uint32_t number, std::string_view ciphertext) const {
  const std::optional<uint32_t> size = PlaintextBytes(ciphertext.size());
  if (!size) return absl::DataLossError("no chunk has a ciphertext of this size");
  return DecryptRange(number, *size, MapRange(*size, 0, *size), ciphertext);
}

}  // namespace meridian::crypto
