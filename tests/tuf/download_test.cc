#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include "tests/text_file.h"
#include "tests/tuf/repository.h"
#include "updater/base/digest.h"
#include "updater/base/unique_fd.h"

namespace hostos::tuf {
namespace {

using Names = std::vector<std::string>;

// A repository with the target "dir/file", and a machine of its.
struct Download {
  Download() {
    repository.AddTarget("targets", "dir/file", "content");
    repository.Publish({"targets", "snapshot", "timestamp"});
  }

  std::string& Served() { return repository.targets.files.begin()->second; }
  Json& Target() { return repository["targets"]["targets"]["dir/file"]; }
  void Publish() { repository.Publish({"targets", "snapshot", "timestamp"}); }
  Error Refused() {
    const Result<std::string> content = machine.Get("dir/file");
    REQUIRE_FALSE(content);
    CHECK(machine.Downloaded().empty());
    return content.error();
  }

  Repository repository;
  Machine machine{repository};
};

TEST_CASE("a target is fetched under its hash and stored under its own name, flat") {
  Download download;
  CHECK(download.machine.Get("dir/file") == "content");
  CHECK(download.repository.targets.fetched ==
        Names{"dir/" + Sha256::Of(AsBytes("content")).Hex() + ".file"});
  CHECK(download.machine.Downloaded() == Names{"dir%2Ffile"});
}

TEST_CASE("without consistent snapshots a target is fetched under its own name") {
  Download download;
  download.repository["root"]["consistent_snapshot"] = false;
  download.repository.Publish({"root", "targets", "snapshot", "timestamp"});
  download.repository.targets.files = {{"dir/file", "content"}};
  CHECK(download.machine.Get("dir/file") == "content");
}

TEST_CASE("a target that is there already, as signed, is not fetched again") {
  Download download;
  REQUIRE(download.machine.Get("dir/file"));
  download.repository.targets.files.clear();
  CHECK(download.machine.Get("dir/file") == "content");
  CHECK(download.repository.targets.fetched.size() == 1);
}

TEST_CASE("a stored target that is not the signed one is replaced") {
  Download download;
  WriteText(download.machine.targets / "dir%2Ffile",
            GENERATE("", "conten", "content, and more", "CONTENT"));
  CHECK(download.machine.Get("dir/file") == "content");
  download.repository.AddTarget("targets", "dir/file", "new content");
  download.Publish();
  CHECK(download.machine.Get("dir/file") == "new content");
  CHECK(download.machine.Downloaded() == Names{"dir%2Ffile"});
}

TEST_CASE("a target with other bytes than the signed ones is refused and not stored") {
  Download download;
  download.Served() = "CONTENT";
  const Error error = download.Refused();
  CHECK(error.code == Code::kNotTrusted);
  CHECK(error.message.starts_with("dir/file: sha256: expected "));
}

TEST_CASE("a target of another length is refused and not stored") {
  Download download;
  SECTION("shorter") {
    download.Served() = "conten";
    CHECK(download.Refused().message == "dir/file: length: expected 7, found 6");
  }
  SECTION("longer: it is not even fetched") {
    download.Served() = "content, and more";
    CHECK(download.Refused().code == Code::kNetwork);
    download.repository.targets.ignores_cap = true;
    CHECK(download.Refused().message == "dir/file: length: expected 7, found 17");
  }
  SECTION("with the right hash") {
    download.Target()["length"] = 8;
    download.Publish();
    CHECK(download.Refused().message == "dir/file: length: expected 8, found 7");
  }
}

TEST_CASE("a refused target leaves the stored one as it was") {
  Download download;
  REQUIRE(download.machine.Get("dir/file"));
  download.repository.AddTarget("targets", "dir/file", "new content");
  for (auto& [name, content] : download.repository.targets.files) content = "evil content";
  download.Publish();
  CHECK_FALSE(download.machine.Get("dir/file"));
  CHECK(ReadText(download.machine.targets / "dir%2Ffile") == "content");
}

TEST_CASE("SHA-512 is as good as SHA-256, and both have to hold when both are given") {
  const std::string sha512 =
      "b2d1d285b5199c85f988d03649c37e44fd3dde01e5d69c50fef90651962f48110e9340b60d49a479c4c0b53f5f07"
      "d690"
      "686dd87d2481937a512e8b85ee7c617f";
  Download download;
  const std::string content = download.Served();
  const std::string sha256 = download.Target()["hashes"]["sha256"];
  SECTION("SHA-512 alone") {
    download.Target()["hashes"] = {{"sha512", sha512}};
    download.repository.targets.files = {{"dir/" + sha512 + ".file", content}};
    download.Publish();
    CHECK(download.machine.Get("dir/file") == "content");
  }
  SECTION("both") {
    download.Target()["hashes"]["sha512"] = sha512;
    download.Publish();
    CHECK(download.machine.Get("dir/file") == "content");
    download.Target()["hashes"]["sha512"] = sha256;
    download.Publish();
    std::filesystem::remove(download.machine.targets / "dir%2Ffile");
    CHECK(download.Refused().message.starts_with("dir/file: sha512: expected "));
  }
  SECTION("an unknown one alone") {
    download.Target()["hashes"] = {{"sha1024", sha256}};
    download.Publish();
    CHECK(download.Refused().message ==
          "dir/file: hash: expected sha256 or sha512, found only 'sha1024'");
  }
}

TEST_CASE("a target that nobody signed is not found, and nothing is fetched for it") {
  Download download;
  CHECK(download.machine.Get("dir/other").error().code == Code::kNotFound);
  CHECK(download.machine.Trusted() == "root 1, snapshot 2, targets 2, timestamp 2");
  CHECK(download.repository.targets.fetched.empty());
}

TEST_CASE("names of targets that are no file names stay inside the directory") {
  Download download;
  download.repository.AddTarget("targets", "a b/?#%", "content");
  download.Publish();
  for (auto& [path, content] : std::map(download.repository.targets.files)) {
    if (path.ends_with("?#%")) {
      download.repository.targets
          .files["a%20b/" + Sha256::Of(AsBytes(content)).Hex() + ".%3F%23%25"] = content;
    }
  }
  CHECK(download.machine.Get("a b/?#%") == "content");
  REQUIRE(download.machine.Downloaded().size() == 1);
}

TEST_CASE("metadata with a target that would lie elsewhere is refused") {
  const std::string name = GENERATE("", ".", "..", "../file", "/etc/file", "a/../../b");
  Download download;
  download.repository.AddTarget("targets", name, "content");
  download.Publish();
  CHECK(download.machine.Get(name).error().code == Code::kNotTrusted);
  CHECK(download.machine.Downloaded().empty());
}

}  // namespace
}  // namespace hostos::tuf
