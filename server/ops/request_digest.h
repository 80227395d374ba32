// What a client asked for, as a hash: a request id used for something else is told by it (P5).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "crypto/hash.h"
#include "meridian/internal/v1/records.pb.h"
#include "meridian/v1/objects.pb.h"

namespace meridian::ops {

// Fields are added in one order for each kind of request; each is hashed with its length. Not
// thread-safe.
class RequestDigest {
 public:
  explicit RequestDigest(std::string_view kind) { Add(kind); }

  RequestDigest& Add(std::string_view field);
  RequestDigest& Add(uint64_t field);
  RequestDigest& Add(const internal::v1::Condition& condition);
  // In the order of keys.
  RequestDigest& Add(const google::protobuf::Map<std::string, std::string>& metadata);

  // 32 bytes; once.
  std::string Finish() { return hash_.Finish(); }

 private:
  crypto::Sha256Stream hash_;
};

}  // namespace meridian::ops
