// Delta packs, from the builder to a node that fetches them from a real web server: what moves,
// what is taken up again, and what a pack that lies can do.
#include "updater/release/delta_pack.h"

#include <signal.h>
#include <sys/wait.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <filesystem>
#include <random>

#include "images/bundle_release.h"
#include "images/publish/pack_bases.h"
#include "tests/held.h"
#include "tests/noise.h"
#include "tests/source/update_fixture.h"
#include "tests/torture.h"

namespace hostos {
namespace {

namespace fs = std::filesystem;

// A file in a cpio archive of mode "newc" as far as this matters: it begins at a multiple of four.
std::string Entry(const std::string& name, const std::string& content) {
  std::string entry = "070701" + std::string(104, '0') + name;
  entry.resize((entry.size() + 3) / 4 * 4);
  entry += content;
  return entry.append((4 - entry.size() % 4) % 4, '\0');
}

// A node of 1.0 and a server that has 1.1, with a pack from 1.0: a large file with a few changes, a
// module and a library with other names, a text, a new file, and a boot image made of files.
struct Packed : Update {
  Packed() {
    // The first release of Update is not what nodes here run.
    fs::remove_all(parent);
    Files("1.0", "");
    const Digest old = publisher.Publish(tree, "1.1", Image("1.0"));
    InitBare(parent);
    Hold(old);
    for (const char* name : {"lib/modules/1.0", "lib/libx.so.1.0"})
      fs::remove_all(tree + "/usr/" + name);
    Files("1.1", "changed ");
    publisher.Publish(tree, "1.2", Image("1.1"));
    publisher.Pack("1.1", "1.2");
    from = publisher.CommitOf("1.1").release.root_hash;
    to = publisher.CommitOf("1.2").release.root_hash;
    path = publisher.path + "/" + PackPath(from, to);
  }

  void Files(const std::string& version, const std::string& change) {
    std::string large = Noise(9'000'000, 7);
    large.insert(1000, change).insert(5'000'000, change);
    large.append(change);
    kernel = Noise(700'000, version == "1.0" ? 8 : 9);
    WriteText(tree + "/usr/lib/large", large);
    WriteText(tree + "/usr/lib/modules/" + version + "/module.ko", change + Noise(300'000, 10));
    WriteText(tree + "/usr/lib/modules/" + version + "/vmlinuz", kernel);
    WriteText(tree + "/usr/lib/libx.so." + version, Noise(200'000, 11) + change);
    WriteText(tree + "/usr/lib/text", change + "of " + version);
    WriteText(tree + "/usr/lib/new-in-" + version, Noise(1000, 12) + version);
    fs::remove(tree + "/usr/lib/link");
    fs::create_symlink("target of " + version, tree + "/usr/lib/link");
  }

  std::string Image(const std::string& version) const {
    std::string image = "MZ " + std::string(1021, 'x') + kernel;
    image.resize((image.size() + 511) / 512 * 512);
    for (const std::string& name : {std::string("large"), "modules/" + version + "/module.ko"})
      image += Entry(name, ReadText(tree + "/usr/lib/" + name));
    return image + "the end of " + version;
  }

  SourceOptions Holding(const std::string& url) const {
    SourceOptions options = Options(url);
    options.holds = {from};
    return options;
  }
  LocalSource Serve(const std::string& extra = "") {
    server = std::make_unique<HttpServer>(publisher.path, extra);
    return LocalSource(Holding(server->url()));
  }

  // Where the node receives the pack.
  std::string Part() const {
    return std::format("{}/packs/{}-{}", staging, to.Short(), from.Short());
  }
  // What the server sent of the pack, and the objects that it sent beside it.
  uint64_t PackBytes() const {
    uint64_t bytes = 0;
    for (const HttpRequest& request : server->Requests())
      if (request.path.starts_with("/packs/")) bytes += request.body_bytes;
    return bytes;
  }
  Traffic Sent() const {
    Traffic sent;
    for (const HttpRequest& request : server->Requests()) {
      const bool pack = request.path.starts_with("/packs/");
      sent += {request.body_bytes, 1, pack ? request.body_bytes : 0, pack};
    }
    return sent;
  }
  size_t Objects() const {
    size_t objects = 0;
    for (const HttpRequest& request : server->Requests())
      objects += request.path.starts_with("/objects/") && !request.path.contains(".commit");
    return objects;
  }

  std::string kernel;
  Digest from, to;
  std::string path;  // of the pack
};

// Everything of the release is in the staging repository, and it seals to what was signed.
void CheckStaged(const Update& update, LocalSource& source, const Target& target) {
  CHECK(Shell("ostree fsck --repo=" + update.staging).status == 0);
  CHECK(source.Plan(target)->objects == 0);
  std::error_code absent;
  CHECK(fs::directory_iterator(update.staging + "/packs", absent) == fs::directory_iterator());
  Result<Checkout> checkout = source.Open(target);
  REQUIRE(checkout);
  CHECK(CheckImage(*checkout, target.release));
  CHECK(*HashFile(checkout->uki.get(), target.release.uki_size) == target.release.uki_digest);
}

TEST_CASE("a delta pack brings all that an update lacks, in one request") {
  Packed update;
  LocalSource source = update.Serve();
  const Target target = *source.Resolve(std::nullopt, kNow);
  const FetchPlan plan = *source.Plan(target);
  CHECK(plan.packed);
  CHECK(plan.download_bytes == fs::file_size(update.path));
  CHECK(plan.download_bytes < 750'000);  // the new kernel, once
  NoProgress progress;
  const Result<FetchStats> stats = source.Fetch(target, progress);
  REQUIRE(stats);
  CHECK(stats->problem == "");
  CHECK(stats->objects == plan.objects);
  CHECK(stats->bytes == plan.download_bytes);
  CHECK(update.Objects() == 0);
  CHECK(update.server->Requests().size() <= 8);
  CHECK(source.Moved() == update.Sent());
  CHECK(source.Moved().pack_bytes == plan.download_bytes);
  CHECK(source.Moved().pack_requests == 1);
  CheckStaged(update, source, target);
}

TEST_CASE("a delta pack in a directory or a bundle serves as one on a server does") {
  static Packed update;
  update.Forget();
  std::string place = update.publisher.path;
  if (GENERATE(true, false)) {
    place = update.publisher.directory / "bundle";
    REQUIRE(BundleRelease({.repo = update.publisher.path,
                           .architecture = "x86-64",
                           .channel = "stable",
                           .version = "1.2",
                           .from = "1.1",
                           .output = place},
                          kNow));
    CHECK(fs::file_size(place) < 950'000);
  } else {
    for (const std::string& file : FilesEndingIn(place + "/objects", ".filez")) fs::remove(file);
  }
  LocalSource source(update.Holding(place));
  const Target target = *source.Resolve(std::nullopt, kNow);
  NoProgress progress;
  const FetchStats stats = Held(source.Fetch(target, progress));
  CheckStaged(update, source, target);
}

TEST_CASE("a bundle with a delta pack also brings the last object that is missing") {
  static Packed update;
  update.Forget();
  const std::string bundle = update.publisher.directory / "bundle";
  const BundleOptions options = {.repo = update.publisher.path,
                                 .architecture = "x86-64",
                                 .channel = "stable",
                                 .version = "1.2",
                                 .from = "1.1",
                                 .output = bundle};
  NoProgress progress;
  LocalSource whole = update.FromDirectory();
  const Target target = *whole.Resolve(std::nullopt, kNow);
  REQUIRE(whole.Fetch(target, progress));
  const Repo parent = *Repo::Open(update.parent);
  const auto small = std::ranges::find_if(target.sizes, [&](const ObjectSize& object) {
    return object.type == ObjectType::kFile && object.unpacked < 5000 &&
           !*parent.Has(object.type, object.checksum);
  });
  fs::remove(update.staging + "/" + ObjectPath(small->checksum, "file"));
  // If the pack is gone, the objects are in the bundle.
  if (GENERATE(false, true)) fs::remove(update.path);
  REQUIRE(BundleRelease(options, kNow));
  LocalSource source(update.Holding(bundle));
  const Target found = *source.Resolve(std::nullopt, kNow);
  const FetchStats stats = Held(source.Fetch(found, progress));
  CHECK(stats.objects == 1);
  CheckStaged(update, source, found);
}

TEST_CASE("a delta pack for a release that this machine does not hold is not fetched") {
  Packed update;
  LocalSource source = update.Source();
  const Target target = *source.Resolve(std::nullopt, kNow);
  CHECK_FALSE(source.Plan(target)->packed);
  NoProgress progress;
  REQUIRE(source.Fetch(target, progress));
  CHECK(update.PackBytes() == 0);
  CheckStaged(update, source, target);
}

TEST_CASE("of a delta pack that was cut off anywhere no byte is fetched twice") {
  Packed update;
  LocalSource source = update.Serve();
  const Target target = *source.Resolve(std::nullopt, kNow);
  const std::string pack = ReadText(update.path);
  std::vector<size_t> cuts = {1, kPackHeaderBytes, pack.size() - 1};
  const uint64_t index = *ParsePackHeader(pack.substr(0, kPackHeaderBytes));
  size_t at = kPackHeaderBytes + index;
  const PackIndex parsed =
      *ParsePackIndex(pack.substr(kPackHeaderBytes, index), target.sizes.size(), pack.size() - at);
  for (const PackObject& object : parsed.objects)
    for (const PackFrame& frame : object.frames) {
      cuts.push_back(at);
      at += frame.packed;
    }
  std::mt19937 random(1);
  for (int i = 0; i < (Thorough() ? 100 : 10); i++) cuts.push_back(random() % pack.size());
  NoProgress progress;
  for (const size_t cut : cuts) {
    CAPTURE(cut, pack.size());
    REQUIRE(source.Discard());
    const std::string part = update.Part();
    WriteText(part, pack.substr(0, cut));
    CHECK(source.Plan(target)->download_bytes == pack.size() - cut);
    const Result<FetchStats> stats = source.Fetch(target, progress);
    REQUIRE(stats);
    CHECK(stats->bytes == pack.size() - cut);
    CHECK(stats->problem == "");
    CHECK_FALSE(fs::exists(part));
  }
  CHECK(update.Objects() == 0);
  CheckStaged(update, source, target);
}

TEST_CASE("after kill -9 while a delta pack comes in the next fetch goes on at the next byte") {
  Packed update;
  (void)update.Serve("limit_rate 400k;");
  const std::string part = update.Part();
  const pid_t child = ::fork();
  if (child == 0) {
    ::execl(SOURCE_FETCH, SOURCE_FETCH, update.server->url().c_str(), update.staging.c_str(),
            update.parent.c_str(), update.publisher.keys.c_str(), update.publisher.root.c_str(),
            update.trusted.c_str(), update.from.Hex().c_str(), nullptr);
    ::_exit(127);
  }
  std::error_code error;
  while (!(fs::file_size(part, error) > 200'000 && !error)) SystemClock().Sleep(Milliseconds(5));
  REQUIRE(::kill(child, SIGKILL) == 0);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFSIGNALED(status));
  const uint64_t had = fs::file_size(part);
  LocalSource source = update.Serve();
  const Target target = *source.Resolve(std::nullopt, kNow);
  NoProgress progress;
  const Result<FetchStats> stats = source.Fetch(target, progress);
  REQUIRE(stats);
  CHECK(stats->bytes == fs::file_size(update.path) - had);
  CheckStaged(update, source, target);
}

TEST_CASE("what a loss of power left of a delta pack is fetched again, once") {
  static Packed update;
  update.Forget();
  LocalSource source = update.Serve();
  const Target target = *source.Resolve(std::nullopt, kNow);
  const std::string pack = ReadText(update.path);
  const uint64_t missing = source.Plan(target)->objects;
  SECTION("its beginning, so that no object comes out of it") {
    WriteText(update.Part(), std::string(100'000, '\0'));
  }
  SECTION("its end, so that some objects do") {
    std::string damaged = pack;
    damaged.replace(pack.size() - 1000, 1000, 1000, '\0');
    WriteText(update.Part(), damaged);
  }
  NoProgress progress;
  const Result<FetchStats> stats = source.Fetch(target, progress);
  REQUIRE(stats);
  CHECK(stats->problem == "");
  CHECK(stats->objects == missing);
  CHECK(update.Objects() == 0);
  CHECK(source.Moved() == update.Sent());
  CheckStaged(update, source, target);
}

TEST_CASE("a delta pack that is not what it should be is bypassed, and nothing else is installed") {
  // Made once, for all sections.
  static Packed update;
  static const std::string pack = ReadText(update.path);
  update.Forget();
  WriteText(update.path, pack);
  update.publisher.AnnouncePacks("1.2");
  const uint64_t index_size = *ParsePackHeader(pack.substr(0, kPackHeaderBytes));
  const size_t frames = kPackHeaderBytes + index_size;
  const Commit commit = update.publisher.CommitOf("1.2");
  PackIndex index = *ParsePackIndex(pack.substr(kPackHeaderBytes, index_size), commit.sizes.size(),
                                    pack.size() - frames);
  std::string bad = pack, why;  // a part of the problem
  bool announced = false;       // with its own size
  const auto lie = [&](auto change) {
    change(index);
    bad = WritePackIndex(index) + pack.substr(frames);
    announced = true;
  };
  SECTION("truncated") {
    why = "expected HTTP status 200, found 416";
    bad.resize(pack.size() / 2);
  }
  SECTION("longer") {
    why = "bytes, found more";
    bad += "more";
  }
  SECTION("empty") {
    why = "bytes, found 0";
    bad.clear();
  }
  SECTION("absent") {
    why = "HTTP status 404";
  }
  SECTION("altered in a frame") {
    why = "file object: expected SHA-256";
    bad[pack.size() - 1000] ^= 1;
  }
  SECTION("altered in the header") {
    why = "expected its header, found none";
    bad[0] ^= 1;
  }
  SECTION("altered in the index") {
    why = "No such metadata object";
    bad[kPackHeaderBytes + 1] ^= 1;
  }
  SECTION("other objects' frames") {
    why = "expected an object of at most 46 bytes, found more";
    lie([](PackIndex& i) { std::swap(i.objects[0].place, i.objects[1].place); });
  }
  SECTION("another base") {
    why = "No such metadata object";
    lie([](PackIndex& i) { std::ranges::reverse(i.bases); });
  }
  SECTION("a base that nobody has") {
    why = "No such metadata object";
    lie([](PackIndex& i) { i.bases.assign(i.bases.size(), Digest{}); });
  }
  SECTION("a frame that is larger than it says") {
    why = "Destination buffer is too small";
    lie([](PackIndex& i) { i.objects.back().frames.back().unpacked -= 1; });
  }
  SECTION("a prefix beyond its base") {
    why = "found 0";
    lie([](PackIndex& i) {
      for (PackObject& object : i.objects)
        for (PackFrame& frame : object.frames)
          if (frame.base > 0) frame.offset += 100'000'000;
    });
  }
  SECTION("a bomb of copies") {
    why = "expected an object of at most";
    lie([](PackIndex& i) {
      std::vector<PackCopy>& copies = i.objects.back().copies;
      copies.insert(copies.end(), 100, {.literals = 0, .base = copies.front().base});
    });
  }
  WriteText(update.path, bad);
  if (bad == pack) fs::remove(update.path);
  if (announced) update.publisher.AnnouncePacks("1.2");
  LocalSource source = update.Serve();
  const Target target = *source.Resolve(std::nullopt, kNow);
  NoProgress progress;
  const FetchStats stats = Held(source.Fetch(target, progress));
  CHECK(stats.problem.contains(why));
  CHECK(update.Objects() > 0);
  CHECK(update.PackBytes() <= pack.size() + 100'000);
  CheckStaged(update, source, target);
}

TEST_CASE("what is at the same path but for its versions is found in the release before") {
  const auto digest = [](const std::string& path) { return Sha256::Of(AsBytes(path)); };
  std::map<std::string, Digest> paths;
  const std::string modules = "/usr/lib/modules/6.12.117+deb13-cloud-amd64/";
  for (const std::string& path :
       {std::string("/usr/lib/libx.so.1.9.0"), std::string("/usr/lib/libx-shared-257.so"),
        modules + "nls_cp936.ko", modules + "nls_iso8859-1.ko", modules + "nls_iso8859-15.ko",
        modules + "net/"})
    paths[path] = digest(path);
  const PathFinder finder(paths);
  const std::string next = "/usr/lib/modules/6.12.118+deb13-cloud-amd64/";
  CHECK(finder.Find("/usr/lib/libx.so.1.9.0") == digest("/usr/lib/libx.so.1.9.0"));
  CHECK(finder.Find("/usr/lib/libx.so.1.10.2") == digest("/usr/lib/libx.so.1.9.0"));
  CHECK(finder.Find("/usr/lib/libx-shared-258.1.so") == digest("/usr/lib/libx-shared-257.so"));
  for (const char* name : {"nls_cp936.ko", "nls_iso8859-1.ko", "nls_iso8859-15.ko", "net/"})
    CHECK(finder.Find(next + name) == digest(modules + name));
  CHECK_FALSE(finder.Find("/usr/lib/liby.so.1"));
  CHECK_FALSE(finder.Find(next + "nls_cp932.ko"));
}

}  // namespace
}  // namespace hostos
