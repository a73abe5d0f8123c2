#include "updater/tuf/metadata.h"

#include <catch2/catch_test_macros.hpp>

#include "tests/tuf/repository.h"
#include "updater/base/digest.h"
#include "updater/base/unique_fd.h"

namespace hostos::tuf {
namespace {

// The error of reading `role` with its body changed.
template <class Parse, class Change>
std::string Problem(Parse parse, Json body, Change change) {
  change(body);
  const auto read = parse(SignedFile(body, {TestKey()}));
  if (read) return "none";
  CHECK(read.error().code == Code::kNotTrusted);
  return read.error().message;
}

Result<Targets> ParseTargets(std::string_view bytes) {
  return Targets::Parse("targets", bytes);
}

TEST_CASE("metadata of every role says its type, version, expiry and specification") {
  Repository repository;
  auto problem = [&](auto change) {
    return Problem(Timestamp::Parse, repository["timestamp"], change);
  };
  CHECK(problem([](Json&) {}) == "none");
  CHECK(problem([](Json& body) { body["_type"] = "snapshot"; }) ==
        "timestamp.signed._type: expected 'timestamp', found 'snapshot'");
  CHECK(problem([](Json& body) { body.erase("_type"); }) ==
        "timestamp.signed._type: expected a string, found null");
  CHECK(problem([](Json& body) { body["version"] = 0; }) ==
        "timestamp.signed.version: expected an integer from 1, found 0");
  CHECK(problem([](Json& body) { body["version"] = -3; }) ==
        "timestamp.signed.version: expected an integer from 1, found -3");
  CHECK(problem([](Json& body) { body["version"] = "1"; }) ==
        "timestamp.signed.version: expected an integer from 1, found string");
  CHECK(problem([](Json& body) { body["spec_version"] = "2.0.0"; }) ==
        "timestamp.signed.spec_version: expected 1.x, found '2.0.0'");
  CHECK(problem([](Json& body) { body["spec_version"] = "10.0.0"; }) ==
        "timestamp.signed.spec_version: expected 1.x, found '10.0.0'");
  CHECK(problem([](Json& body) { body["spec_version"] = "1.99.7"; }) == "none");
  CHECK(problem([](Json& body) { body["unknown"] = {{"a", Json::array({1, nullptr})}}; }) ==
        "none");
}

TEST_CASE("a time of expiry is written in one way only, and exists") {
  Repository repository;
  for (const char* time : {"2030-01-02T03:04:05Z", "2028-02-29T23:59:59Z", "9999-12-31T23:59:59Z",
                           "0001-01-01T00:00:00Z"}) {
    CAPTURE(time);
    repository["timestamp"]["expires"] = time;
    CHECK(Timestamp::Parse(SignedFile(repository["timestamp"], {})));
  }
  for (const char* time :
       {"", "2030-01-02", "2030-01-02T03:04:05", "2030-01-02T03:04:05+00:00",
        "2030-01-02 03:04:05Z", "2030-1-2T3:4:5Z", "2030-02-30T00:00:00Z", "2030-13-01T00:00:00Z",
        "2030-01-02T24:00:00Z", "2030-01-02T03:04:60Z", "2030-01-02T03:04:05.5Z",
        "2030-01-02T03:04:05Zx", " 2030-01-02T03:04:05Z", "20300-01-02T03:04:05Z", "never"}) {
    CAPTURE(time);
    repository["timestamp"]["expires"] = time;
    const Result<Timestamp> read = Timestamp::Parse(SignedFile(repository["timestamp"], {}));
    REQUIRE_FALSE(read);
    CHECK(read.error().message.starts_with("timestamp.signed.expires: expected a time like "));
  }
}

TEST_CASE("two signatures under one key id are refused") {
  Repository repository;
  const TestKey key;
  const Result<Root> read = Root::Parse(SignedFile(repository["root"], {key, TestKey(), key}));
  REQUIRE_FALSE(read);
  CHECK(read.error().message ==
        "root.signatures[2]: expected one signature of each key, found "
        "another of '" +
            key.id() + "'");
}

TEST_CASE("a root names the keys and the threshold of each of the four roles") {
  Repository repository;
  auto problem = [&](auto change) { return Problem(Root::Parse, repository["root"], change); };
  for (const std::string role : {"root", "timestamp", "snapshot", "targets"}) {
    const std::string where = "root.signed.roles." + role;
    CHECK(problem([&](Json& body) { body["roles"].erase(role); }) ==
          where + ": expected an object, found null");
    CHECK(problem([&](Json& body) { body["roles"][role]["threshold"] = 0; }) ==
          where + ".threshold: expected an integer from 1, found 0");
    CHECK(problem([&](Json& body) { body["roles"][role]["threshold"] = -1; }) ==
          where + ".threshold: expected an integer from 1, found -1");
    CHECK(problem([&](Json& body) {
            Json& keyids = body["roles"][role]["keyids"];
            keyids.push_back(keyids[0]);
          }).starts_with(where + ".keyids: expected each key once, found '"));
  }
  CHECK(problem([](Json& body) { body["consistent_snapshot"] = 1; }) ==
        "root.signed.consistent_snapshot: expected true or false, found 1");
  CHECK(problem([](Json& body) { body.erase("keys"); }) ==
        "root.signed.keys: expected an object, found null");
  CHECK(problem([](Json& body) { body["roles"]["mirrors"] = {{"threshold", 1}}; }) == "none");
  CHECK(problem([](Json& body) { body["roles"]["root"]["keyids"].push_back("nobody"); }) == "none");
}

TEST_CASE("a timestamp names the snapshot, and a snapshot every file with a version") {
  Repository repository;
  CHECK(Problem(Timestamp::Parse, repository["timestamp"], [](Json& body) {
          body["meta"].erase("snapshot.json");
        }) == "timestamp.signed.meta.snapshot.json: expected an object, found null");
  auto problem = [&](auto change) {
    return Problem(Snapshot::Parse, repository["snapshot"],
                   [&](Json& body) { change(body["meta"]["targets.json"]); });
  };
  const std::string where = "snapshot.signed.meta.targets.json";
  CHECK(problem([](Json& meta) { meta["version"] = 0; }) ==
        where + ".version: expected an integer from 1, found 0");
  CHECK(problem([](Json& meta) { meta["length"] = -1; }) ==
        where + ".length: expected an integer from 0, found -1");
  CHECK(problem([](Json& meta) { meta["hashes"] = Json::object(); }) ==
        where + ".hashes: expected a hash, found none");
  CHECK(problem([](Json& meta) { meta["hashes"] = {{"sha256", 5}}; }) ==
        where + ".hashes.sha256: expected a string, found 5");
}

TEST_CASE("a target has a length and a hash") {
  Repository repository;
  repository.AddTarget("targets", "a/b", "content");
  auto problem = [&](auto change) {
    return Problem(ParseTargets, repository["targets"],
                   [&](Json& body) { change(body["targets"]["a/b"]); });
  };
  CHECK(problem([](Json&) {}) == "none");
  CHECK(problem([](Json& target) { target.erase("length"); }) ==
        "targets.signed.targets.a%2Fb: expected a length and hashes");
  CHECK(problem([](Json& target) { target.erase("hashes"); }) ==
        "targets.signed.targets.a%2Fb: expected a length and hashes");
  CHECK(problem([](Json& target) { target["hashes"] = Json::object(); }) ==
        "targets.signed.targets.a%2Fb.hashes: expected a hash, found none");
  CHECK(problem([](Json& target) { target["length"] = -1; }) ==
        "targets.signed.targets.a%2Fb.length: expected an integer from 0, found -1");
}

TEST_CASE("a target's path stays below the targets, and its hashes are no path") {
  for (const char* path :
       {"", ".", "..", "../a", "a/../../b", "a/..", "/etc/a", "a//b", "a/", "./a"}) {
    CAPTURE(path);
    Repository repository;
    repository.AddTarget("targets", path, "content");
    CHECK(Problem(ParseTargets, repository["targets"], [](Json&) {
          }).ends_with(": expected a path below the targets"));
  }
  for (const char* path : {"a", "a/b", "..a/b..", "a/.b", "a b/?#%"}) {
    CAPTURE(path);
    Repository repository;
    repository.AddTarget("targets", path, "content");
    CHECK(Problem(ParseTargets, repository["targets"], [](Json&) {}) == "none");
    for (const char* hash : {"", "../../a", "\x1b[2J", "abc"}) {
      Json& hashes = repository["targets"]["targets"][path]["hashes"];
      hashes["sha256"] = hash;
      CHECK(Problem(ParseTargets, repository["targets"], [](Json&) {
            }).contains(".hashes.sha256: expected hexadecimal digits, found '"));
    }
  }
}

TEST_CASE("a delegation has a name of its own, and paths or prefixes of hashes") {
  Repository repository;
  repository.Delegate("targets", "a");
  repository.Delegate("targets", "b");
  auto problem = [&](auto change) {
    return Problem(ParseTargets, repository["targets"],
                   [&](Json& body) { change(body["delegations"]["roles"][1]); });
  };
  const std::string where = "targets.signed.delegations.roles[1]";
  CHECK(problem([](Json&) {}) == "none");
  for (const char* name : {"a", "root", "timestamp", "snapshot", "targets"}) {
    CHECK(problem([&](Json& role) { role["name"] = name; }) ==
          where + ".name: expected a name of its own, found '" + name + "'");
  }
  CHECK(problem([](Json& role) { role.erase("paths"); }) ==
        where + ": expected one of 'paths' and 'path_hash_prefixes'");
  CHECK(problem([](Json& role) { role["path_hash_prefixes"] = Json::array(); }) ==
        where + ": expected one of 'paths' and 'path_hash_prefixes'");
  CHECK(problem([](Json& role) { role.erase("terminating"); }) ==
        where + ".terminating: expected true or false, found null");
  CHECK(problem([](Json& role) { role["threshold"] = 0; }) ==
        where + ".threshold: expected an integer from 1, found 0");
}

TEST_CASE("bins of hashes stand in place of roles, and have 1 to 32 bits") {
  Repository repository;
  auto problem = [&](const Json& bits, bool roles) {
    return Problem(ParseTargets, repository["targets"], [&](Json& body) {
      body["delegations"] = {{"keys", Json::object()},
                             {"succinct_roles",
                              {{"keyids", Json::array()},
                               {"threshold", 1},
                               {"bit_length", bits},
                               {"name_prefix", "bin"}}}};
      if (roles) body["delegations"]["roles"] = Json::array();
    });
  };
  CHECK(problem(1, false) == "none");
  CHECK(problem(32, false) == "none");
  const std::string where = "targets.signed.delegations";
  CHECK(problem(0, false) ==
        where + ".succinct_roles.bit_length: expected an integer from 1, found 0");
  CHECK(problem(33, false) == where + ".succinct_roles.bit_length: expected at most 32, found 33");
  CHECK(problem(8, true) == where + ": expected one of 'roles' and 'succinct_roles'");
}

TEST_CASE("a file is what its length and every known hash say") {
  const std::string sha256 = Sha256::Of(AsBytes("abc")).Hex();
  const std::string sha512 =
      "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
      "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";
  CHECK(CheckFile({}, "abc"));
  CHECK(CheckFile({3, {{"sha256", sha256}, {"sha512", sha512}, {"new", "?"}}}, "abc"));
  CHECK(CheckFile({{}, {{"sha512", sha512}}}, "abc"));
  auto message = [](const FileInfo& info) { return CheckFile(info, "abc").error().message; };
  CHECK(message({4, {}}) == "length: expected 4, found 3");
  CHECK(message({3, {{"sha256", sha512}, {"sha512", sha512}}}) ==
        "sha256: expected " + sha512 + ", found " + sha256);
  CHECK(message({3, {{"sha256", sha256}, {"sha512", sha256}}}) ==
        "sha512: expected " + sha256 + ", found " + sha512);
  CHECK(message({3, {{"new", sha256}}}) == "hash: expected sha256 or sha512, found only 'new'");
  CHECK(message({3, {{"sha256", ""}}}).starts_with("sha256: expected , found "));
}

}  // namespace
}  // namespace hostos::tuf
