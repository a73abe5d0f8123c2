// Servers, proxies and attackers in between misbehave at each thing that a node asks for. Every
// such update ends in time, with a reason and within bounds, and the next one succeeds.
#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <chrono>
#include <filesystem>
#include <random>

#include "images/publish/scan_directory.h"
#include "tests/source/hostile_server.h"
#include "tests/source/update_fixture.h"
#include "updater/release/commit.h"
#include "updater/source/scan.h"

namespace hostos {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMostSent = 32 << 20;
constexpr uint64_t kMostOnDisk = 32 << 20;
constexpr Seconds kTime{20};

uint64_t BytesBelow(const std::string& path) {
  uint64_t bytes = 0;
  for (const auto& entry : fs::recursive_directory_iterator(path))
    if (entry.is_regular_file()) bytes += entry.file_size();
  return bytes;
}

// Release 1.1, and the paths of what a node requests to get it, one of each kind.
struct NextRelease : Update {
  Digest commit;
  std::map<std::string, std::string> paths;
  std::string bomb;  // a file object of another release: 64 MB of zeros in 65 kB

  NextRelease() {
    AddFiles(tree, "new", 10, 2);
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

    Publisher other;
    fs::create_directories(other.directory / "tree/boot");
    WriteText(other.directory / "tree/zeros", "");
    fs::resize_file(other.directory / "tree/zeros", 64 << 20);
    const Scan scan = ScanDirectory(other.directory / "tree").value();
    other.Publish(other.directory / "tree", "1.0");
    bomb = ReadText(other.ObjectPath(scan.tree.files.at(0).checksum, "filez"));
  }

  Result<> Fetch(const HostileServer& from) {
    LocalSource source(Options(from.url()));
    const Target target = TRY(source.Resolve(std::nullopt, kNow));
    NoProgress progress;
    TRY(source.Fetch(target, progress));
    return {};
  }
};

struct Named {
  const char* name;
  Mischief mischief;
};

constexpr Named kAll[] = {{"stall", Mischief::kStall},
                          {"one byte a second", Mischief::kDrip},
                          {"reset", Mischief::kReset},
                          {"Content-Length too long", Mischief::kLengthTooLong},
                          {"Content-Length too short", Mischief::kLengthTooShort},
                          {"endless", Mischief::kEndless},
                          {"a proxy's page", Mischief::kProxyPage},
                          {"redirect to plain HTTP elsewhere", Mischief::kRedirectToPlain},
                          {"408", Mischief::kTimeout},
                          {"429 for a second", Mischief::kTooMany},
                          {"429 for a day", Mischief::kTooManyForLong},
                          {"500", Mischief::kError},
                          {"a bomb", Mischief::kOther}};

constexpr Named kTransient[] = {
    {"stall", Mischief::kStall}, {"one byte a second", Mischief::kDrip},
    {"reset", Mischief::kReset}, {"Content-Length too long", Mischief::kLengthTooLong},
    {"408", Mischief::kTimeout}, {"429 for a second", Mischief::kTooMany},
    {"500", Mischief::kError}};

TEST_CASE(
    "whatever a server does at whatever it is asked for, an update ends in time and in bounds") {
  NextRelease next;
  const std::string victim = GENERATE("root", "timestamp", "snapshot", "targets", "release",
                                      "commit", "commitmeta", "dirtree", "dirmeta", "filez");
  const std::string path = next.paths[victim];
  for (const auto& [name, mischief] : kAll) {
    INFO(victim << ": " << name);
    const auto begin = std::chrono::steady_clock::now();
    {
      HostileServer server(
          next.publisher.path,
          [&, what = mischief](const std::string& asked, int) {
            return asked == path ? what : Mischief::kNone;
          },
          next.bomb);
      const Result<> fetched = next.Fetch(server);
      REQUIRE_FALSE(fetched);
      INFO(fetched.error().message);
      CHECK((fetched.error().code == Code::kNetwork || fetched.error().code == Code::kNotTrusted));
      CHECK(server.requests(path) <= 8);
      CHECK(server.sent() < kMostSent);
    }
    CHECK(std::chrono::steady_clock::now() - begin < kTime);
    CHECK((!fs::exists(next.staging) || BytesBelow(next.staging) < kMostOnDisk));
  }
  HostileServer honest(next.publisher.path, [](auto&, int) { return Mischief::kNone; });
  const Result<> fetched = next.Fetch(honest);
  INFO((fetched ? "" : fetched.error().message));
  CHECK(fetched);
  CHECK(Shell("ostree fsck --repo=" + next.staging).status == 0);
}

TEST_CASE("what a server does once does not end an update") {
  NextRelease next;
  const std::string victim = GENERATE("root", "timestamp", "snapshot", "targets", "release",
                                      "commit", "commitmeta", "dirtree", "dirmeta", "filez");
  const std::string path = next.paths[victim];
  for (const auto& [name, mischief] : kTransient) {
    INFO(victim << ": " << name);
    HostileServer server(next.publisher.path,
                         [&, what = mischief](const std::string& asked, int count) {
                           return asked == path && count == 0 ? what : Mischief::kNone;
                         });
    const Result<> fetched = next.Fetch(server);
    INFO((fetched ? "" : fetched.error().message));
    CHECK(fetched);
    CHECK(server.requests(path) >= 2);
    fs::remove_all(next.staging);
    fs::remove_all(next.trusted);
  }
}

// Damages one object of a repository in one of the ways in which disks and mirrors damage files.
std::string Damage(const std::string& repository, std::minstd_rand& random) {
  std::vector<fs::path> objects;
  for (const auto& entry : fs::recursive_directory_iterator(repository + "/objects"))
    if (entry.is_regular_file() && entry.path().extension() != ".commitmeta")
      objects.push_back(entry.path());
  std::ranges::sort(objects);
  const auto pick = [&](size_t count) {
    return std::uniform_int_distribution<size_t>(0, count - 1)(random);
  };
  const fs::path victim = objects[pick(objects.size())];
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
  return std::format("{}: {}", victim.filename().string(), how);
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
