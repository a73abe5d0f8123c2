// Servers, proxies and attackers in between misbehave at each thing that a node asks for. Every
// such update ends in time, with a reason and within bounds, and the next one succeeds.
#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <filesystem>
#include <future>
#include <random>
#include <span>

#include "tests/noise.h"
#include "tests/source/hostile_server.h"
#include "tests/source/update_fixture.h"
#include "updater/release/commit.h"

namespace hostos {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMostSent = 32 << 20;
constexpr uint64_t kMostOnDisk = 32 << 20;
constexpr Seconds kTime{20};

uint64_t BytesBelow(const std::string& path) {
  uint64_t bytes = 0;
  for (const std::string& file : FilesEndingIn(path, "")) bytes += fs::file_size(file);
  return bytes;
}

// Release 1.1, and the paths of what a node requests to get it, one of each kind.
struct NextRelease : Update {
  Digest commit;
  std::map<std::string, std::string> paths;
  const std::string bomb = Bomb();

  NextRelease() {
    // Small ones: curl sees a stall in the average of some seconds.
    for (uint64_t i = 0; i < 3; i++)
      WriteText(std::format("{}/usr/lib/new/{}", tree, i), Noise(1000, i));
    fs::permissions(tree + "/usr/lib/new", fs::perms(0750));  // a dirmeta that the node lacks
    commit = publisher.Publish(tree, "1.1");
    const Commit parsed =
        ParseCommit(publisher.repo.ReadMetadata(ObjectType::kCommit, commit).value()).value();
    const Repo running = Repo::Open(parent).value();
    std::map<ObjectType, ObjectSize> largest;
    for (const ObjectSize& object : parsed.sizes)
      if (!running.Has(object.type, object.checksum).value() &&
          object.archived > largest[object.type].archived)
        largest[object.type] = object;
    const ReleaseTarget newest = publisher.metadata.Releases("hostos", "x86-64", "stable")->back();
    REQUIRE(publisher.metadata.StageRoot({}));
    REQUIRE(publisher.metadata.Sign(publisher.key));
    paths["root"] = "/metadata/2.root.json";
    paths["timestamp"] = "/metadata/timestamp.json";
    paths["snapshot"] = "/metadata/3.snapshot.json";  // after the first root, 1.0 and 1.1
    paths["targets"] = "/metadata/3.targets.json";
    paths["release"] = std::format("/targets/hostos/x86-64/{}.stable.json",
                                   Sha256::Of(AsBytes(WriteReleaseTarget(newest))).Hex());
    paths["commit"] = publisher.ObjectPath(commit, "commit").substr(publisher.path.size());
    paths["commitmeta"] = paths["commit"] + "meta";
    for (const auto& [type, object] : largest)
      paths[type == ObjectType::kFile      ? "filez"
            : type == ObjectType::kDirtree ? "dirtree"
                                           : "dirmeta"] = ArchivePath({object.checksum, type});
    REQUIRE(paths.size() == 10);
  }

  // By the node whose files are in `node`, in a process of its own: a pull limits what its process
  // writes.
  CommandResult Fetch(const std::string& url, const std::string& node) const {
    fs::create_directories(node);
    return Shell(std::format("{0} {1} {2}/staging {3} {4} {5} {2}/trusted", SOURCE_FETCH, url, node,
                             parent, publisher.keys, publisher.root));
  }
  // Each kind of file has a node.
  std::string NodeOf(const std::string& kind) const { return publisher.directory / kind; }
};

struct Named {
  const char* name;
  Mischief mischief;
};

constexpr Named kAll[] = {{"stall", Mischief::kStall},
                          {"one byte a second", Mischief::kDrip},
                          {"reset", Mischief::kReset},
                          {"Content-Length too long", Mischief::kLengthTooLong},
                          {"408", Mischief::kTimeout},
                          {"429 for a second", Mischief::kTooMany},
                          {"500", Mischief::kError},
                          {"Content-Length too short", Mischief::kLengthTooShort},
                          {"endless", Mischief::kEndless},
                          {"a proxy's page", Mischief::kProxyPage},
                          {"redirect to plain HTTP elsewhere", Mischief::kRedirectToPlain},
                          {"429 for a day", Mischief::kTooManyForLong},
                          {"a bomb", Mischief::kOther}};
// What a second attempt gets over.
constexpr std::span kTransient = std::span(kAll).first<7>();

// An update from a server that did something to one kind of file.
struct Ended {
  std::string what;
  CommandResult fetched;
  Milliseconds time{0};
  int requests = 0;
  uint64_t sent = 0, on_disk = 0;
};

// One after the other, to the same node; what is done only to the first request, to a new one.
std::vector<Ended> UpdatesOf(const NextRelease& next, const std::string& kind,
                             std::span<const Named> all, bool once) {
  const std::string node = next.NodeOf(kind), path = next.paths.at(kind);
  std::vector<Ended> updates;
  for (const auto& [name, mischief] : all) {
    Ended& ended = updates.emplace_back(kind + ": " + name);
    SystemClock clock;
    const Milliseconds begin = clock.Monotonic();
    {
      const HostileServer server(
          next.publisher.path,
          [&, what = mischief](const std::string& asked, int count) {
            return asked == path && (count == 0 || !once) ? what : Mischief::kNone;
          },
          next.bomb);
      ended.fetched = next.Fetch(server.url(), node);
      ended.requests = server.requests(path);
      ended.sent = server.sent();
    }
    ended.time = clock.Monotonic() - begin;
    ended.on_disk = BytesBelow(node);
    if (once) fs::remove_all(node);
  }
  return updates;
}

// Of all kinds, side by side: most of the time they wait. Catch2 checks in one thread only.
std::vector<Ended> Updates(const NextRelease& next, std::span<const Named> all, bool once) {
  std::vector<std::future<std::vector<Ended>>> nodes;
  for (const auto& [kind, path] : next.paths)
    nodes.push_back(
        std::async(std::launch::async, UpdatesOf, std::cref(next), std::cref(kind), all, once));
  std::vector<Ended> updates;
  for (auto& node : nodes) std::ranges::move(node.get(), std::back_inserter(updates));
  return updates;
}

TEST_CASE(
    "whatever a server does at whatever it is asked for, an update ends in time and in bounds") {
  const NextRelease next;
  for (const Ended& ended : Updates(next, kAll, false)) {
    INFO(ended.what << "\n" << ended.fetched.output);
    REQUIRE(ended.fetched.status != 0);
    const auto code = static_cast<Code>(ended.fetched.status - 10);
    CHECK((code == Code::kNetwork || code == Code::kNotTrusted));
    CHECK(ended.requests <= 8);
    CHECK(ended.sent < kMostSent);
    CHECK(ended.time < kTime);
    CHECK(ended.on_disk < kMostOnDisk);
  }
  const HostileServer honest(next.publisher.path, [](auto&, int) { return Mischief::kNone; });
  for (const auto& [kind, path] : next.paths) {
    const std::string node = next.NodeOf(kind);
    const CommandResult fetched = next.Fetch(honest.url(), node);
    INFO(kind << "\n" << fetched.output);
    CHECK(fetched.status == 0);
    CHECK(Shell("ostree fsck --repo=" + node + "/staging").status == 0);
  }
}

TEST_CASE("what a server does once does not end an update") {
  const NextRelease next;
  for (const Ended& ended : Updates(next, kTransient, true)) {
    INFO(ended.what << "\n" << ended.fetched.output);
    CHECK(ended.fetched.status == 0);
    CHECK(ended.requests >= 2);
  }
}

// Damages one object of a repository in one of the ways in which disks and mirrors damage files.
std::string Damage(const std::string& repository, std::minstd_rand& random) {
  std::vector<std::string> objects = FilesEndingIn(repository + "/objects", "");
  std::erase_if(objects, [](const std::string& file) { return file.ends_with(".commitmeta"); });
  const auto pick = [&](size_t count) {
    return std::uniform_int_distribution<size_t>(0, count - 1)(random);
  };
  const std::string victim = objects[pick(objects.size())];
  std::string bytes = ReadText(victim);
  const char* how = "";
  switch (pick(5)) {
    case 0: {
      how = "a bit flipped";
      char& byte = bytes[pick(bytes.size())];
      byte = static_cast<char>(byte ^ 1 << pick(8));
      break;
    }
    case 1:
      how = "cut short";
      bytes.resize(pick(bytes.size()));
      break;
    case 2:
      how = "bytes appended";
      bytes.append(1 + pick(100), static_cast<char>(pick(256)));
      break;
    case 3:
      how = "another object's bytes";
      bytes = ReadText(objects[pick(objects.size())]);
      break;
    case 4:
      how = "a piece of zeros";
      std::fill_n(bytes.begin() + static_cast<ptrdiff_t>(pick(bytes.size())), 1, '\0');
      break;
  }
  WriteText(victim, bytes);
  return std::format("{}: {}", fs::path(victim).filename().string(), how);
}

// Debian's ostree does not know the signatures of HostOS; it gets the checksum of the commit
// instead.
bool OstreeAccepts(const std::string& url, const Digest& commit, const std::string& directory) {
  const std::string ostree = "ostree --repo=" + directory + "/oracle ";
  return Shell(ostree + "init --mode=bare && " + ostree + "remote add --no-sign-verify " +
               "--no-gpg-verify origin " + url + " && " + ostree + "pull origin " + commit.Hex() +
               " && " + ostree + "fsck")
             .status == 0;
}

TEST_CASE("of damaged repositories, those are accepted that ostree itself accepts, and no others") {
  Publisher publisher;
  const std::string tree = publisher.directory / "tree";
  MakeOddTree(tree);
  const Digest commit = publisher.Publish(tree, "1.0");
  std::minstd_rand random(7);
  int accepted = 0;
  constexpr int kTimes = 60;
  for (int i = 0; i < kTimes; i++) {
    TempDir directory;
    fs::copy(publisher.path, directory / "repo", fs::copy_options::recursive);
    INFO(Damage(directory / "repo", random));
    const HttpServer server(directory / "repo");
    LocalSource source({.url = server.url(),
                        .channel = "stable",
                        .architecture = "x86-64",
                        .root = publisher.root,
                        .metadata = directory / "trusted",
                        .staging = directory / "staging",
                        .parent = "",
                        .key_directories = {publisher.keys},
                        .seal_formats = {1},
                        .http = {.attempts = 1}});
    NoProgress progress;
    const Result<Target> target = source.Resolve(std::nullopt, kNow);
    const Result<FetchStats> fetched =
        target ? source.Fetch(*target, progress) : std::unexpected(target.error());
    INFO((fetched ? "accepted" : fetched.error().message));
    CHECK(fetched.has_value() == OstreeAccepts(server.url(), commit, directory.path()));
    if (fetched) CHECK(Shell("ostree fsck --repo=" + (directory / "staging")).status == 0);
    accepted += fetched ? 1 : 0;
  }
  CHECK(accepted > 0);
  CHECK(accepted < kTimes);
}

}  // namespace
}  // namespace hostos
