// Many releases, one after the other, from slot to slot.
#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <filesystem>

#include "tests/held.h"
#include "tests/no_progress.h"
#include "tests/node/file_world.h"
#include "tests/node/release_line.h"
#include "tests/source/http_server.h"
#include "tests/torture.h"
#include "updater/engine/gate.h"
#include "updater/engine/update.h"

namespace hostos {
namespace {

namespace fs = std::filesystem;

// What the node keeps, except its slots, the record with its history, and the list of releases,
// whose length is up to the publisher.
struct Kept {
  size_t files = 0;
  uint64_t bytes = 0;
};

Kept KeptBy(const FileNode& node) {
  Kept kept;
  for (const char* part : {"esp", "state", "fetch"}) {
    if (!fs::exists(node / part)) continue;
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(node / part)) {
      if (!entry.is_regular_file()) continue;
      kept.files++;
      const fs::path name = entry.path().filename();
      if (name != "record.json" && name != "targets.json") kept.bytes += entry.file_size();
    }
  }
  return kept;
}

// The newest list of releases, which is the longest.
uint64_t PublishedBytes(const std::string& repository) {
  uint64_t bytes = 0;
  for (const fs::directory_entry& entry : fs::directory_iterator(repository + "/metadata"))
    if (entry.path().string().ends_with(".targets.json"))
      bytes = std::max<uint64_t>(bytes, entry.file_size());
  return bytes;
}

TEST_CASE("release after release, from slot to slot, nothing grows and nothing is left over") {
  const int flips = Thorough() ? 200 : 10;
  Count(static_cast<size_t>(flips), "flips");
  ReleaseLine line;
  const HttpServer server(line.releases().repo);
  const FileNode node(line.releases(), server.url());
  FileWorld files(node.directory());
  Config config;
  config.health.window = Seconds(0);
  Slot running = Slot::A;
  Kept steady;
  for (int flip = 1; flip <= flips; flip++) {
    CAPTURE(flip);
    const Release release = line.Publish(std::format("1.0.{}", flip), 2);
    NoProgress progress;
    Held(Update(files.world, config, {}, progress));
    running = Other(running);
    REQUIRE(Held(node.Boot()) == running);
    REQUIRE(Held(RunGate(files.world, config)).verdict.healthy);

    const BootState state = Held(files.world.boot.Read());
    CHECK(state.release()->root_hash == release.root_hash);
    CHECK(!state.on_trial());
    CHECK(state.next() == running);
    // The first two flips replace the release that came with the disk.
    const Kept now = KeptBy(node);
    if (flip == 2) steady = now;
    if (flip <= 2) continue;
    CHECK(now.files == steady.files);
    CHECK(now.bytes < steady.bytes + steady.bytes / 100);
    CHECK(fs::file_size(node / "state/record.json") < 64 << 10);
    CHECK(fs::file_size(node / "state/tuf/targets.json") == PublishedBytes(line.releases().repo));
  }
}

}  // namespace
}  // namespace hostos
