#include "server/topology.h"

#include <gtest/gtest.h>

namespace meridian::server {
namespace {

TEST(Topology, HasTenNodesByDefault) {
  const Topology topology = Topology::Default();
  ASSERT_EQ(topology.nodes().size(), 10u);
  ASSERT_NE(topology.FindZone("east-1"), nullptr);
  EXPECT_EQ(topology.FindZone("east-1")->nodes,
            (std::vector<NodeId>{"east-1a", "east-1b", "east-1c"}));
  ASSERT_NE(topology.FindNode("west-3a"), nullptr);
  EXPECT_EQ(topology.FindNode("west-3a")->zone, "west-3");
  EXPECT_EQ(topology.FindNode("west-3a")->region, "west");
  EXPECT_EQ(topology.FindNode("north-1a"), nullptr);
  EXPECT_EQ(topology.FindZone("north-1"), nullptr);
}

TEST(Topology, ReadsWhatItPrints) {
  const auto read = Topology::Parse(Topology::Default().ToText());
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(*read, Topology::Default());
}

TEST(Topology, ReadsJson) {
  const auto read =
      Topology::Parse(R"( {"regions":[{"name":"r","zones":[{"name":"r-1","nodes":["a","b"]}]}]})");
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->FindZone("r-1")->nodes, (std::vector<NodeId>{"a", "b"}));
}

TEST(Topology, RefusesWhatIsNotATopology) {
  for (const char* text :
       {"", "garbage", "{\"regions\":7}", "regions { name: \"r\" }",
        "regions { name: \"R\" zones { name: \"z\" nodes: \"a\" } }",
        "regions { name: \"r\" zones { name: \"z\" nodes: \"a\" nodes: \"a\" } }",
        "regions { name: \"r\" zones { name: \"z\" nodes: \"-a\" } }",
        "regions { name: \"r\" zones { name: \"z\" nodes: \"a\" } zones { name: \"z\" } }"}) {
    EXPECT_EQ(Topology::Parse(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

TEST(Topology, SaysWhichFileItCannotRead) {
  const auto read = Topology::ReadFile("/nonexistent/topology");
  EXPECT_EQ(read.status().code(), absl::StatusCode::kNotFound);
  EXPECT_NE(read.status().ToString().find("/nonexistent/topology"), std::string::npos);
}

}  // namespace
}  // namespace meridian::server
