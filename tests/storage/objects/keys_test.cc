#include "storage/objects/keys.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/random.h"

namespace meridian::objects {
namespace {

VersionPlace PlaceOf(uint64_t timestamp, uint32_t geo_epoch, uint8_t version) {
  return {.timestamp = Timestamp(timestamp),
          .geo_epoch = geo_epoch,
          .version = *VersionId::FromBytes(std::string(16, static_cast<char>(version)))};
}

TEST(Keys, OrderNamesByBytesAlsoWhereOneIsAPrefixOfTheOther) {
  const std::vector<std::string> names = {"\x01", "a", "a\x01", "a/", "a/b", "a0",
                                          "aa",   "b", "\x7f",  "ä",  "€",   "😀"};
  std::vector<std::string> sorted = names;
  std::sort(sorted.begin(), sorted.end());
  std::vector<std::string> keys;
  for (const std::string& name : names) {
    // Newest and oldest place: neither reaches into another name's rows.
    keys.push_back(EncodeObjectKey(name, PlaceOf(0, 0, 0)));
    keys.push_back(EncodeObjectKey(name, PlaceOf(~uint64_t{0}, ~uint32_t{0}, 255)));
  }
  std::sort(keys.begin(), keys.end());
  std::vector<std::string> decoded;
  for (size_t i = 0; i < keys.size(); i += 2) {
    EXPECT_EQ(NameOfObjectKey(keys[i]), NameOfObjectKey(keys[i + 1]));
    decoded.emplace_back(NameOfObjectKey(keys[i]));
  }
  EXPECT_EQ(decoded, sorted);
}

TEST(Keys, OrderVersionsNewestFirstByTimestampThenGeoEpochThenVersionId) {
  const std::vector<VersionPlace> newest_first = {PlaceOf(300, 1, 1), PlaceOf(256, 9, 1),
                                                  PlaceOf(256, 8, 200), PlaceOf(256, 8, 199),
                                                  PlaceOf(255, 9, 9)};
  for (size_t i = 1; i < newest_first.size(); ++i) {
    EXPECT_LT(EncodeObjectKey("n", newest_first[i - 1]), EncodeObjectKey("n", newest_first[i]));
    EXPECT_GT(newest_first[i - 1], newest_first[i]);
  }
}

TEST(Keys, KeepANamesRowsInItsRange) {
  for (const std::string name : {"a", "a/b", "ab"}) {
    for (const VersionPlace& place : {PlaceOf(0, 0, 0), PlaceOf(~uint64_t{0}, ~uint32_t{0}, 255)}) {
      const std::string key = EncodeObjectKey(name, place);
      EXPECT_GE(key, ObjectRangeBegin(name));
      EXPECT_LT(key, ObjectRangeEnd(name));
    }
  }
  EXPECT_LE(ObjectRangeEnd("a"), ObjectRangeBegin("a/b"));
}

TEST(Keys, RoundTrip) {
  SeededRandom random(1);
  const VersionPlace place{
      .timestamp = Timestamp(12345), .geo_epoch = 7, .version = VersionId::Draw(random)};
  const auto object = DecodeObjectKey(EncodeObjectKey("some/näme", place));
  ASSERT_TRUE(object.ok()) << object.status();
  EXPECT_EQ(object->name, "some/näme");
  EXPECT_EQ(object->place, place);

  const auto indexed = DecodeVersionIndexValue(place.version, EncodeVersionIndexValue(place));
  ASSERT_TRUE(indexed.ok());
  EXPECT_EQ(*indexed, place);

  const RunId run = RunId::Draw(random);
  const auto expiry = DecodeExpiryKey(EncodeExpiryKey(Queue::kUpload, 99, run.bytes()));
  ASSERT_TRUE(expiry.ok());
  EXPECT_EQ(expiry->expire_time_us, 99);
  EXPECT_EQ(expiry->id, run.bytes());

  const auto garbage = DecodeGarbageKey(EncodeGarbageKey({.index = LogIndex(5), .run = run}));
  ASSERT_TRUE(garbage.ok());
  EXPECT_EQ(garbage->index, LogIndex(5));
  EXPECT_EQ(garbage->run, run);
}

// Golden: the layout is on disks.
TEST(Keys, HaveTheDocumentedBytes) {
  const std::string key = EncodeObjectKey("ab", PlaceOf(0x0102, 3, 0xf0));
  std::string expected("oab\0\xff\xff\xff\xff\xff\xff\xfe\xfd\xff\xff\xff\xfc", 16);
  expected += std::string(16, '\x0f');
  EXPECT_EQ(key, expected);
  EXPECT_EQ(EncodeGarbageKey({.index = LogIndex(0x0100), .run = RunId()}),
            std::string("g\0\0\0\0\0\0\x01\0", 9) + std::string(16, '\0'));
  EXPECT_EQ(EncodeExpiryKey(Queue::kRequest, 2, std::string(16, 'i')),
            std::string("eq\0\0\0\0\0\0\0\x02", 10) + std::string(16, 'i'));
  EXPECT_EQ(MetaKey(), "m");
}

TEST(Keys, RefuseBytesThatAreNoKey) {
  EXPECT_FALSE(DecodeObjectKey("").ok());
  EXPECT_FALSE(DecodeObjectKey("o").ok());
  EXPECT_FALSE(DecodeObjectKey(std::string(64, 'o')).ok());
  std::string two_zeros = EncodeObjectKey("abc", PlaceOf(1, 1, 1));
  two_zeros[2] = '\0';
  EXPECT_FALSE(DecodeObjectKey(two_zeros).ok());
  EXPECT_FALSE(DecodeExpiryKey("eq").ok());
  EXPECT_FALSE(DecodeGarbageKey("g").ok());
  EXPECT_FALSE(DecodeVersionIndexValue(VersionId(), "short").ok());
  EXPECT_EQ(NameOfObjectKey("o"), "");
}

TEST(Keys, SucceedAPrefix) {
  EXPECT_EQ(PrefixSuccessor("a/"), "a0");
  EXPECT_EQ(PrefixSuccessor("a\xff\xff"), "b");
}

}  // namespace
}  // namespace meridian::objects
