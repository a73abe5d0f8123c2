// The program that outside conformance suites drive, over HTTP.
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch_test_macros.hpp>

#include "tests/source/http_server.h"
#include "tests/text_file.h"
#include "tests/tuf/repository.h"
#include "updater/tuf/name.h"

namespace hostos::tuf {
namespace {

// The exit code of tuf_conformance with these arguments.
int Run(const std::vector<std::string>& arguments) {
  std::vector<char*> words = {const_cast<char*>(TUF_CONFORMANCE)};
  for (const std::string& word : arguments) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  const pid_t child = ::fork();
  if (child == 0) {
    ::execv(words[0], words.data());
    ::_exit(127);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  return WEXITSTATUS(status);
}

// A repository on a web server, and the directories of a client that the program keeps.
struct Served {
  Served() { WriteText(directory / "initial.json", repository.root()); }

  int Init() { return Run({"--metadata-dir", machine.path(), "init", directory / "initial.json"}); }
  int Refresh() {
    Publish();
    return Run({"--metadata-url", server.url() + "/metadata/", "--metadata-dir", machine.path(),
                "refresh"});
  }
  int Download(const std::vector<std::string>& names) {
    Publish();
    std::vector<std::string> arguments = {"--metadata-url",    server.url() + "/metadata",
                                          "--metadata-dir",    machine.path(),
                                          "--target-dir",      targets.path(),
                                          "--target-base-url", server.url() + "/targets"};
    for (const std::string& name : names) {
      arguments.insert(arguments.end(), {"--target-name", name});
    }
    arguments.emplace_back("download");
    return Run(arguments);
  }

  // The paths that the server was asked for since the last call.
  std::vector<std::string> Asked() {
    std::vector<std::string> paths;
    const std::vector<HttpRequest> requests = server.Requests();
    for (; seen < requests.size(); ++seen) paths.push_back(requests[seen].path);
    return paths;
  }

  std::string Kept(const std::string& role) const { return ReadText(machine / (role + ".json")); }
  std::vector<std::string> Files(const TempDir& where) const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(where.path())) {
      names.push_back(entry.path().filename());
    }
    std::ranges::sort(names);
    return names;
  }

  void Publish() const {
    for (const auto& [name, file] : repository.metadata.files) {
      WriteText(directory / ("www/metadata/" + name), file);
    }
    for (const auto& [name, file] : repository.targets.files) {
      WriteText(directory / ("www/targets/" + name), file);
    }
  }

  Repository repository;
  TempDir directory, machine, targets;
  HttpServer server{(std::filesystem::create_directory(directory / "www"), directory / "www")};
  size_t seen = 0;
};

using Names = std::vector<std::string>;

const Names kRoles = {"root.json", "snapshot.json", "targets.json", "timestamp.json"};

TEST_CASE("the program initializes without a request, then refreshes") {
  Served served;
  REQUIRE(served.Init() == 0);
  CHECK(served.Files(served.machine) == Names{"root.json"});
  CHECK(served.Asked().empty());
  REQUIRE(served.Refresh() == 0);
  CHECK(served.Files(served.machine) == kRoles);
  CHECK(served.Asked() == Names{"/metadata/2.root.json", "/metadata/timestamp.json",
                                "/metadata/1.snapshot.json", "/metadata/1.targets.json"});
  CHECK(served.Kept("timestamp") == served.repository.metadata.files["timestamp.json"]);
}

TEST_CASE("the program goes on from what it kept, and fetches what changed") {
  Served served;
  REQUIRE(served.Init() == 0);
  REQUIRE(served.Refresh() == 0);
  served.Asked();
  REQUIRE(served.Refresh() == 0);
  CHECK(served.Asked() == Names{"/metadata/2.root.json", "/metadata/timestamp.json"});
  served.repository.Publish({"root", "targets", "snapshot", "timestamp"});
  REQUIRE(served.Refresh() == 0);
  CHECK(served.Kept("root") == served.repository.metadata.files["2.root.json"]);
  CHECK(served.Kept("targets") == served.repository.metadata.files["2.targets.json"]);
}

TEST_CASE("the program refuses with exit code 1, and what it kept stays") {
  Served served;
  REQUIRE(served.Init() == 0);
  REQUIRE(served.Refresh() == 0);
  const std::string kept = served.Kept("timestamp");
  served.repository.signers("timestamp").clear();
  served.repository.Publish({"timestamp"});
  CHECK(served.Refresh() == 1);
  CHECK(served.Files(served.machine) == kRoles);
  CHECK(served.Kept("timestamp") == kept);
}

TEST_CASE("the program refuses a root that did not sign itself, and asks nobody") {
  Served served;
  WriteText(served.directory / "initial.json", SignedFile(served.repository["root"], {TestKey()}));
  CHECK(served.Init() == 1);
  CHECK(served.Refresh() == 1);
  CHECK(served.Asked().empty());
}

TEST_CASE("the program refuses what expired by its clock") {
  Served served;
  served.repository["timestamp"]["expires"] = "2020-01-01T00:00:00Z";
  served.repository.Publish({"timestamp"});
  REQUIRE(served.Init() == 0);
  CHECK(served.Refresh() == 1);
  CHECK(served.Files(served.machine) == Names{"root.json"});
}

TEST_CASE("the program refreshes, then downloads each target once") {
  Served served;
  served.repository.Delegate("targets", "A");
  served.repository.AddTarget("targets", "dir/one", "first");
  served.repository.AddTarget("A", "two", "second");
  served.repository.Publish({"A", "targets", "snapshot", "timestamp"});
  REQUIRE(served.Init() == 0);
  REQUIRE(served.Download({"dir/one", "two"}) == 0);
  CHECK(served.Files(served.targets) == Names{"dir%2Fone", "two"});
  CHECK(ReadText(served.targets / "dir%2Fone") == "first");
  CHECK(ReadText(served.targets / "two") == "second");
  CHECK(served.Files(served.machine) ==
        Names{"A.json", "root.json", "snapshot.json", "targets.json", "timestamp.json"});
  served.Asked();
  REQUIRE(served.Download({"dir/one", "two"}) == 0);
  CHECK(served.Asked() == Names{"/metadata/2.root.json", "/metadata/timestamp.json"});
}

TEST_CASE("the program stores no target that is not the signed one") {
  Served served;
  served.repository.AddTarget("targets", "one", "first");
  served.repository.Publish({"targets", "snapshot", "timestamp"});
  for (auto& [name, content] : served.repository.targets.files) content = "FIRST";
  REQUIRE(served.Init() == 0);
  CHECK(served.Download({"one"}) == 1);
  CHECK(served.Download({"none"}) == 1);
  CHECK(served.Files(served.targets).empty());
  CHECK(served.Files(served.machine) == kRoles);
}

TEST_CASE("the program says how it is used, with exit code 1") {
  const TempDir directory;
  for (const Names& arguments :
       {Names{}, Names{"refresh"}, Names{"--metadata-dir", directory.path()},
        Names{"--metadata-dir", directory.path(), "init"},
        Names{"--metadata-dir", directory.path(), "refresh"},
        Names{"--metadata-dir", directory.path(), "--metadata-url", "http://127.0.0.1:1", "fly"}}) {
    CHECK(Run(arguments) == 1);
  }
  CHECK(std::filesystem::is_empty(directory.path()));
}

}  // namespace
}  // namespace hostos::tuf
