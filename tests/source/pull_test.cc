// Pulls over a real web server or from a directory: what moves, and what is taken up again after a
// kill or a power cut.
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <filesystem>
#include <map>

#include "images/publish/build_commit.h"
#include "images/publish/publish.h"
#include "images/publish/scan_directory.h"
#include "tests/held.h"
#include "tests/source/update_fixture.h"
#include "tests/text_file.h"
#include "updater/release/commit.h"
#include "updater/source/scan.h"
#include "updater/source/staged_objects.h"

namespace hostos {
namespace {

namespace fs = std::filesystem;

// How often each object was asked for and sent whole.
std::map<std::string, int> WholeObjects(const HttpServer& server, const std::string& archive) {
  std::map<std::string, int> counts;
  for (const HttpRequest& request : server.Requests()) {
    if (request.status == 200 && request.path.starts_with("/objects/") &&
        !request.path.contains(".commit") &&
        request.body_bytes == fs::file_size(archive + request.path)) {
      ++counts[request.path];
    }
  }
  return counts;
}

TEST_CASE("an update moves the missing objects and less than two percent more") {
  Update update;
  AddFiles(update.tree, "new", 120, 2);
  Digest newest = update.publisher.Publish(update.tree, "1.1");
  LocalSource source = update.Source();
  Target target = *source.Resolve(std::nullopt, kNow);
  FetchPlan plan = *source.Plan(target);
  CHECK(plan.download_bytes > 2'000'000);
  CHECK(plan.reused_bytes > 1'000'000);
  NoProgress progress;
  const FetchStats stats = Held(source.Fetch(target, progress));

  uint64_t wire = 0, objects = 0;
  for (const HttpRequest& request : update.server->Requests()) {
    wire += request.bytes;
    objects += request.path.starts_with("/objects/") && !request.path.contains(".commit");
  }
  CHECK(objects == plan.objects);
  CHECK(stats.objects == plan.objects);
  CHECK(wire < plan.download_bytes + plan.download_bytes / 50);
  CHECK(stats.bytes >= plan.download_bytes);
  CHECK(stats.bytes < wire);
  Traffic sent;
  for (const HttpRequest& request : update.server->Requests())
    sent += {.bytes = request.body_bytes, .requests = 1};
  CHECK(source.Moved().bytes == sent.bytes);
  CHECK(source.Moved().requests == sent.requests);
  CHECK(source.Moved().pack_requests == 0);

  // The staging repository is one that ostree itself accepts.
  std::string repo = " --repo=" + update.staging + " ";
  CommandResult fsck = Shell("ostree fsck" + repo);
  INFO(fsck.output);
  CHECK(fsck.status == 0);
  CHECK(Shell("ostree show" + repo + newest.Hex()).output.contains("HostOS 1.1"));
  CHECK(source.Plan(target)->objects == 0);

  auto checkout = source.Open(target);
  REQUIRE(checkout);
  CHECK(CheckImage(*checkout, target.release));
  std::array<std::byte, 100> uki;
  CHECK(ReadFull(checkout->uki.get(), uki) == target.release.uki_size);

  REQUIRE(source.Discard());
  CHECK_FALSE(fs::exists(update.staging));
  CHECK(source.Plan(target)->objects == plan.objects);
}

TEST_CASE("under a limit the same objects come, one after the other and no faster") {
  Update update;
  AddFiles(update.tree, "new", 20, 2);
  update.publisher.Publish(update.tree, "1.1");
  const FetchPlan plan = [&] {
    LocalSource source = update.Source();
    return source.Plan(*source.Resolve(std::nullopt, kNow)).value();
  }();
  SourceOptions options = update.Options(update.server->url());
  options.http.rate_limit = plan.download_bytes / 3;
  options.http.pull_time = Seconds(2);  // too little without what the limit adds
  options.http.pull_rate = 1 << 30;
  LocalSource source(options);
  const Target target = source.Resolve(std::nullopt, kNow).value();
  SystemClock clock;
  const Milliseconds begin = clock.Monotonic();
  NoProgress progress;
  const FetchStats stats = Held(source.Fetch(target, progress));
  CHECK(clock.Monotonic() - begin > Milliseconds(2300));
  CHECK(stats.objects == plan.objects);
  CHECK(stats.bytes == plan.download_bytes);
  CHECK(WholeObjects(*update.server, update.publisher.path).size() == plan.objects);
  CHECK(Shell("ostree fsck --repo=" + update.staging).status == 0);
  CHECK(source.Plan(target)->objects == 0);
  Result<Checkout> checkout = source.Open(target);
  REQUIRE(checkout);
  CHECK(CheckImage(*checkout, target.release));
}

TEST_CASE("what was staged for a release that is given up counts as room for the next one") {
  Update update;
  AddFiles(update.tree, "new", 20, 2);
  update.publisher.Publish(update.tree, "1.1");
  LocalSource source = update.FromDirectory();
  NoProgress progress;
  const Target given_up = source.Resolve(std::nullopt, kNow).value();
  CHECK(source.Plan(given_up)->removed.inodes == 0);
  REQUIRE(source.Fetch(given_up, progress));
  CHECK(source.Plan(given_up)->removed.inodes == 0);
  fs::remove_all(update.tree + "/usr/lib/new");
  AddFiles(update.tree, "newer", 1, 3);
  update.publisher.Publish(update.tree, "1.2");
  const Target target = source.Resolve(std::nullopt, kNow).value();
  const Space removed = source.Plan(target)->removed;
  CHECK(removed.inodes >= 20);
  CHECK(removed.bytes >= 20 * kBlockBytes);
  REQUIRE(source.Fetch(target, progress));
  CHECK(source.Plan(target)->removed.inodes == 0);
}

// Damages one object of each kind, in each way: how many.
size_t DamageObjects(const std::string& repository) {
  std::vector<fs::path> files, links, trees;
  for (const auto& entry : fs::recursive_directory_iterator(repository + "/objects")) {
    const fs::path& path = entry.path();
    if (path.extension() == ".dirtree") trees.push_back(path);
    if (path.extension() != ".file") continue;
    if (entry.is_symlink()) {
      links.push_back(path);
    } else if (entry.file_size() > 1000) {
      files.push_back(path);
    }
  }
  REQUIRE(files.size() > 5);
  std::string bytes = ReadText(files[0]);
  bytes[500] ^= 1;
  WriteText(files[0], bytes);
  fs::remove(files[1]);
  fs::remove(files[2]);
  REQUIRE(::mkfifo(files[2].c_str(), 0644) == 0);
  fs::permissions(files[3], fs::perms{0321});
  fs::resize_file(files[4], uint64_t{1} << 40);
  fs::remove(links.at(0));
  fs::create_symlink("elsewhere", links[0]);
  fs::remove(trees.at(0));  // it may be the publisher's too, by another name
  WriteText(trees[0], "no dirtree");
  return 7;
}

TEST_CASE("of what is damaged on this machine only that is fetched, locally or from a server") {
  Update update;
  const size_t damaged = DamageObjects(update.parent);
  LocalSource served = update.Source();
  SourceOptions options =
      update.Options(GENERATE(true, false) ? update.server->url() : update.publisher.path);
  options.parent = "";
  options.damaged = {update.publisher.directory / "nowhere", update.parent};
  LocalSource source(options);
  const Target target = source.Resolve(std::nullopt, kNow).value();
  CHECK(source.Plan(target)->objects > 50);  // all of it takes up room
  NoProgress progress;
  const FetchStats stats = Held(source.Fetch(target, progress));
  CHECK(stats.objects == damaged);
  if (options.url == update.server->url())
    CHECK(WholeObjects(*update.server, update.publisher.path).size() == damaged);
  CHECK(Shell("ostree fsck --repo=" + update.staging).status == 0);
  Result<Checkout> checkout = source.Open(target);
  REQUIRE(checkout);
  CHECK(CheckImage(*checkout, target.release));
}

TEST_CASE("a staging repository with parts missing or another configuration is repaired") {
  Update update;
  Digest newest = update.publisher.Publish(update.tree, "1.1");
  fs::create_directories(update.staging + "/objects");
  WriteText(update.staging + "/config", "[core]\nmode=archive-z2\n");
  LocalSource source = update.Source();
  Target target = *source.Resolve(std::nullopt, kNow);
  NoProgress progress;
  REQUIRE(source.Fetch(target, progress));
  CHECK(ScanCommit(*Repo::Open(update.staging), newest));
}

TEST_CASE("a commit that a loss of power left empty in the staging repository is written again") {
  Update update;
  const Digest newest = update.publisher.Publish(update.tree, "1.1");
  const bool local = GENERATE(false, true);
  LocalSource source = local ? update.FromDirectory() : update.Source();
  const Target target = *source.Resolve(std::nullopt, kNow);
  NoProgress progress;
  REQUIRE(source.Fetch(target, progress));
  fs::resize_file(update.staging + "/" + ObjectPath(newest, "commit"), 0);
  REQUIRE(source.Fetch(target, progress));
  CHECK(ScanCommit(*Repo::Open(update.staging), newest));
}

// Starts source_fetch, kills it when it has received `percent` of the bytes.
void FetchUntil(const Update& update, uint64_t percent) {
  std::array<int, 2> ends;
  REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
  pid_t child = ::fork();
  if (child == 0) {
    ::dup2(ends[1], STDOUT_FILENO);
    ::execl(SOURCE_FETCH, SOURCE_FETCH, update.server->url().c_str(), update.staging.c_str(),
            update.parent.c_str(), update.publisher.keys.c_str(), update.publisher.root.c_str(),
            update.trusted.c_str(), nullptr);
    ::_exit(127);
  }
  UniqueFd writer(ends[1]);
  REQUIRE(writer.Close());
  std::unique_ptr<FILE, decltype([](FILE* file) { ::fclose(file); })> lines(::fdopen(ends[0], "r"));
  uintmax_t done = 0, total = 0;
  while (::fscanf(lines.get(), "%ju %ju\n", &done, &total) == 2) {
    if (total > 0 && done * 100 >= total * percent) break;
  }
  REQUIRE(::kill(child, SIGKILL) == 0);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFSIGNALED(status));
}

// libostree has at most this many requests under way, and as many writes waiting.
constexpr int kInFlight = 16;

TEST_CASE("after kill -9 no object that was received is fetched again") {
  Update update;
  AddFiles(update.tree, "new", 300, 2);
  Digest newest = update.publisher.Publish(update.tree, "1.1");
  (void)update.Source("limit_rate 600k;");  // 8 connections: about two seconds
  FetchUntil(update, 40);
  ObjectNames kept = *InterruptedObjects(update.staging);
  std::map<std::string, int> first = WholeObjects(*update.server, update.publisher.path);
  CHECK(kept.size() > 60);
  CHECK(first.size() < 280);

  bool same_boot = GENERATE(true, false);
  std::string torn;
  if (!same_boot) {
    // After a power cut libostree would throw these away: the boot id is another, and what did not
    // reach the disk is torn.
    for (const fs::directory_entry& entry : fs::directory_iterator(update.staging + "/tmp")) {
      std::string name = entry.path().filename();
      if (!name.starts_with("staging-") || !entry.is_directory()) continue;
      fs::rename(entry.path(),
                 update.staging + "/tmp/staging-01234567-89ab-cdef-0123-456789abcdef-abcdef");
    }
    for (const ObjectName& name : kept) {
      if (name.second != ObjectType::kFile) continue;
      torn = ArchivePath(name);
      std::string hex = name.first.Hex();
      fs::resize_file(update.staging + "/tmp/staging-01234567-89ab-cdef-0123-456789abcdef-abcdef/" +
                          hex.substr(0, 2) + "/" + hex.substr(2) + ".file",
                      0);
      break;
    }
  }

  WriteText(update.staging + "/objects/00/tmp.abcdef", "an object before its rename");
  WriteText(update.staging + "/tmp/staging-01234567-89ab-cdef-0123-456789abcdef-fedcba-lock", "");
  LocalSource source = update.Source();
  Target target = *source.Resolve(std::nullopt, kNow);
  NoProgress progress;
  FetchPlan plan = *source.Plan(target);
  const FetchStats stats = Held(source.Fetch(target, progress));
  std::map<std::string, int> second = WholeObjects(*update.server, update.publisher.path);
  for (const ObjectName& name : kept) {
    CAPTURE(ArchivePath(name));
    CHECK(second.contains(ArchivePath(name)) == (ArchivePath(name) == torn));
  }
  int twice = 0;
  for (const auto& [path, count] : second) {
    CHECK(count == 1);
    twice += first.contains(path) && path != torn;
  }
  CHECK(twice <= kInFlight);
  CHECK(plan.objects + (same_boot ? 0 : 1) == second.size());
  CHECK(stats.objects == second.size());
  CHECK(Shell("find " + update.staging + " -name 'tmp.*' -o -name 'staging-*'").output.empty());
  CHECK(Shell("ostree fsck --repo=" + update.staging).status == 0);
  CHECK(ScanCommit(*Repo::Open(update.staging), newest));
}

TEST_CASE("objects of a release that was given up make room for the next") {
  Update update;
  AddFiles(update.tree, "abandoned", 20, 5);
  update.publisher.Publish(update.tree, "1.1");
  NoProgress progress;
  {
    LocalSource source = update.Source();
    REQUIRE(source.Fetch(*source.Resolve(std::nullopt, kNow), progress));
  }
  fs::remove_all(update.tree + "/usr/lib/abandoned");
  AddFiles(update.tree, "next", 5, 6);
  Digest newest = update.publisher.Publish(update.tree, "1.2");
  LocalSource source = update.Source();
  Target target = *source.Resolve(std::nullopt, kNow);
  REQUIRE(source.Fetch(target, progress));
  uint64_t stored = 0, wanted = 0;
  for (const auto& entry : fs::recursive_directory_iterator(update.staging + "/objects")) {
    stored += entry.path().extension() == ".file";
  }
  Repo parent = *Repo::Open(update.parent);
  for (const ObjectSize& object : target.sizes) {
    wanted += object.type == ObjectType::kFile && !*parent.Has(object.type, object.checksum);
  }
  CHECK(stored == wanted);
  CHECK(ScanCommit(*Repo::Open(update.staging), newest));
}

TEST_CASE("an update from a directory copies what is missing, and goes on where it was cut off") {
  Update update;
  AddFiles(update.tree, "new", 10, 2);
  update.publisher.Publish(update.tree, "1.1");
  LocalSource source = update.FromDirectory();
  const Target target = *source.Resolve(std::nullopt, kNow);
  CHECK(source.Resolve("1.0", kNow)->release.version == "1.0");
  CHECK(source.Resolve("1.2", kNow).error().code == Code::kNotFound);
  const FetchPlan plan = *source.Plan(target);
  CHECK(plan.objects > 10);

  // One object is not there yet: what comes before it has been copied, and is not copied again.
  const std::vector<ObjectSize>& sizes = target.sizes;
  const Repo parent = *Repo::Open(update.parent);
  const auto last = std::ranges::find_last_if(sizes, [&](const ObjectSize& object) {
    return object.type == ObjectType::kFile && !*parent.Has(object.type, object.checksum);
  });
  const std::string victim = update.publisher.ObjectPath(last.front().checksum, "filez");
  const std::string good = ReadText(victim);
  fs::remove(victim);
  NoProgress progress;
  CHECK(source.Fetch(target, progress).error().code == Code::kNotFound);
  const FetchPlan left = *source.Plan(target);
  WriteText(victim, good);
  const auto stats = source.Fetch(target, progress);
  REQUIRE(stats);
  CHECK(stats->objects < plan.objects);
  CHECK(stats->objects == left.objects);
  CHECK(source.Plan(target)->objects == 0);
  CHECK(Shell("ostree fsck --repo=" + update.staging).status == 0);
  CHECK(source.Open(target));
}

TEST_CASE("too little space for the objects is said before the first is fetched") {
  Update update;
  Release release = update.publisher.Describe("2.0");
  Commit commit = *ParseCommit(*update.publisher.repo.ReadMetadata(
      ObjectType::kCommit, *update.publisher.repo.ResolveRef("hostos/x86-64/stable")));
  commit.release = release;
  commit.sizes = {{.checksum = {}, .archived = 1ull << 56, .unpacked = 1ull << 56}};
  std::string forged = *BuildCommit(commit);
  LocalSource source = update.Source();
  Target target;
  static_cast<SignedCommit&>(target) = *ParseSignedCommit(forged, "");
  NoProgress progress;
  auto stats = source.Fetch(target, progress);
  REQUIRE_FALSE(stats);
  CHECK(stats.error().code == Code::kNoSpace);
  CHECK(stats.error().message.contains("72057594037927936"));
  CHECK(update.server->Requests().empty());
}

TEST_CASE("a version that is published never becomes another release") {
  Update update;
  AddFiles(update.tree, "more", 1, 9);
  auto again = CommitTree(
      update.publisher.repo, ScanDirectory(update.tree).value(),
      {.uki = update.publisher.directory / "uki", .release = update.publisher.Describe("1.0")},
      update.publisher.key);
  REQUIRE_FALSE(again);
  CHECK(again.error().code == Code::kRefused);
}

TEST_CASE("a tree is committed only with an empty /boot") {
  Update update;
  auto commit = [&]() -> Result<Digest> {
    return CommitTree(
        update.publisher.repo, TRY(ScanDirectory(update.tree)),
        {.uki = update.publisher.directory / "uki", .release = update.publisher.Describe("3.0")},
        update.publisher.key);
  };
  WriteText(update.tree + "/boot/vmlinuz", "kernel");
  CHECK(commit().error().message.contains("'vmlinuz'"));
  fs::remove_all(update.tree + "/boot");
  CHECK(commit().error().message.contains("found none"));
  // Nothing of a failed commit is visible.
  CHECK(update.publisher.repo.ResolveRef("hostos/x86-64/releases/3.0").error().code ==
        Code::kNotFound);
}

}  // namespace

}  // namespace hostos
