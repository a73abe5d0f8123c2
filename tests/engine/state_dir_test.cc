#include "updater/engine/state_dir.h"

#include <sys/inotify.h>

#include <catch2/catch_test_macros.hpp>
#include <filesystem>
#include <set>

#include "tests/engine/fill.h"
#include "tests/temp_dir.h"
#include "updater/base/atomic_file.h"

using namespace hostos;

namespace {

void Edit(const StateDir& state, const Digest& root_hash, const std::string& file) {
  std::string upper = state.path() + "/etc/" + root_hash.Hex().substr(0, 16) + "/upper/";
  REQUIRE(MakeDirectories(upper + std::filesystem::path(file).parent_path().string()));
  REQUIRE(WriteFileAtomically(upper + file, "edited"));
}

// Observes the names that appear in a directory and disappear from it, one by one.
class NameChanges {
 public:
  explicit NameChanges(const std::string& directory) : fd_(::inotify_init1(IN_CLOEXEC)) {
    REQUIRE(::inotify_add_watch(fd_.get(), directory.c_str(), IN_MOVED_TO | IN_DELETE) >= 0);
  }
  // Each name, and whether it exists from then on.
  std::vector<std::pair<std::string, bool>> Read() const {
    alignas(inotify_event) char buffer[16 << 10];
    const ssize_t size = ::read(fd_.get(), buffer, sizeof buffer);
    std::vector<std::pair<std::string, bool>> changes;
    for (ssize_t at = 0; at < size;) {
      const auto* event = reinterpret_cast<const inotify_event*>(buffer + at);
      changes.emplace_back(event->name, (event->mask & IN_MOVED_TO) != 0);
      at += static_cast<ssize_t>(sizeof *event + event->len);
    }
    return changes;
  }

 private:
  UniqueFd fd_;
};

}  // namespace

TEST_CASE("a second lock says who holds the first, and when it is gone the next one is given") {
  TempDir dir;
  StateDir state(dir / "state", dir / "run");
  {
    Lock held = state.TryLock("hostctl update", 0).value();
    Result<Lock> second = state.TryLock("hostctl rollback", 0);
    REQUIRE_FALSE(second);
    CHECK(second.error().code == Code::kBusy);
    CHECK(second.error().message.contains(
        std::format("hostctl update, pid {}, since 1970-01-01 00:00 UTC", ::getpid())));
  }
  CHECK(state.TryLock("hostctl rollback", 0));
}

TEST_CASE("kept commits come back with their signatures, and unwanted ones are forgotten") {
  TempDir dir;
  StateDir state(dir.path(), dir / "run");
  CHECK(state.Commits().commits.empty());
  REQUIRE(state.Keep(Fill(1), {"one", "sig one"}));
  REQUIRE(state.Keep(Fill(2), {"two", "sig two"}));
  CHECK(state.Commits().commits.size() == 2);
  REQUIRE(state.ForgetExcept({Fill(2)}));
  const KeptCommits left = state.Commits();
  CHECK(left.problems.empty());
  REQUIRE(left.commits.size() == 1);
  CHECK(left.commits[0].commit == "two");
  CHECK(left.commits[0].signatures == "sig two");
}

TEST_CASE("whenever the power goes, a kept commit has its signatures") {
  TempDir dir;
  StateDir state(dir.path(), dir / "run");
  // For one commit the commit file has the newer name, for the others the signatures. There are
  // enough of them for a file system that lists names by hash: the order of the listing must not
  // matter.
  REQUIRE(state.Keep(Fill(1), {"one", "sig one"}));
  REQUIRE(RemoveFileDurably(dir / "commits/" + Fill(1).Hex() + ".commitmeta"));
  REQUIRE(WriteFileAtomically(dir / "commits/" + Fill(1).Hex() + ".commitmeta", "sig one"));
  const NameChanges changes(dir / "commits");
  REQUIRE(state.Keep(Fill(2), {"two", "sig two"}));
  for (uint8_t i = 3; i < 20; i++) REQUIRE(state.Keep(Fill(i), {"three", "sig three"}));
  REQUIRE(state.ForgetExcept({Fill(2)}));
  std::set<std::string> there = {Fill(1).Hex() + ".commit", Fill(1).Hex() + ".commitmeta"};
  size_t removed = 0;
  for (const auto& [name, is_there] : changes.Read()) {
    CAPTURE(name, is_there);
    if (is_there)
      there.insert(name);
    else
      removed += there.erase(name);
    for (const std::string& file : there)
      if (file.ends_with(".commit")) CHECK(there.contains(file + "meta"));
  }
  CHECK(removed == 36);
  CHECK(there.size() == 2);
}

TEST_CASE("a kept commit that cannot be removed keeps its signatures, and holds up no other") {
  TempDir dir;
  StateDir state(dir.path(), dir / "run");
  for (const uint8_t each : {1, 2}) REQUIRE(state.Keep(Fill(each), {"commit", "signatures"}));
  const std::string first = dir / "commits/" + Fill(1).Hex() + ".commit";
  REQUIRE(std::filesystem::remove(first));
  REQUIRE(std::filesystem::create_directory(first));
  CHECK_FALSE(state.ForgetExcept({}));
  CHECK(std::filesystem::exists(first + "meta"));
  CHECK_FALSE(std::filesystem::exists(dir / "commits/" + Fill(2).Hex() + ".commit"));
}

TEST_CASE("a kept commit that cannot be read is skipped and named, and hides no other") {
  TempDir dir;
  StateDir state(dir.path(), dir / "run");
  REQUIRE(state.Keep(Fill(1), {"one", "sig one"}));
  REQUIRE(state.Keep(Fill(2), {"two", "sig two"}));
  const std::string bad = dir / "commits/" + Fill(1).Hex() + ".commit";
  SECTION("its signatures are gone") {
    REQUIRE(RemoveFileDurably(bad + "meta"));
  }
  SECTION("it is no file") {
    REQUIRE(RemoveFileDurably(bad));
    REQUIRE(MakeDirectories(bad + "/inside"));
  }
  SECTION("it leads nowhere") {
    REQUIRE(RemoveFileDurably(bad));
    std::filesystem::create_symlink(bad + "x/loop", bad);
    // There is nothing to name.
    CHECK(state.Commits().problems.empty());
    REQUIRE(state.Keep(Fill(1), {"one", "sig one"}));
    REQUIRE(RemoveFileDurably(bad + "meta"));
  }
  const KeptCommits kept = state.Commits();
  REQUIRE(kept.commits.size() == 1);
  CHECK(kept.commits[0].commit == "two");
  REQUIRE(kept.problems.size() == 1);
  CHECK(kept.problems[0].contains(bad));
  REQUIRE(state.Keep(Fill(3), {"three", "sig three"}));
  (void)state.ForgetExcept({Fill(3)});  // what is not a file stays, and hides no other
  CHECK(state.Commits().commits.size() == 1);
}

TEST_CASE("where no commits can be kept, none is known and that is said") {
  TempDir dir;
  StateDir state(dir.path(), dir / "run");
  REQUIRE(WriteFileAtomically(dir / "commits", "no directory"));
  CHECK(state.Commits().commits.empty());
  REQUIRE(state.Commits().problems.size() == 1);
  CHECK(state.Commits().problems[0].contains("commits"));
}

TEST_CASE("where the state partition has no lock to give, there is one all the same") {
  TempDir dir;
  StateDir state(dir / "state", dir / "run");
  SECTION("its file cannot be written") {
    REQUIRE(MakeDirectories(dir / "state/lock"));
  }
  SECTION("nothing of it is there") {
    REQUIRE(WriteFileAtomically(dir / "state", "no directory"));
  }
  const Result<Lock> held = state.TryLock("hostctl gate", 0);
  REQUIRE(held);
  CHECK(state.TryLock("hostctl update", 0).error().code == Code::kBusy);
}

TEST_CASE("changes below /etc are listed by path") {
  TempDir dir;
  StateDir state(dir.path(), dir / "run");
  CHECK(state.EtcChanges(Fill(1)).value().empty());
  Edit(state, Fill(1), "ssh/sshd_config.d/10-site.conf");
  Edit(state, Fill(1), "hostname");
  for (const char* own : {".pwd.lock", ".updated", "machine-id", "passwd-"})
    Edit(state, Fill(1), own);  // written by the system itself
  CHECK(state.EtcChanges(Fill(1)).value() ==
        std::vector<std::string>{"hostname", "ssh/sshd_config.d/10-site.conf"});
  const std::string upper = dir / "etc/" + Fill(1).Hex().substr(0, 16) + "/upper/";
  std::filesystem::create_directory_symlink(dir.path(), upper + "linked");
  std::filesystem::create_symlink("nowhere", upper + "dangling");
  CHECK(
      state.EtcChanges(Fill(1)).value() ==
      std::vector<std::string>{"dangling", "hostname", "linked", "ssh/sshd_config.d/10-site.conf"});
}

TEST_CASE("arming a release leaves word for its first boot, and every upper") {
  TempDir dir;
  StateDir state(dir.path(), dir / "run");
  const Digest running = Fill(1), target = Fill(2), gone = Fill(3);
  for (const Digest& release : {running, target, gone}) Edit(state, release, "hostname");
  REQUIRE(state.PrepareEtc(running, target, /*afresh=*/true));
  CHECK(ReadFile(dir / "etc/next-from").value() == "0101010101010101\n0202020202020202\n");
  REQUIRE(state.PrepareEtc(running, target, /*afresh=*/false));
  CHECK(ReadFile(dir / "etc/next-from").value() == "0101010101010101\n");
  for (const Digest& release : {running, target, gone})
    CHECK(state.EtcChanges(release).value().size() == 1);
}

TEST_CASE("after a trial, the uppers of both slots are left, and the word for a first boot") {
  TempDir dir;
  StateDir state(dir.path(), dir / "run");
  CHECK(state.ForgetEtc(Fill(1), Fill(2)));
  const Digest running = Fill(1), other = Fill(2), gone = Fill(3);
  for (const Digest& release : {other, gone}) Edit(state, release, "hostname");
  Edit(state, Fill(4), "../../0404040404040404.new/upper/hostname");
  REQUIRE(state.PrepareEtc(running, other, /*afresh=*/true));
  const auto names = [&] {
    std::set<std::string> found;
    for (const auto& entry : std::filesystem::directory_iterator(dir / "etc"))
      found.insert(entry.path().filename());
    return found;
  };
  const std::set<std::string> before = names();
  REQUIRE(state.ForgetEtc(running, other));  // without an upper of its own
  CHECK(names() == before);
  Edit(state, running, "hostname");
  REQUIRE(state.ForgetEtc(running, other));
  CHECK(names() == std::set<std::string>{"0101010101010101", "0202020202020202", "next-from"});
  REQUIRE(state.ForgetEtc(running, std::nullopt));
  CHECK(names() == std::set<std::string>{"0101010101010101", "next-from"});
}
