#include "images/mirror.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/generators/catch_generators_range.hpp>
#include <filesystem>
#include <map>

#include "images/bundle_release.h"
#include "images/program.h"
#include "images/publish/secret_key.h"
#include "images/tuf_repository.h"
#include "tests/announce.h"
#include "tests/held.h"
#include "tests/images/small_release.h"
#include "tests/source/update_fixture.h"
#include "tests/tuf/repository.h"

namespace hostos {
namespace {

namespace fs = std::filesystem;

// A publisher with the releases 1.0 and 1.1 in stable, and a site that mirrors them.
struct Site {
  Update update;
  std::string mirror = update.publisher.directory / "mirror";

  Site() {
    AddFiles(update.tree, "new", 20, 2);
    update.publisher.Publish(update.tree, "1.1");
  }

  MirrorOptions Options() const {
    return {.from = update.publisher.path,
            .repo = mirror,
            .root = update.publisher.root,
            .keys = {update.publisher.keys},
            .signatures = {},
            .channels = {"hostos/x86-64/stable"}};
  }
  Result<Mirrored> Run(const MirrorOptions& options) const {
    NoProgress progress;
    return Mirror(options, kNow, progress);
  }
  Result<Mirrored> Run() const { return Run(Options()); }

  // What a node that is updated from the mirror for the first time installs.
  Result<Release> Installed(const std::optional<std::string>& version = std::nullopt) const {
    SourceOptions options = update.Options(mirror);
    options.parent = "";
    for (const std::string& state : {options.metadata, options.staging}) fs::remove_all(state);
    LocalSource node(options);
    NoProgress progress;
    const Target target = TRY(node.Resolve(version, kNow));
    TRY(node.Fetch(target, progress));
    TRY(node.Open(target));
    return target.release;
  }
};

std::map<std::string, fs::file_time_type> Times(const std::string& directory) {
  std::map<std::string, fs::file_time_type> times;
  for (const fs::directory_entry& file : fs::recursive_directory_iterator(directory))
    if (file.is_regular_file()) times[file.path()] = file.last_write_time();
  return times;
}

bool Has(const std::string& path, const std::string& what) {
  return fs::exists(path + "/" + what);
}

TEST_CASE("a node updates from a mirror as from the publisher") {
  static const Site site;
  fs::remove_all(site.mirror);
  const std::string& from = site.update.publisher.path;
  const HttpServer publisher(from, GENERATE("", kForbidsTheAbsent));
  MirrorOptions options = site.Options();
  const bool http = GENERATE(false, true);
  options.from = http ? publisher.url() + "/" : from;
  const Result<Mirrored> done = site.Run(options);
  REQUIRE(done);
  CHECK(done->releases.size() == 2);
  CHECK(site.Installed()->version == "1.1");
  CHECK(site.Installed("1.0")->version == "1.0");
  for (const auto& [path, time] : Times(site.mirror + "/objects"))
    CHECK(SameFiles(path, from + path.substr(site.mirror.size())));

  const HttpServer server(site.mirror);
  LocalSource node = LocalSource(site.update.Options(server.url()));
  NoProgress progress;
  const Result<Target> target = node.Resolve(std::nullopt, kNow);
  REQUIRE(target);
  CHECK(node.Fetch(*target, progress));
}

TEST_CASE("a mirror has the delta packs of its releases, as far as the source has them") {
  Site site;
  Publisher& source = site.update.publisher;
  source.Pack("1.0", "1.1");
  const std::string pack =
      PackPath(source.CommitOf("1.0").release.root_hash, source.CommitOf("1.1").release.root_hash);
  const HttpServer server(source.path);
  MirrorOptions options = site.Options();
  options.from = GENERATE(false, true) ? server.url() : source.path;
  const bool absent = GENERATE(false, true);
  if (absent) fs::remove(source.path + "/" + pack);
  REQUIRE(site.Run(options));
  CHECK(Has(site.mirror, pack) != absent);
  if (!absent) CHECK(ReadText(site.mirror + "/" + pack) == ReadText(source.path + "/" + pack));
  CHECK(site.Installed()->version == "1.1");
}

TEST_CASE("a second run of a mirror copies only what is new") {
  Site site;
  REQUIRE(site.Run());
  auto before = Times(site.mirror + "/objects");
  CHECK(site.Run()->objects == 0);
  AddFiles(site.update.tree, "newer", 20, 3);
  site.update.publisher.Publish(site.update.tree, "1.2");

  const HttpServer publisher(site.update.publisher.path);
  MirrorOptions options = site.Options();
  options.from = publisher.url();
  const Result<Mirrored> done = site.Run(options);
  REQUIRE(done);
  CHECK(done->objects >= 20);
  uint64_t asked = 0;
  for (const HttpRequest& request : publisher.Requests()) {
    if (!request.path.starts_with("/objects/") || request.path.contains(".commit")) continue;
    CHECK_FALSE(before.contains(site.mirror + request.path));
    asked += 1;
  }
  CHECK(asked == done->objects);
  CHECK(site.Installed()->version == "1.2");
}

// What a server, or whoever carries the disk, can do to the files of a new release.
struct Tampering {
  const char* name;
  void (*with)(const Site& site, const std::string& object);
  Code code;
};
const Tampering kTamperings[] = {
    {"a changed object", [](const Site&, const std::string& object) { ChangeByte(object, -20); },
     Code::kNotTrusted},
    {"a cut-off object",
     [](const Site&, const std::string& object) {
       fs::resize_file(object, fs::file_size(object) - 1);
     },
     Code::kNotTrusted},
    {"a longer object",
     [](const Site&, const std::string& object) { WriteText(object, ReadText(object) + "x"); },
     Code::kNotTrusted},
    {"no object", [](const Site&, const std::string& object) { fs::remove(object); },
     Code::kNotFound},
    {"no signatures",
     [](const Site& site, const std::string&) {
       for (const std::string& file : FilesEndingIn(site.update.publisher.path, ".commitmeta"))
         if (!Has(site.mirror, file.substr(site.update.publisher.path.size()))) fs::remove(file);
     },
     Code::kNotTrusted},
    {"a changed target",
     [](const Site& site, const std::string&) {
       for (const std::string& file : FilesEndingIn(site.update.publisher.path, ".1.2.json"))
         ChangeByte(file, 20);
     },
     Code::kNotTrusted},
};

// The source has 1.2 since the mirror was made. Both can be had as they were.
struct Ahead : Site {
  const std::string from = update.publisher.path, old = mirror + ".old", keep = from + ".keep";

  Ahead() {
    REQUIRE(Run());
    fs::rename(mirror, old);
    AddFiles(update.tree, "newer", 20, 3);
    update.publisher.Publish(update.tree, "1.2");
    fs::copy(from, keep, fs::copy_options::recursive);
  }
  void PutBack() const {
    fs::remove_all(from);
    fs::copy(keep, from, fs::copy_options::recursive);
  }
};

TEST_CASE("a mirror of a tampered source is refused, and offers what it offered before") {
  const Tampering& tampering = GENERATE(from_range(kTamperings));
  CAPTURE(tampering.name);
  static const Ahead site;
  const std::string& from = site.from;
  site.PutBack();
  fs::remove_all(site.mirror);
  const bool is_first = GENERATE(false, true);
  if (!is_first) fs::copy(site.old, site.mirror, fs::copy_options::recursive);

  std::string object;  // a new one, not the smallest
  for (const std::string& file : FilesEndingIn(from + "/objects", ".filez"))
    if (!Has(site.mirror, file.substr(from.size())) &&
        (object.empty() || fs::file_size(file) > fs::file_size(object)))
      object = file;
  tampering.with(site, object);
  const Result<Mirrored> refused = site.Run();
  REQUIRE_FALSE(refused);
  INFO(refused.error().message);
  CHECK(refused.error().code == tampering.code);
  if (is_first) {
    CHECK_FALSE(site.Installed());
    CHECK_FALSE(Has(site.mirror, "metadata/timestamp.json"));
  } else {
    CHECK(site.Installed()->version == "1.1");
    CHECK(site.Installed("1.2").error().code == Code::kNotFound);
  }

  // The same run on the real source goes on, and copies nothing twice.
  const auto copied = Times(site.mirror + "/objects");
  site.PutBack();
  REQUIRE(site.Run());
  CHECK(site.Installed()->version == "1.2");
  for (const auto& [path, time] : copied)
    if (path.ends_with(".filez")) CHECK(fs::last_write_time(path) == time);
}

TEST_CASE("a mirror never goes back to what its source said before") {
  Site site;
  const std::string timestamp = site.update.publisher.path + "/metadata/timestamp.json";
  const std::string before = ReadText(timestamp);
  site.update.publisher.Publish(site.update.tree, "1.2");
  REQUIRE(site.Run());
  WriteText(timestamp, before);
  const Result<Mirrored> refused = site.Run();
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Code::kNotTrusted);
  CHECK(site.Installed()->version == "1.2");
}

TEST_CASE("a damaged object of a mirror is copied again") {
  Site site;
  const HttpServer publisher(site.update.publisher.path);
  MirrorOptions options = site.Options();
  options.from = publisher.url();
  REQUIRE(site.Run(options));
  const std::string object = FilesEndingIn(site.mirror + "/objects", ".filez").back();
  ChangeByte(object, -20);
  const Result<Mirrored> done = site.Run(options);
  REQUIRE(done);
  CHECK(done->objects == 1);
  CHECK(SameFiles(object, site.update.publisher.path + object.substr(site.mirror.size())));
}

TEST_CASE("a mirror has every root from the trusted one on") {
  Site site;
  const std::vector<SecretKey> next = {SecretKey::Generate(Algorithm::kEd25519).value()};
  TufRepository& metadata = site.update.publisher.metadata;
  const RoleChange to = {.keys = {next[0].Public().value()}, .threshold = {}, .days = {}};
  REQUIRE(metadata.StageRoot({{"root", to}, {"timestamp", to}}));
  REQUIRE_FALSE(
      metadata.Sign(site.update.publisher.key)->missing.empty());  // the new one has to sign too
  std::vector<SecretKey> both = site.update.publisher.key;
  both.push_back(next[0]);
  REQUIRE(metadata.Sign(both)->missing.empty());
  REQUIRE(site.Run());
  CHECK(site.Installed()->version == "1.1");
  for (const char* root : {"/metadata/1.root.json", "/metadata/2.root.json"})
    CHECK(SameFiles(site.mirror + root, site.update.publisher.path + root));
}

TEST_CASE("a mirror's releases are listed and bundled, also where it begins with a later root") {
  Site site;
  REQUIRE(site.update.publisher.metadata.StageRoot({}));
  REQUIRE(site.update.publisher.metadata.Sign(site.update.publisher.key)->missing.empty());
  MirrorOptions options = site.Options();
  options.root = site.update.publisher.path + "/metadata/2.root.json";
  REQUIRE(site.Run(options));
  REQUIRE_FALSE(Has(site.mirror, "metadata/1.root.json"));
  CHECK(TufRepository::Open(site.mirror, kNow)->Releases("hostos", "x86-64", "stable")->size() ==
        2);
  CHECK(BundleRelease({.repo = site.mirror,
                       .product = "hostos",
                       .architecture = "x86-64",
                       .channel = "stable",
                       .version = "1.1",
                       .from = "",
                       .output = site.mirror + ".bundle"},
                      kNow));
}

// A repository that signs any target under any name, and takes the publisher's place.
struct Careless : Site {
  tuf::Repository repository;
  std::string from = update.publisher.path;

  ReleaseTarget Release(const std::string& version) const {
    const Repo& repo = update.publisher.repo;
    const Digest commit = repo.ResolveRef(ReleaseRef("x86-64", version)).value();
    const std::string bytes = repo.ReadMetadata(ObjectType::kCommit, commit).value();
    ReleaseTarget target = TargetOf(ParseCommit(bytes).value().release);
    target.index = version == "1.0" ? 1 : 2;
    target.minimum_index = target.index;
    return target;
  }
  void Add(const std::string& path, const ReleaseTarget& release) {
    repository.AddTarget("targets", path, WriteReleaseTarget(release));
  }
  MirrorOptions Serve() {
    repository.Publish({"targets", "snapshot", "timestamp"});
    for (const auto& [file, bytes] : repository.metadata.files)
      WriteText(from + "/metadata/" + file, bytes);
    for (const auto& [file, bytes] : repository.targets.files) {
      WriteText(from + "/targets/" + file, bytes);
      WriteText(from + "/" + file.substr(file.rfind('/') + 1), bytes);  // where a URL leads
    }
    MirrorOptions options = Options();
    options.root = from + "/metadata/1.root.json";
    return options;
  }
};

TEST_CASE("a release under another name than its own makes no file of a mirror") {
  Careless site;
  site.Add("hostos/x86-64/stable/9.9.json", site.Release("1.0"));
  const Result<Mirrored> refused = site.Run(site.Serve());
  REQUIRE_FALSE(refused);
  INFO(refused.error().message);
  CHECK(refused.error().message.contains("expected the release of this name"));
}

TEST_CASE("a mirror writes nothing outside of itself, whatever a release calls itself") {
  const bool http = GENERATE(false, true);
  const std::string version = GENERATE("../../../../../evil", "1.0/../../../../../../evil", "a/b");
  CAPTURE(http, version);
  Careless site;
  site.Add("hostos/x86-64/stable.json", site.Release("1.1"));
  ReleaseTarget evil = site.Release("1.0");  // withdrawn, so its commit has no say
  evil.version = version;
  evil.minimum_index = 0;
  site.Add("hostos/x86-64/stable/" + version + ".json", evil);
  MirrorOptions options = site.Serve();
  const HttpServer server(site.from);
  if (http) options.from = server.url();
  const std::string outside = site.update.publisher.directory / "outside";
  options.repo = outside + "/mirror";
  fs::create_directory(outside);
  const Result<Mirrored> refused = site.Run(options);
  for (const fs::directory_entry& entry : fs::directory_iterator(outside))
    CHECK(entry.path() == options.repo);
  REQUIRE_FALSE(refused);
  INFO(refused.error().message);
  CHECK(refused.error().code == Code::kNotTrusted);
  CHECK_FALSE(Has(options.repo, "targets"));
}

TEST_CASE("a mirror never replaces what nodes may have seen") {
  Careless site;
  site.repository.with_hashes = true;
  site.Add("hostos/x86-64/stable.json", site.Release("1.1"));
  REQUIRE(site.Run(site.Serve()));
  const std::string targets = site.mirror + "/metadata/2.targets.json", before = ReadText(targets);
  site.Add("hostos/x86-64/stable/1.0.json", site.Release("1.0"));
  site.repository.Replace("targets");
  site.repository.Publish({"snapshot", "timestamp"});
  for (const auto& [file, bytes] : site.repository.metadata.files)
    WriteText(site.from + "/metadata/" + file, bytes);
  for (const auto& [file, bytes] : site.repository.targets.files)
    WriteText(site.from + "/targets/" + file, bytes);
  MirrorOptions options = site.Options();
  options.root = site.from + "/metadata/1.root.json";
  const Result<Mirrored> refused = site.Run(options);
  REQUIRE_FALSE(refused);
  INFO(refused.error().message);
  CHECK(refused.error().code == Code::kRefused);
  CHECK(refused.error().message.contains("2.targets.json: expected no file there, or the same"));
  CHECK(ReadText(targets) == before);
}

TEST_CASE("hostimage says nothing to a terminal in the words of others") {
  Careless site;
  site.Add("hostos/x86-64/\x1b]0;mine\x07\xc2\x9b.json", site.Release("1.1"));
  const MirrorOptions options = site.Serve();
  const Result<std::string> said =
      RunProgram({HOSTIMAGE, "mirror", "--from", site.from, "--repo", site.mirror, "--channel",
                  "stable", "--root", options.root, "--keys", site.update.publisher.keys});
  REQUIRE_FALSE(said);
  const std::string& message = said.error().message;
  INFO(message);
  CHECK(message.contains("the channels are: hostos/x86-64/?]0;mine??"));
  CHECK_FALSE(message.contains('\x1b'));
}

TEST_CASE("a mirror that is interrupted ends, and the next run goes on") {
  Site site;
  AddFiles(site.update.tree, "many", 20, 3);
  site.update.publisher.Publish(site.update.tree, "1.2");
  const HttpServer slow(site.update.publisher.path, "limit_rate 20k;");
  MirrorOptions options = site.Options();
  options.from = slow.url();
  struct Interrupted : NoProgress {
    bool Cancelled() override { return true; }
  } interrupted;
  const Result<Mirrored> run = Mirror(options, kNow, interrupted);
  REQUIRE_FALSE(run);
  CHECK(run.error().message.contains("interrupted"));
  CHECK_FALSE(Has(site.mirror, "metadata/timestamp.json"));
  Held(site.Run());
  CHECK(site.Installed()->version == "1.2");
}

TEST_CASE("a mirror of one publisher does not become another's") {
  Site site;
  REQUIRE(site.Run());
  const Site other;
  MirrorOptions options = other.Options();
  options.repo = site.mirror;
  const Result<Mirrored> refused = other.Run(options);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Code::kNotTrusted);
  CHECK(refused.error().message.contains("it is damaged, or another publisher's"));
  CHECK(site.Installed()->version == "1.1");
}

TEST_CASE("a mirror keeps up every channel that it has") {
  Site site;
  MirrorOptions options = site.Options();
  options.channels.insert("hostos/x86-64/stabel");
  CHECK(site.Run(options).error().message.contains(
      "expected releases in channel hostos/x86-64/stabel, found none"));
  REQUIRE(site.Run());
  Release edge = site.update.publisher.Describe("2.0");
  edge.channel = "edge";
  site.update.publisher.Publish(site.update.tree, edge, site.update.publisher.key);
  options.channels = {"hostos/x86-64/edge"};
  REQUIRE(site.Run(options));
  site.update.publisher.Publish(site.update.tree, "1.2");
  REQUIRE(site.Run(options));
  CHECK(site.Installed()->version == "1.2");
}

TEST_CASE("a mirror lacks the objects of withdrawn releases, and says so as the publisher does") {
  Site site;
  Publisher& publisher = site.update.publisher;
  const Digest old = publisher.repo.ResolveRef(ReleaseRef("x86-64", "1.0")).value();
  const Release third = publisher.Describe("1.2");
  ReleaseTarget target = TargetOf(third);
  target.commit = publisher.Publish(site.update.tree, third, publisher.key);
  target.minimum_index = 2;
  publisher.Announce(target);
  REQUIRE(site.Run());
  CHECK(site.Installed("1.0").error().message.contains("1.0 was withdrawn"));
  CHECK_FALSE(Has(site.mirror, ObjectPath(old, "commit")));
}

TEST_CASE("hostimage mirror copies a channel whose releases prove as the publisher's do") {
  const SmallRelease small;
  const Release release = small.Commit().value();
  const std::vector<SecretKey> keys = SecretKey::Load(small / "ci.pem").value();
  REQUIRE(Announce(small / "repo", release.version, keys));
  const std::string mirror = small / "mirror";
  const Result<std::string> said = RunProgram(
      {HOSTIMAGE, "mirror", "--from", small / "repo", "--repo", mirror, "--channel", "stable",
       "--root", small / "repo/metadata/1.root.json", "--keys", small / "keys", "--json"});
  REQUIRE(said);
  CHECK(said->contains(release.commit.Hex()));
  CHECK(RunProgram({HOSTIMAGE, "verify", ChannelRef("x86-64", "stable"), "--repo", mirror, "--keys",
                    small / "keys"}));
  const SmallRelease stranger;
  CHECK(RunProgram({HOSTIMAGE, "mirror", "--from", small / "repo", "--repo", small / "other",
                    "--channel", "stable", "--root", small / "repo/metadata/1.root.json", "--keys",
                    stranger / "keys"})
            .error()
            .message.contains("ended with exit code 7"));
  CHECK_FALSE(Has(small / "other", "metadata/timestamp.json"));

  // Nothing to copy is nothing done.
  const Result<std::string> nothing =
      RunProgram({HOSTIMAGE, "mirror", "--from", small / "repo", "--repo", small / "new", "--root",
                  small / "repo/metadata/1.root.json", "--keys", small / "keys"});
  REQUIRE_FALSE(nothing);
  CHECK(nothing.error().message.contains("ended with exit code 2"));
  CHECK(nothing.error().message.contains("are: hostos/x86-64/stable"));
  const Result<std::string> mistyped = RunProgram(
      {HOSTIMAGE, "mirror", "--from", small / "repo", "--repo", small / "new", "--channel",
       "stabel", "--root", small / "repo/metadata/1.root.json", "--keys", small / "keys"});
  REQUIRE_FALSE(mistyped);
  CHECK(mistyped.error().message.contains("the channels are: hostos/x86-64/stable"));
  // One that has a channel needs no option.
  CHECK(RunProgram({HOSTIMAGE, "mirror", "--from", small / "repo", "--repo", mirror, "--root",
                    small / "repo/metadata/1.root.json", "--keys", small / "keys"}));
}

}  // namespace
}  // namespace hostos
