#include "base/id.h"

#include <algorithm>

#include "base/random.h"

namespace meridian {
namespace {

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

}  // namespace

template <typename Tag>
Id128<Tag> Id128<Tag>::Draw(Random& random) {
  Id128 id;
  while (id.is_nil()) random.Fill(id.bytes_);
  return id;
}

template <typename Tag>
std::optional<Id128<Tag>> Id128<Tag>::FromBytes(std::string_view bytes) {
  if (bytes.size() != kSize) return std::nullopt;
  Id128 id;
  std::copy(bytes.begin(), bytes.end(), id.bytes_.begin());
  return id;
}

template <typename Tag>
std::optional<Id128<Tag>> Id128<Tag>::FromHex(std::string_view hex) {
  if (hex.size() != 2 * kSize) return std::nullopt;
  Id128 id;
  for (size_t i = 0; i < kSize; ++i) {
    const int high = HexDigit(hex[2 * i]), low = HexDigit(hex[2 * i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    id.bytes_[i] = static_cast<uint8_t>(high << 4 | low);
  }
  return id;
}

template <typename Tag>
std::string Id128<Tag>::ToHex() const {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  hex.reserve(2 * kSize);
  for (uint8_t byte : bytes_) {
    hex.push_back(kDigits[byte >> 4]);
    hex.push_back(kDigits[byte & 15]);
  }
  return hex;
}

template class Id128<ClusterIdTag>;
template class Id128<TenantIdTag>;
template class Id128<ContainerIdTag>;
template class Id128<PartitionIdTag>;
template class Id128<ReplicaIdTag>;
template class Id128<DiskIdTag>;
template class Id128<OpeningIdTag>;
template class Id128<SessionIdTag>;
template class Id128<ObjectIdTag>;
template class Id128<VersionIdTag>;
template class Id128<RunIdTag>;
template class Id128<UploadIdTag>;
template class Id128<RequestIdTag>;
template class Id128<AccessKeyIdTag>;

}  // namespace meridian
