#include "server/ops/request_digest.h"

#include <map>

namespace meridian::ops {
namespace {

std::string BigEndian(uint64_t value) {
  std::string bytes;
  for (int shift = 56; shift >= 0; shift -= 8) bytes.push_back(static_cast<char>(value >> shift));
  return bytes;
}

}  // namespace

RequestDigest& RequestDigest::Add(std::string_view field) {
  hash_.Update(BigEndian(field.size()));
  hash_.Update(field);
  return *this;
}

RequestDigest& RequestDigest::Add(uint64_t field) { return Add(BigEndian(field)); }

RequestDigest& RequestDigest::Add(const internal::v1::Condition& condition) {
  return Add(condition.SerializeAsString());
}

RequestDigest& RequestDigest::Add(const google::protobuf::Map<std::string, std::string>& metadata) {
  Add(metadata.size());
  for (const auto& [key, value] :
       std::map<std::string, std::string>(metadata.begin(), metadata.end())) {
    Add(key).Add(value);
  }
  return *this;
}

}  // namespace meridian::ops
